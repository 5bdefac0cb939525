"""Copies are found as a slow twin finds them, wherever blocks and pieces end and however hashes collide."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.evaluation import copying
from newleaf.evaluation.copying import Found, find_copies

FEW = st.integers(0, 2)  # so many different tokens that copies of all lengths are likely
PIECES = st.lists(st.lists(FEW, max_size=30), max_size=4)
STREAM = st.lists(FEW, max_size=60)


def spelled(ids: Sequence[int]) -> str:
    return "".join(chr(ord("a") + id) for id in ids)


def find_slowly(pieces: Sequence[Sequence[int]], stream: Sequence[int], window: int) -> tuple[int, int, int]:
    """(windows, those copied, tokens of the longest copy), by Python's search in strings."""
    text = spelled(stream)
    every = [spelled(piece[start : start + window]) for piece in pieces for start in range(len(piece) - window + 1)]
    parts = [spelled(piece[start:end]) for piece in pieces for start in range(len(piece)) for end in range(start + 1, len(piece) + 1)]
    return len(every), sum(one in text for one in every), max((len(part) for part in parts if part in text), default=0)


def arrays(pieces: Sequence[Sequence[int]]) -> list[np.ndarray]:
    return [np.array(piece, np.int64) for piece in pieces]


def require_twin(found: Found, pieces: Sequence[Sequence[int]], stream: Sequence[int], window: int) -> None:
    windows, copied, longest = find_slowly(pieces, stream, window)
    assert (found.windows, found.copied) == (windows, copied)
    assert (found.longest.length if found.longest else 0) == longest
    if found.longest:
        piece, start, length, place = vars(found.longest).values()
        assert list(pieces[piece][start : start + length]) == list(stream[place : place + length])


@pytest.mark.parametrize("block", [1, 3, 7, 1 << 16])
@pytest.mark.parametrize("hashing", ["good", "all alike"])
@given(first=PIECES, second=PIECES, stream=STREAM, window=st.integers(1, 12))
def test_copies_are_those_of_the_slow_twin(
    first: list[list[int]], second: list[list[int]], stream: list[int], window: int, hashing: str, block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copying, "BLOCK", block)
        if hashing == "all alike":
            patch.setattr(copying, "ODD", np.zeros(64, np.uint64))
        found = find_copies([arrays(first), arrays(second)], np.array(stream, np.uint16), window)
    for one, pieces in zip(found, (first, second), strict=True):
        require_twin(one, pieces, stream, window)


@given(pieces=PIECES, stream=STREAM, first=st.integers(0, 70))
def test_what_stands_before_the_first_token_is_no_copy(pieces: list[list[int]], stream: list[int], first: int) -> None:
    found = find_copies([arrays(pieces)], np.array(stream, np.int64), 4, first)[0]
    windows, copied, longest = find_slowly(pieces, stream[first:], 4)
    assert (found.windows, found.copied, found.longest.length if found.longest else 0) == (windows, copied, longest)


def test_a_long_stretch_in_much_text_is_found_where_it_stands() -> None:
    random = np.random.default_rng(0)
    stream, piece = random.integers(0, 5000, 300_000).astype(np.uint16), random.integers(0, 5000, 128)
    place = copying.BLOCK * 2 - 40  # over the end of a block
    piece[11:101] = stream[place : place + 90]
    found = find_copies([[piece]], stream, window=32)[0]
    assert (found.copied, found.windows) == (90 - 31, 128 - 31)
    assert found.longest is not None
    assert (found.longest.start, found.longest.length, found.longest.place) == (11, 90, place)


def test_a_stream_that_only_repeats_itself_takes_no_longer() -> None:
    """Each piece is found in each place: what is known already must not be compared again."""
    stream, pieces = np.tile(np.arange(5), 60_000), [np.tile(np.arange(5), 25)] * 8
    compared: list[int] = []

    class Counting(copying.Wanted):
        def matches(self, block: copying.Block):  # type: ignore[no-untyped-def]
            for numbers, places in super().matches(block):
                compared.append(len(places))
                yield numbers, places

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copying, "Wanted", Counting)
        found = find_copies([pieces], stream, window=32)[0]
    assert found.share == 1
    assert sum(compared) < 3 * copying.BLOCK


def test_equal_windows_have_equal_hashes_and_others_have_others() -> None:
    """Windows are equal if and only if they are the same tokens, whatever stands around them."""
    ids = np.array([5, 1, 2, 3, 4, 9, 1, 2, 3, 4, 7])
    for length in range(1, 5):
        hashes = copying.Block(ids).hashes(length)
        assert len(hashes) == len(ids) - length + 1
        assert hashes[1] == hashes[6]
        assert len(set(hashes.tolist())) == len({tuple(ids[at : at + length]) for at in range(len(hashes))})
