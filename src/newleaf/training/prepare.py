"""Text in, a data directory out: the split, the tokenizer, token shards, and a manifest that says what was done.

The manifest is written last: a data directory without one is a torso, and the next start begins it anew.
"""

import hashlib
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from newleaf import fsio
from newleaf.batches.pretrain import Stream
from newleaf.errors import ShardError
from newleaf.runs import Run, read_json
from newleaf.text.document import Document
from newleaf.text.read import Corpus, default_inputs
from newleaf.text.rest import at_rest
from newleaf.text.split import Split, joined, survey
from newleaf.tokens.foreign import load_tokenizer
from newleaf.tokens.interface import AnyTokenizer
from newleaf.tokens.shards import Shards, write_shards
from newleaf.tokens.tokenizer import Tokenizer
from newleaf.training.settings import DataSettings

BLOCK = 8_192  # characters

Vocabulary = AnyTokenizer | Callable[[int], int]  # one to keep, or the size to learn, from the bytes of the training text
Tell = Callable[[str, str], None]  # a person what is happening, in English and in Chinese


@dataclass(frozen=True)
class Data:
    """Tokenized text, opened for training."""

    manifest: dict[str, Any]
    tokenizer: AnyTokenizer
    train: Stream
    val: Stream
    byte_lengths: np.ndarray  # (V,) bytes of each token, 0 for special ones
    num_val_counted: int = 0  # bytes of all held-out tokens, where the tokenizer changes text on its way (blanks, compatible letters)

    def num_bytes(self, ids: np.ndarray) -> int:
        """UTF-8 bytes of the held-out text that `ids` stand for."""
        counted = int(self.byte_lengths[ids].sum())
        return round(counted * self.manifest["val_bytes"] / self.num_val_counted) if self.num_val_counted else counted

    def text(self, ids: Stream) -> bytes:
        """The text of a stream, its documents one behind the other."""
        row = ids[0 : len(ids)]
        return self.tokenizer.decode_bytes(row[self.byte_lengths[row] > 0].tolist())


def corpora(inputs: dict[str, Any], run: Run) -> tuple[Corpus, Corpus | None]:
    """The text to learn from, and the --val file if one was named. The run's own files are not text, wherever it lies."""
    names, val = inputs["data"] or default_inputs(), inputs["val"]
    corpus = Corpus(names, column=inputs["column"], stdin=stdin_for(names), exclude=[run.path, *([Path(val)] if val else [])])
    return corpus, Corpus([val], column=inputs["column"]) if val else None


def stdin_for(names: Sequence[str]) -> bytes | None:
    """Everything on stdin, if it was named."""
    return sys.stdin.buffer.read() if "-" in names else None


def prepare(
    run: Run, corpus: Corpus, val: Corpus | None, settings: DataSettings, vocabulary: Vocabulary, threads: int, tell: Tell
) -> dict[str, Any]:
    """Read, split, train the tokenizer and encode; returns the manifest. TextError if there is too little text."""
    return at_rest(lambda: encode_text(run, corpus, val, settings, vocabulary, threads, tell), tell)


def encode_text(
    run: Run, corpus: Corpus, val: Corpus | None, settings: DataSettings, vocabulary: Vocabulary, threads: int, tell: Tell
) -> dict[str, Any]:
    """`prepare`, as long as the text stays as it is: Changed if it does not."""
    tell("reading the text", "读取文本")
    fsio.remove_tree(run.data)
    fsio.make_folders(run.data)
    assert settings.held_out_bytes is not None
    split = survey(corpus, val, settings.held_out_bytes)
    learning = ("", "") if isinstance(vocabulary, AnyTokenizer) else ("; training the tokenizer", "；训练分词器")
    tell(
        f"{split.train_bytes:,} bytes to learn from, {split.val_bytes:,} held out{learning[0]}",
        f"训练文本 {split.train_bytes:,} 字节，留出 {split.val_bytes:,} 字节{learning[1]}",
    )
    tokenizer = tokenizer_for(split, corpus, settings, vocabulary)
    tokenizer.save(run.path)
    tell(f"encoding with a vocabulary of {tokenizer.vocab_size:,}", f"用 {tokenizer.vocab_size:,} 个词元的词表编码")
    parts = {
        "train": write_shards(run.data, "train", texts(split.train_documents(corpus)), tokenizer, threads),
        "val": write_shards(run.data, "val", texts(split.held_out_documents(val or corpus)), tokenizer, threads),
    }
    seen = {
        "tokenizer_bytes": min(split.train_bytes, settings.tokenizer_bytes or split.train_bytes),
        "hashes": [write_hashes(run, 0, split.hashes)],
    }
    return split.as_json() | seen | {"tokenizer_sha256": fsio.sha256(run.path / "tokenizer.json")} | parts


def tokenizer_for(split: Split, corpus: Corpus, settings: DataSettings, vocabulary: Vocabulary) -> AnyTokenizer:
    """The one that there is, or one that is learned from the training part alone, from all of it or from blocks all through it."""
    if isinstance(vocabulary, AnyTokenizer):
        return vocabulary
    assert settings.tokenizer_bytes is not None
    texts_seen = sample(split.train_documents(corpus), split.train_bytes, settings.tokenizer_bytes)
    return Tokenizer.train(texts_seen, settings.vocab_size or vocabulary(split.train_bytes))


def add_text(run: Run, corpus: Corpus, data: Data, source: dict[str, Any], threads: int, tell: Tell) -> None:
    """Encode more text behind what is there; all of it is trained on but what equals something held out."""
    at_rest(lambda: encode_more(run, corpus, data, source, threads, tell), tell)


def encode_more(run: Run, corpus: Corpus, data: Data, source: dict[str, Any], threads: int, tell: Tell) -> None:
    """`add_text`, as long as the text stays as it is: Changed if it does not."""
    manifest = data.manifest
    split = survey(corpus, known_held_out=manifest["held_out"], known_hashes=read_hashes(run, manifest))
    tell(f"adding {split.train_bytes:,} bytes to learn from", f"新增训练文本 {split.train_bytes:,} 字节")
    added = [*manifest.get("added", []), source | {"train_bytes": split.train_bytes}]
    more = write_shards(run.data, f"train-{len(added)}", texts(split.train_documents(corpus)), data.tokenizer, threads)
    old = manifest["train"]
    train = {name: old[name] + more[name] for name in ("num_tokens", "num_documents", "files")}
    hashes = [*manifest["hashes"], write_hashes(run, len(added), split.hashes[split.is_new])]
    write_manifest(run, manifest | joined(manifest, split.as_json()) | {"train": train, "added": added, "hashes": hashes})


def write_hashes(run: Run, number: int, hashes: np.ndarray) -> dict[str, Any]:
    """The hash of each document, 8 bytes: what is added later counts only if it is none of these. Returns the file's entry."""
    path, data = run.data / f"documents-{number:05d}.bin", hashes.astype("<u8").tobytes()
    return {"path": path.name, "size": len(data), "sha256": fsio.write_bytes(path, data)}


def read_hashes(run: Run, manifest: dict[str, Any]) -> np.ndarray:
    """(documents,) of all that the run has read. ShardError if a file has changed."""
    parts = []
    for entry in manifest["hashes"]:
        path = run.data / entry["path"]
        if not path.exists() or fsio.sha256(path) != entry["sha256"]:
            raise ShardError(f"{path.name} has changed since it was written", where=str(path), hint="restore it, or start a new run")
        parts.append(np.fromfile(path, "<u8"))
    return np.concatenate(parts)


def write_manifest(run: Run, manifest: dict[str, Any]) -> None:
    """data/manifest.json, with a hash of itself: what is held out hangs on it."""
    fsio.write_json(run.manifest, manifest | {"sha256": manifest_sha256(manifest)})


def read_manifest(run: Run) -> dict[str, Any]:
    """ShardError if it is not as it was written."""
    manifest = read_json(run.manifest)
    if manifest.get("sha256") != manifest_sha256(manifest):
        raise ShardError(f"{run.manifest} has changed since it was written", where=str(run.manifest), hint="restore it, or start a new run")
    return manifest


def learned_text(run: Run) -> bool:
    """Whether a run of ours stands there that learned from text, and not from examples."""
    return run.begun and "task" not in read_manifest(run)


def manifest_sha256(manifest: dict[str, Any]) -> str:
    """Of everything in it but the hash."""
    return hashlib.sha256(fsio.json_text({name: value for name, value in manifest.items() if name != "sha256"}).encode()).hexdigest()


def open_data(run: Run, verify: bool) -> Data:
    """What `prepare` wrote; with `verify` every byte of it is checked first."""
    manifest = read_manifest(run)
    tokenizer_file = run.path / "tokenizer.json"
    if not tokenizer_file.exists() or fsio.sha256(tokenizer_file) != manifest["tokenizer_sha256"]:
        raise ShardError(
            f"{tokenizer_file} is not the one that the text was encoded with",
            where=str(tokenizer_file),
            hint="restore it, or start a new run",
        )
    tokenizer = load_tokenizer(run.path)
    train, val = (Shards.open(run.data, manifest[name]) for name in ("train", "val"))
    if verify:
        train.verify()
        val.verify()
    lengths = tokenizer.byte_lengths()
    counted = 0 if isinstance(tokenizer, Tokenizer) else int(lengths[val.ids[0 : len(val.ids)]].sum())
    return Data(manifest, tokenizer, train.ids, val.ids, lengths, counted)


def sample(documents: Iterable[Document], total_bytes: int, most_bytes: int) -> Iterator[str]:
    """Of all blocks of the documents every n-th, about `most_bytes` together: its end counts like its beginning."""
    every = max(1, math.ceil(total_bytes / most_bytes))
    number = 0
    for document in documents:
        for first in range(0, len(document.text), BLOCK) if every > 1 else [0]:
            if number % every == 0:
                yield document.text[first : first + BLOCK] if every > 1 else document.text
            number += 1


def texts(documents: Iterable[Document]) -> Iterator[str]:
    return (document.text for document in documents)
