"""Documents by hash and size in, what of them is held out by the rule of split.py out."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from newleaf.text.cut import end_start, tail_start
from newleaf.text.document import content_hash, hexadecimal
from newleaf.text.read import Corpus
from newleaf.text.rest import changed

MANY_DOCUMENTS = 100  # from here on whole documents are held out
MUCH_BYTES = 100_000_000  # above, a fiftieth is enough
HASHES = 1 << 64


def decide(corpus: Corpus, hashes: np.ndarray, sizes: np.ndarray, cap: int) -> dict[str, int]:
    """By the rule: hash of a document -> its first byte that is held out."""
    whole, cut = chosen(hashes, sizes)
    before = np.cumsum(np.where(whole, sizes, 0)) - sizes
    whole &= before < cap  # the last of them is the one that crosses the cap
    held_out, ends = within_cap(pieces(corpus, set(hashes[whole].tolist()), set(hashes[cut].tolist()), cap), cap)
    alone = np.setdiff1d(np.array(ends, dtype=np.uint64), hashes)  # an end may come as a document of its own one day
    return held_out | {hexadecimal(int(key)): 0 for key in alone}


def chosen(hashes: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the documents, by ascending hash: which are to be held out whole, and of which the last tenth."""
    if len(hashes) < MANY_DOCUMENTS:
        return np.zeros(len(hashes), dtype=bool), np.ones(len(hashes), dtype=bool)
    total = int(sizes.sum())
    cut = sizes * 10 > total
    whole = (hashes < np.uint64(HASHES // (50 if total > MUCH_BYTES else 10))) & ~cut
    whole[0] |= not (whole | cut).any()  # the lowest hash of all, if none is low enough
    whole[-1] &= not whole.all()
    return whole, cut


@dataclass(frozen=True)
class Piece:
    """The end of a document, or all of it, that is to be held out."""

    key: int
    size: int  # of the document
    start: int  # where the piece begins in it
    end: bytes  # the last of the piece, as much as the cap allows


def pieces(corpus: Corpus, whole: set[int], cut: set[int], cap: int) -> list[Piece]:
    """Those of the chosen documents, in the order of their hashes, as far as the cap may reach."""
    found: list[Piece] = []
    waiting, held = whole | cut, 0
    for document in corpus:
        data = document.text.encode()
        key = content_hash(data)
        if key not in waiting:
            continue
        waiting.remove(key)
        start = tail_start(data) if key in cut else 0
        if start < len(data):
            found.append(Piece(key, len(data), start, data[max(start, len(data) - cap) :]))
            held += len(found[-1].end)
        if held > 4 * cap:  # memory: those beyond the cap are of no use
            found = reachable(found, cap)
            held = sum(len(piece.end) for piece in found)
        if not waiting:
            break
    if waiting:
        raise changed(corpus)
    return reachable(found, cap)


def reachable(found: Iterable[Piece], cap: int) -> list[Piece]:
    """In the order of their hashes, up to the piece that crosses the cap."""
    kept, held = [], 0
    for piece in sorted(found, key=lambda piece: piece.key):
        if held < cap:
            kept.append(piece)
        held += piece.size - piece.start
    return kept


def within_cap(found: Iterable[Piece], cap: int) -> tuple[dict[str, int], list[int]]:
    """What is held out in the end, and the hashes of those pieces that are ends of documents.

    A piece that crosses the cap returns to training, unless less than half the cap would be used: then its end is held out.
    """
    held_out: dict[str, int] = {}
    ends, held = [], 0
    for piece in found:
        end, start = piece.end, piece.start
        if held + piece.size - start > cap:
            if 2 * held >= cap:
                break
            end = end[end_start(end, cap - held) :]
            start = piece.size - len(end)
        held_out[hexadecimal(piece.key)] = start
        ends += [content_hash(end)] * (start > 0)
        held += piece.size - start
    return held_out, ends
