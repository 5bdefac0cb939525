"""Documents in, token files out; and back as one long array that is read from disk as it is asked for.

The stream is EOT d1 EOT d2 … EOT. A file holds a header, where its documents begin, and its ids:

    64 bytes   magic, version, bytes per id, ids, documents, vocabulary       little endian throughout
     8 each    places of the end-of-text tokens before each document that begins in this file
    2 or 4     each id: uint16 up to a vocabulary of 65,536, else uint32

A file is written when it is full, from memory, so the header comes first and is never patched. Memory stays flat: a few
pieces of text, one file of ids. The header must agree with the file's size when it is opened; that no bit inside has changed
is seen from the sha256 in the manifest.
"""

import struct
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from newleaf import fsio
from newleaf.errors import ShardError
from newleaf.tokens.interface import AnyTokenizer

Ids = npt.NDArray[np.unsignedinteger[Any]]
Places = npt.NDArray[np.uint64]

Part = tuple[Ids, Places]  # a stretch of the stream, and the places in it of the end-of-text before each document

HEADER = struct.Struct("<8sIIQQQ24x")
MAGIC, VERSION = b"newleaf\0", 1
IDS_PER_FILE = 1 << 24  # 32 MB of uint16
TASK = 1 << 18  # characters that one thread encodes at a time


def write_shards(
    folder: Path, name: str, documents: Iterable[str], tokenizer: AnyTokenizer, threads: int, ids_per_file: int = IDS_PER_FILE
) -> dict[str, Any]:
    """Write `<name>-00000.bin`, … into a folder that exists; returns their manifest, `{num_tokens, num_documents, files}`.

    The bytes depend on the documents and the tokenizer alone. A file is closed when it has `ids_per_file` or a few more.
    """
    files = []
    num_tokens = num_documents = 0
    end: Part = np.array([tokenizer.end_of_text], tokenizer.dtype), np.array([], np.uint64)
    for number, (ids, places) in enumerate(gathered(chain(encoded(documents, tokenizer, threads), [end]), ids_per_file)):
        files.append(write_file(folder / f"{name}-{number:05d}.bin", ids, places, tokenizer.vocab_size))
        num_tokens += len(ids)
        num_documents += len(places)
    return {"num_tokens": num_tokens, "num_documents": num_documents, "files": files}


def encoded(documents: Iterable[str], tokenizer: AnyTokenizer, threads: int) -> Iterator[Part]:
    """The stream in parts, in order, encoded by several threads at once but never far ahead."""

    def encode(task: list[tuple[str, bool]]) -> Part:
        ids: list[Ids] = []
        places: list[int] = []
        held = 0
        for piece, begins in task:
            if begins:
                places.append(held)
                ids.append(end_of_text)
                held += 1
            ids.append(tokenizer.encode_array(piece))
            held += len(ids[-1])
        return np.concatenate(ids), np.array(places, np.uint64)

    end_of_text = np.array([tokenizer.end_of_text], tokenizer.dtype)
    waiting: deque[Future[Part]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for task in tasks(documents, tokenizer):
            waiting.append(pool.submit(encode, task))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def gathered(parts: Iterable[Part], ids_per_file: int) -> Iterator[Part]:
    """Parts joined until there are enough ids for a file."""
    ids: list[Ids] = []
    places: list[Places] = []
    held = 0
    for part_ids, part_places in parts:
        ids.append(part_ids)
        places.append(part_places + np.uint64(held))
        held += len(part_ids)
        if held >= ids_per_file:
            yield np.concatenate(ids), np.concatenate(places)
            ids, places, held = [], [], 0
    if held:
        yield np.concatenate(ids), np.concatenate(places)


def tasks(documents: Iterable[str], tokenizer: AnyTokenizer) -> Iterator[list[tuple[str, bool]]]:
    """Work for a thread: pieces of text, each with whether a document begins there. A long document makes several tasks."""
    task: list[tuple[str, bool]] = []
    size = 0
    for document in documents:
        begins = True
        for piece in tokenizer.pieces(document) if document else [""]:
            task.append((piece, begins))
            begins = False
            size += len(piece) + 1
            if size >= TASK:
                yield task
                task, size = [], 0
    if task:
        yield task


def write_file(path: Path, ids: Ids, places: Places, vocab_size: int) -> dict[str, Any]:
    """One file, complete or not at all; returns its entry in the manifest."""
    header = HEADER.pack(MAGIC, VERSION, ids.itemsize, len(ids), len(places), vocab_size)
    with fsio.replacing(path, needed=len(header) + places.nbytes + ids.nbytes) as writer:
        writer.write(header)
        writer.write(places.astype("<u8").data)
        writer.write(ids.astype(f"<u{ids.itemsize}").data)
    return {"path": path.name, "size": writer.size, "sha256": writer.sha256}


@dataclass(frozen=True)
class ShardFile:
    """An open file: `ids` (N,) and `places` (documents,) are memory maps."""

    path: Path
    entry: Mapping[str, Any]  # in the manifest
    ids: Ids
    places: Places
    vocab_size: int

    @classmethod
    def open(cls, folder: Path, entry: Mapping[str, Any]) -> "ShardFile":
        """Maps a file after comparing its header with its size; ShardError where they do not agree."""
        path = folder / entry["path"]
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                header = file.read(HEADER.size)
        except OSError as error:
            raise broken(path, f"{path.name} cannot be read: {error.strerror}", "a token file") from error
        if len(header) < HEADER.size or not header.startswith(MAGIC):
            raise broken(path, f"{path.name} is no token file", f"{HEADER.size} bytes of header that begin with 'newleaf'")
        _, version, width, num_ids, num_documents, vocab_size = HEADER.unpack(header)
        if version != VERSION or width not in (2, 4):
            raise broken(path, f"{path.name} has version {version} and {width} bytes an id", f"version {VERSION}, 2 or 4 bytes an id")
        expected = HEADER.size + 8 * num_documents + width * num_ids
        if size != expected:
            difference = f"{abs(size - expected):,} bytes {'short of' if size < expected else 'longer than'} its header"
            raise broken(path, f"{path.name} is {difference}", f"{expected:,} bytes with {num_ids:,} ids")
        data = np.memmap(path, np.uint8, mode="r").view(np.ndarray)  # slices of a plain array are cheaper
        ids_at = HEADER.size + 8 * num_documents
        return cls(path, entry, data[ids_at:].view(f"<u{width}"), data[HEADER.size : ids_at].view("<u8"), vocab_size)

    def verify(self) -> None:
        """Read every byte: ShardError where the file is not what the manifest says, or holds an id that there is not."""
        if (self.path.stat().st_size, fsio.sha256(self.path)) != (self.entry["size"], self.entry["sha256"]):
            expected = f"{self.entry['size']:,} bytes with sha256 {self.entry['sha256'][:12]}…"
            raise broken(self.path, f"{self.path.name} has changed since it was written", expected)
        self.read(0, len(self.ids))

    def read(self, start: int, stop: int) -> Ids:
        """(stop - start,) ids, all of them in the vocabulary."""
        ids = self.ids[start:stop]
        if len(ids) and int(ids.max()) >= self.vocab_size:
            raise broken(self.path, f"{self.path.name} holds id {int(ids.max())}", f"ids below {self.vocab_size:,}")
        return ids


class TokenIds:
    """The ids of several files as one: `len(ids)`, `ids[start:stop]` -> (stop - start,). Nothing is read until it is asked for.

    An id that is not in the vocabulary raises ShardError: damage never reaches a model as a token.
    """

    def __init__(self, files: Sequence[ShardFile]) -> None:
        self._files = files
        self.starts = [0]  # where each file begins, and the end
        for file in files:
            self.starts.append(self.starts[-1] + len(file.ids))

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, wanted: slice) -> Ids:
        start, stop, step = wanted.indices(len(self))
        if step != 1:
            raise ValueError("token ids are read in order: the step of a slice must be 1")
        parts = []
        for number in range(bisect_right(self.starts, start) - 1, len(self._files)):
            first = self.starts[number]
            if first >= stop:
                break
            parts.append(self._files[number].read(max(start - first, 0), stop - first))
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else self._files[0].ids[:0]


@dataclass(frozen=True)
class Shards:
    """Token files, opened: `ids` is the whole stream."""

    files: Sequence[ShardFile]
    ids: TokenIds

    @classmethod
    def open(cls, folder: Path, manifest: Mapping[str, Any]) -> "Shards":
        """Open what `write_shards` wrote and described; ShardError where a file is missing, or its header and its size differ.

        A manifest whose `files` are those of several calls of `write_shards` opens them as one stream, in that order.
        """
        files = [ShardFile.open(folder, entry) for entry in manifest["files"]]
        return cls(files, TokenIds(files))

    @property
    def num_documents(self) -> int:
        return sum(len(file.places) for file in self.files)

    @property
    def offsets(self) -> npt.NDArray[np.int64]:
        """(documents,) the places in `ids` of the end-of-text token before each document; 8 bytes a document."""
        return np.concatenate([file.places.astype(np.int64) + start for file, start in zip(self.files, self.ids.starts, strict=False)])

    def verify(self) -> None:
        """Read every byte of every file: ShardError at the first that is damaged."""
        for file in self.files:
            file.verify()


def broken(path: Path, message: str, expected: str) -> ShardError:
    """The sentence for a token file that cannot be trusted."""
    return ShardError(message, where=str(path), expected=expected, hint="copy the run again if it was copied, else start it anew")
