import errno
import random
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokens.examples import CHINESE, TEXTS, TRICKY, all_pairs, seeds, source, trained

from newleaf import fsio
from newleaf.errors import DiskFullError, ShardError, TextError
from newleaf.tokens import shards
from newleaf.tokens.shards import HEADER, Shards, write_shards
from newleaf.tokens.tokenizer import Tokenizer

DOCUMENTS = [*source().split("\n\n"), "", *(text[:3000] for text in TRICKY.values()), "last"]


def stream(documents: list[str], tokenizer: Tokenizer) -> list[int]:
    """What the files should hold, the plain way."""
    end = [tokenizer.end_of_text]
    return [id for document in documents for id in end + tokenizer.encode_slowly(document)] + end


@pytest.mark.parametrize("tokenizer", [trained, all_pairs])
@pytest.mark.parametrize("ids_per_file", [500, 5_000, 10**9])
def test_files_hold_the_documents_between_ends_of_text(tmp_path: Path, tokenizer: Callable[[], Tokenizer], ids_per_file: int) -> None:
    manifest = write_shards(tmp_path, "train", DOCUMENTS, tokenizer(), 2, ids_per_file)
    opened = Shards.open(tmp_path, manifest)
    opened.verify()
    expected = stream(DOCUMENTS, tokenizer())
    ids = opened.ids[:]
    assert ids.tolist() == expected
    assert ids.dtype == tokenizer().dtype
    assert (manifest["num_tokens"], manifest["num_documents"]) == (len(expected), len(DOCUMENTS)) == (len(opened.ids), opened.num_documents)
    places = [*opened.offsets.tolist(), len(expected) - 1]
    for document, start, stop in zip(DOCUMENTS, places[:-1], places[1:], strict=True):
        assert tokenizer().decode(opened.ids[start + 1 : stop].tolist()) == document


def test_a_long_document_goes_over_several_tasks_and_files(tmp_path: Path) -> None:
    text = (source() + CHINESE) * 24
    manifest = write_shards(tmp_path, "train", [text, "x"], trained(), 2, ids_per_file=200_000)
    assert len(manifest["files"]) > 2
    opened = Shards.open(tmp_path, manifest)
    assert opened.num_documents == 2
    assert opened.ids[:].tolist() == [0, *trained().encode(text), 0, *trained().encode("x"), 0]


def test_the_bytes_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    documents = [source()[: length * 1000] for length in range(40)]
    manifests = []
    for threads in (1, 2, 5):
        folder = tmp_path / str(threads)
        folder.mkdir()
        manifests.append(write_shards(folder, "train", documents, trained(), threads, ids_per_file=100_000))
    assert manifests[0] == manifests[1] == manifests[2]


@given(st.lists(TEXTS, max_size=5), st.integers(-60, 60), st.integers(-60, 60))
def test_a_slice_equals_the_slice_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, documents: list[str], start: int, stop: int
) -> None:
    folder = tmp_path_factory.mktemp("slices")
    manifest = write_shards(folder, "train", documents, trained(), 1, ids_per_file=1)
    ids = Shards.open(folder, manifest).ids
    expected = stream(documents, trained())
    assert ids[start:stop].tolist() == expected[start:stop]
    assert ids[start:].tolist() == expected[start:]
    assert ids[:stop].tolist() == expected[:stop]
    assert len(ids) == len(expected)


def test_slices_across_files_equal_slices_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "TASK", 50)
    manifest = write_shards(tmp_path, "train", DOCUMENTS[:60], trained(), 1, ids_per_file=10)
    opened, expected = Shards.open(tmp_path, manifest), np.array(stream(DOCUMENTS[:60], trained()))
    assert len(manifest["files"]) > 50
    for start in range(0, len(expected), 7):
        for length in (0, 1, 20, 200):
            assert np.array_equal(opened.ids[start : start + length], expected[start : start + length])
    with pytest.raises(ValueError, match="step"):
        opened.ids[::2]


def test_generations_of_files_open_as_one_stream(tmp_path: Path) -> None:
    first, second = (write_shards(tmp_path, name, [text], trained(), 1) for name, text in (("train", "old"), ("train-1", "new text")))
    opened = Shards.open(tmp_path, {"files": first["files"] + second["files"]})
    assert opened.ids[:].tolist() == [0, *trained().encode("old"), 0, 0, *trained().encode("new text"), 0]
    assert [opened.ids[place + 1 :][:1].tolist() for place in opened.offsets] == [
        trained().encode("old")[:1],
        trained().encode("new text")[:1],
    ]


def test_no_documents_are_one_end_of_text(tmp_path: Path) -> None:
    manifest = write_shards(tmp_path, "train", [], trained(), 2)
    assert Shards.open(tmp_path, manifest).ids[:].tolist() == [0]
    assert manifest["num_documents"] == 0


def test_the_manifest_has_size_and_sha256_of_each_file(tmp_path: Path) -> None:
    manifest = write_shards(tmp_path, "train", DOCUMENTS, trained(), 2, ids_per_file=5_000)
    for entry in manifest["files"]:
        path = tmp_path / entry["path"]
        assert (entry["size"], entry["sha256"]) == (path.stat().st_size, fsio.sha256(path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [entry["path"] for entry in manifest["files"]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("written")
    manifest = write_shards(folder, "train", [CHINESE, source()[:60_000]], trained(), 1)
    return (folder / "train-00000.bin").read_bytes(), manifest


@pytest.mark.parametrize("seed", seeds(1000))
def test_a_flipped_bit_is_found(written: tuple[bytes, dict[str, Any]], tmp_path: Path, seed: int) -> None:
    data, chance = bytearray(written[0]), random.Random(seed)
    place = chance.randrange(HEADER.size) if seed % 5 == 0 else chance.randrange(len(data))
    data[place] ^= 1 << chance.randrange(8)
    fsio.write_bytes(tmp_path / "train-00000.bin", data)
    with pytest.raises(ShardError, match=r"train-00000\.bin"):
        Shards.open(tmp_path, written[1]).verify()


@pytest.mark.parametrize("seed", seeds(100))
def test_a_file_that_was_cut_is_refused_when_it_is_opened(written: tuple[bytes, dict[str, Any]], tmp_path: Path, seed: int) -> None:
    fsio.write_bytes(tmp_path / "train-00000.bin", written[0][: random.Random(seed).randrange(len(written[0])) if seed else 0])
    with pytest.raises(ShardError, match=r"train-00000\.bin is (no token file|[\d,]+ bytes short of its header)"):
        Shards.open(tmp_path, written[1])


@pytest.mark.parametrize("seed", seeds(100))
def test_a_block_of_zeros_is_found(written: tuple[bytes, dict[str, Any]], tmp_path: Path, seed: int) -> None:
    place = 4096 * random.Random(seed).randrange(len(written[0]) // 4096)
    fsio.write_bytes(tmp_path / "train-00000.bin", written[0][:place] + bytes(4096) + written[0][place + 4096 :])
    with pytest.raises(ShardError, match=r"train-00000\.bin"):
        Shards.open(tmp_path, written[1]).verify()


def test_a_file_that_is_too_long_or_missing_is_refused(written: tuple[bytes, dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"train-00000\.bin cannot be read"):
        Shards.open(tmp_path, written[1])
    fsio.write_bytes(tmp_path / "train-00000.bin", written[0] + b"\0")
    with pytest.raises(ShardError, match=r"1 bytes longer than its header .expected [\d,]+ bytes with [\d,]+ ids"):
        Shards.open(tmp_path, written[1])


@pytest.mark.parametrize(("place", "value", "message"), [(8, 2, "has version 2"), (12, 3, "3 bytes an id"), (0, 0, "is no token file")])
def test_a_header_of_another_make_is_refused(
    written: tuple[bytes, dict[str, Any]], tmp_path: Path, place: int, value: int, message: str
) -> None:
    data = bytearray(written[0])
    data[place] = value
    fsio.write_bytes(tmp_path / "train-00000.bin", data)
    with pytest.raises(ShardError, match=message):
        Shards.open(tmp_path, written[1])


def test_an_id_outside_the_vocabulary_never_passes(written: tuple[bytes, dict[str, Any]], tmp_path: Path) -> None:
    data = bytearray(written[0])
    data[-2:] = b"\xff\xff"
    entry = {"path": "train-00000.bin", "size": len(data), "sha256": fsio.write_bytes(tmp_path / "train-00000.bin", data)}
    opened = Shards.open(tmp_path, {"files": [entry]})
    assert len(opened.ids[:-1])
    for read in (lambda: opened.ids[-1:], lambda: opened.ids[:], opened.verify):
        with pytest.raises(ShardError, match=r"holds id 65535 .expected ids below 1,024"):
            read()


def test_an_error_in_the_text_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="half a character"):
        write_shards(tmp_path, "train", ["good", "bad \ud800"], trained(), 2)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_shards(tmp_path, "train", ["old"], trained(), 2)

    def full(handle: int, data: fsio.Buffer) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(fsio.disk, "write", full)
    with pytest.raises(DiskFullError, match=r"train-00000\.bin"):
        write_shards(tmp_path, "train", ["new"], trained(), 2)
    monkeypatch.undo()
    Shards.open(tmp_path, manifest).verify()
    assert len(list(tmp_path.iterdir())) == 1


def test_memory_does_not_grow_with_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "TASK", 1 << 14)

    def peak(num_documents: int) -> int:
        def documents() -> Iterator[str]:
            return (f"{number} {CHINESE}" for number in range(num_documents))

        tracemalloc.start()
        write_shards(tmp_path, "train", documents(), trained(), 2, ids_per_file=20_000)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    peak(500)
    little = peak(1_000)
    assert min(peak(16_000) for _ in range(3)) < 2 * little  # the order in which threads finish, and what else the process does, counts too
