"""Pieces of token ids and a long stream of them in, what stands in both word for word out. Exact, in one pass over the stream.

All windows of a length, in the pieces and in a block of the stream, become 64-bit hashes. Those of the stream that are among the
pieces' are compared token by token, so a collision costs time and never changes a figure. A window of n tokens is hashed from two
halves that overlap: with h(i, 1) = id(i) C and odd numbers M and E,

    h(i, 2w) = h(i, w) M(w) + h(i + w, w)  mod 2^64        hash(i, n) = h(i, w) E + h(i + n - w, w),  w the power of two in (n / 2, n]

(sums of ids times odd constants, whose upper bits are the well mixed ones: Lemire and Kaser, "Strongly universal string hashing is
fast", 2012.) The longest copy needs no search of its own: each block is asked for one token more than the longest so far, and what is
found is followed to its end. 4,000 tokens of pieces cost about 0.1 s, and each second searches 15 million tokens of the stream (one core of
an AMD EPYC, others busy), so 100 MB of text take some 2 s; memory is that of one block, a few MB.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from newleaf.batches.pretrain import Stream

Ids = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

BLOCK = 1 << 16  # places of the stream at a time: their hashes stay in the cache of a processor
FILTER_BITS = 18  # upper bits of a hash, by which nearly all places are passed over
ODD = np.random.default_rng(0x1EAF).integers(1 << 63, size=64, dtype=np.uint64) * np.uint64(2) + np.uint64(1)  # C, E and M


@dataclass(frozen=True)
class Copy:
    """`length` tokens from `start` on in the piece `piece`, which stand at `place` in the stream."""

    piece: int
    start: int
    length: int
    place: int


@dataclass(frozen=True)
class Found:
    """Of some pieces: how many of their `windows` are `copied`, and the longest copy, None where not one token is."""

    windows: int
    copied: int
    longest: Copy | None

    @property
    def share(self) -> float | None:
        """Of the windows; None where no piece is as long as one."""
        return self.copied / self.windows if self.windows else None


def find_copies(groups: Sequence[Sequence[Ids]], stream: Stream, window: int, first: int = 0) -> list[Found]:
    """What of each group of pieces stands in the stream from `first` on: windows of `window` tokens, and the longest stretch.

    >>> pieces = [np.array([7, 1, 2, 3, 9]), np.array([2, 3])]
    >>> find_copies([pieces], np.array([0, 1, 2, 3, 0]), window=2)
    [Found(windows=5, copied=3, longest=Copy(piece=0, start=1, length=3, place=1))]
    """
    searches = [Search([np.asarray(piece, np.int64) for piece in group], window) for group in groups]
    longest = max((len(piece) for search in searches for piece in search.pieces), default=0)
    for start in range(first, len(stream), BLOCK):
        block = Block(np.asarray(stream[start : start + BLOCK + longest], np.int64), start)
        for search in searches:
            search.look(block)
    return [search.found() for search in searches]


class Block:
    """Some ids of the stream, and the hashes of all windows in them."""

    def __init__(self, ids: Ids, start: int = 0) -> None:
        self.ids, self.start = ids, start
        self._levels: list[Hashes] = [ids.astype(np.uint64) * ODD[0]]  # of windows of 1, 2, 4, … tokens
        self._known: dict[int, Hashes] = {}

    def hashes(self, length: int) -> Hashes:
        """(…, N - length + 1) of windows of `length` tokens in ids (…, N); length >= 1."""
        if length not in self._known:
            level = length.bit_length() - 1
            while len(self._levels) <= level:
                half, width = self._levels[-1], 1 << (len(self._levels) - 1)
                whole = half[..., :-width] * ODD[1 + len(self._levels)]
                whole += half[..., width:]
                self._levels.append(whole)
            begins, rest = self._levels[level], length - (1 << level)
            whole = begins[..., : begins.shape[-1] - rest] * ODD[1]
            whole += begins[..., rest:]
            self._known[length] = whole
        return self._known[length]


class Wanted:
    """The different windows of one length in some pieces, as far as they are not found yet."""

    def __init__(self, pieces: Sequence[Ids], length: int) -> None:
        where = [(number, start) for number, piece in enumerate(pieces) for start in range(len(piece) - length + 1)]
        rows = [sliding_window_view(piece, length) for piece in pieces if len(piece) >= length]
        self.length, self.num_windows = length, len(where)
        if not rows:
            self.rows, self.counts = np.zeros((0, length), np.int64), np.zeros(0, np.int64)
            self.where: list[tuple[int, int]] = []
        else:
            self.rows, first, self.counts = np.unique(np.concatenate(rows), axis=0, return_index=True, return_counts=True)
            self.where = [where[number] for number in first]
        self.missing = np.ones(len(self.rows), bool)
        self._all = Block(self.rows).hashes(length)[:, 0]
        self._index()

    def _index(self) -> None:
        """Sort the hashes of what is still missing, and note their upper bits."""
        numbers = np.flatnonzero(self.missing)
        self._order = numbers[np.argsort(self._all[numbers], kind="stable")]
        self._sorted = self._all[self._order]
        self._filter = np.zeros(1 << FILTER_BITS, bool)
        self._filter[self._sorted >> np.uint64(64 - FILTER_BITS)] = True

    def matches(self, block: Block) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """(numbers of missing rows, their places in the block) that are equal, token by token; several times where hashes collide."""
        if not len(self._sorted) or len(block.ids) < self.length:
            return
        hashes = block.hashes(self.length)
        places = np.flatnonzero(self._filter[hashes >> np.uint64(64 - FILTER_BITS)])
        slots, windows = np.searchsorted(self._sorted, hashes[places]), sliding_window_view(block.ids, self.length)
        while len(places):
            same = slots < len(self._sorted)
            same[same] = self._sorted[slots[same]] == hashes[places[same]]
            places, slots = places[same], slots[same]
            equal = (windows[places] == self.rows[self._order[slots]]).all(1)
            if equal.any():
                yield self._order[slots[equal]], places[equal]
            slots = slots + 1  # another row may have the same hash

    def strike(self, block: Block) -> None:
        """Take note of the rows that stand in the block."""
        numbers = [rows for rows, _ in self.matches(block)]
        if numbers:
            self.missing[np.concatenate(numbers)] = False
            self._index()

    @property
    def num_found(self) -> int:
        """Windows, equal ones each counted."""
        return int(self.counts[~self.missing].sum())


class Search:
    """What is known of one group of pieces after some blocks of the stream."""

    def __init__(self, pieces: Sequence[Ids], window: int) -> None:
        self.pieces, self.longest = pieces, Copy(0, 0, 0, 0)
        self.windows, self.longer = Wanted(pieces, window), Wanted(pieces, 1)

    def look(self, block: Block) -> None:
        """Search one block more."""
        self.windows.strike(block)
        while (copy := self._longer(block)) is not None:
            self.longest = copy
            self.longer = Wanted(self.pieces, copy.length + 1)

    def _longer(self, block: Block) -> Copy | None:
        """A copy in this block that is longer than the longest so far, followed to its end."""
        for numbers, places in self.longer.matches(block):
            (piece, start), place = self.longer.where[numbers[0]], int(places[0])
            mine, theirs = self.pieces[piece][start:], block.ids[place:]
            common = min(len(mine), len(theirs))
            differs = np.flatnonzero(mine[:common] != theirs[:common])
            return Copy(piece, start, int(differs[0]) if len(differs) else common, block.start + place)
        return None

    def found(self) -> Found:
        return Found(self.windows.num_windows, self.windows.num_found, self.longest if self.longest.length else None)
