"""Documents in, the decision which of them, or which ends of them, are held out; decided once for a run.

Identical documents count once. From 100 documents on, those are held out whose content hash falls in the lowest tenth (the lowest
fiftieth above 100 MB); below, the last tenth of each. Of a document larger than a tenth of all bytes it is always its last tenth, and
only that. All of this stays below a cap, filled in the order of the hashes. A corpus for validation replaces the rule: its documents
are held out, and leave the training part where they stand in it.

Nothing depends on names, on order or on the machine: a hash of the text decides. The decision is a list of documents (their hashes)
with the byte from which each is held out, so that the same text can be divided again, in this run or a later one. Of each document
16 bytes are in memory meanwhile (some 40 for the moment in which they are sorted), and 8 afterwards; of each file its name, packed.

A text is read several times: to decide, to learn the tokenizer, to encode. Where a file changes meanwhile (a log that grows), what was
decided no longer holds: it is left out, and the work begins anew without it (rest.py).
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from newleaf.errors import TextError
from newleaf.text.decide import decide
from newleaf.text.document import CHANGED, Document, Repaired, Skipped, content_hash, hexadecimal
from newleaf.text.files import shown
from newleaf.text.read import Corpus
from newleaf.text.rest import changed
from newleaf.text.scripts import ScriptCounter

MIN_BYTES = 2_000  # of text, to learn anything
MOST_NAMES = 1_000  # of what was left out, in the manifest


@dataclass(frozen=True)
class Split:
    """What is learned from and what is held out. Sizes are bytes of UTF-8."""

    train_bytes: int
    val_bytes: int
    num_documents: int  # different ones
    num_duplicates: int
    num_files: int
    held_out: dict[str, int]  # hash of a document -> its first byte that is held out
    scripts: dict[str, int]  # letters by script
    skipped: list[Skipped]
    repaired: list[Repaired]
    from_val: bool  # whether a corpus for validation is what is held out
    hashes: np.ndarray = field(repr=False, compare=False)  # of all documents, ascending
    is_new: np.ndarray = field(repr=False, compare=False)  # of each of these, whether it is not known from before

    def train_documents(self, corpus: Corpus) -> Iterator[Document]:
        """The training part, in the corpus's order. Changed if the text is no longer what was surveyed; what came since is left out."""
        waiting = self.is_new.copy()
        for document in corpus:
            data = document.text.encode()
            key = content_hash(data)
            place = int(np.searchsorted(self.hashes, np.uint64(key)))
            if place == len(self.hashes) or self.hashes[place] != key:
                self._pass_over(corpus)
            elif waiting[place]:
                waiting[place] = False
                start = self.held_out.get(hexadecimal(key))
                if start is None:
                    yield document
                elif start:
                    yield Document(data[:start].decode(), document.source)
        if waiting.any():
            raise changed(corpus)

    def held_out_documents(self, corpus: Corpus) -> Iterator[Document]:
        """The held-out part, in the order of `corpus`: the one for validation where there is one, else the one surveyed."""
        waiting, num_bytes = dict(self.held_out), 0
        for document in corpus:
            data = document.text.encode()
            key = hexadecimal(content_hash(data))
            start = (waiting.get if self.from_val else waiting.pop)(key, len(data))
            if start < len(data):
                num_bytes += len(data) - start
                yield Document(data[start:].decode(), document.source)
        if num_bytes != self.val_bytes:
            raise changed(corpus)

    def _pass_over(self, corpus: Corpus) -> None:
        """A document that was not surveyed: its file came later and is left out, or something has changed."""
        if corpus.at not in corpus.left_out:
            if corpus.leave_out_changed():
                raise changed(corpus)
            corpus.left_out[corpus.at] = None
            self.skipped.append(Skipped(shown(corpus.at), CHANGED))

    def as_json(self) -> dict[str, Any]:
        """For data/manifest.json."""
        reasons: Counter[str] = Counter()
        for each in self.skipped:
            reasons[each.reason.partition(":")[0]] += each.count
        return {
            "files": self.num_files,
            "documents": self.num_documents,
            "duplicates": self.num_duplicates,
            "bytes": self.train_bytes + self.val_bytes,
            "train_bytes": self.train_bytes,
            "val_bytes": self.val_bytes,
            "scripts": self.scripts,
            "num_skipped": reasons.total(),
            "skipped_counts": dict(reasons.most_common()),
            "skipped": [{"source": each.source, "reason": each.reason, "count": each.count} for each in self.skipped[:MOST_NAMES]],
            "repaired": [{"source": each.source, "repair": each.repair, "count": each.count} for each in self.repaired[:MOST_NAMES]],
            "held_out": self.held_out,
        }


def joined(before: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """What the manifest says of a text, of which more was read later: everything counts together, what is held out stays."""
    sums = {name: before[name] + more[name] for name in ("files", "documents", "duplicates", "bytes", "train_bytes", "num_skipped")}
    lists = {name: [*before[name], *more[name]][:MOST_NAMES] for name in ("skipped", "repaired")}
    reasons = Counter(before["skipped_counts"]) + Counter(more["skipped_counts"])
    scripts = {name: number + more["scripts"][name] for name, number in before["scripts"].items()}
    return sums | lists | {"skipped_counts": dict(reasons.most_common()), "scripts": scripts}


def survey(
    corpus: Corpus,
    val: Corpus | None = None,
    held_out_cap: int = 256_000,
    known_held_out: Mapping[str, int] | None = None,
    known_hashes: np.ndarray | None = None,
) -> Split:
    """Read everything and decide. TextError below 2,000 bytes of text, or if nothing is left to learn from.

    At most `held_out_cap` bytes are held out, unless `val` says what is. With `known_held_out`, the `held_out` of a run that goes on
    with other text, everything is learned from but what is held out there and the documents of `known_hashes`, which it has learned
    from already; `val_bytes` is 0 then.
    """
    for each in (corpus, val):
        if each is not None:
            each.settle()
    scripts = ScriptCounter()
    read, val_bytes = fingerprints(corpus, scripts), None
    total = int(read.sizes.sum())
    skipped, repaired = list(corpus.skipped), list(corpus.repaired)
    if val is not None:
        val_read = fingerprints(val)
        held_out, val_bytes = {hexadecimal(int(key)): 0 for key in val_read.hashes}, val_read.bytes_all
        skipped, repaired = skipped + val.skipped, repaired + val.repaired
    elif known_held_out is not None:
        held_out, val_bytes = dict(known_held_out), 0
    else:
        require_bytes(total, MIN_BYTES, "")
        held_out = decide(corpus, read.hashes, read.sizes, held_out_cap)
    known = np.array([], np.uint64) if known_hashes is None else known_hashes
    is_new = ~np.isin(read.hashes, known)
    held_out_bytes = bytes_held_out(read, held_out, is_new)
    train_bytes = int(read.sizes[is_new].sum()) - held_out_bytes
    where = " beside what is held out" if known_hashes is None else " beside what is held out or known already"
    require_bytes(train_bytes, 1 if val is None else MIN_BYTES, where)
    return Split(
        train_bytes=train_bytes,
        val_bytes=held_out_bytes if val_bytes is None else val_bytes,
        num_documents=int(is_new.sum()),
        num_duplicates=read.num_all - int(is_new.sum()),
        num_files=corpus.num_files,
        held_out=held_out,
        scripts=scripts.counts(),
        skipped=skipped,
        repaired=repaired,
        from_val=val is not None,
        hashes=read.hashes,
        is_new=is_new,
    )


def require_bytes(found: int, needed: int, where: str) -> None:
    """TextError if there is too little text."""
    if found < needed:
        raise TextError(f"there are {found:,} bytes of text to learn from{where}", expected=f"at least {needed:,}", hint="add more text")


class Fingerprints(NamedTuple):
    """What one pass over a corpus leaves in memory."""

    hashes: np.ndarray  # of the different documents, ascending
    sizes: np.ndarray  # of each of these
    num_all: int  # documents, copies included
    bytes_all: int


def fingerprints(corpus: Corpus, scripts: ScriptCounter | None = None) -> Fingerprints:
    """Read a corpus, counting its letters on the way."""
    keys, sizes = array("Q"), array("Q")
    for document in corpus:
        data = document.text.encode()
        keys.append(content_hash(data))
        sizes.append(len(data))
        if scripts:
            scripts.add(document.text)
    hashes, first = np.unique(np.frombuffer(keys, dtype=np.uint64), return_index=True)
    different = np.frombuffer(sizes, dtype=np.uint64)[first].astype(np.int64)
    return Fingerprints(hashes, different, len(keys), sum(sizes))


def bytes_held_out(read: Fingerprints, held_out: Mapping[str, int], is_new: np.ndarray) -> int:
    """How much of the new documents is held out."""
    keys = np.array([int(key, 16) for key in held_out], dtype=np.uint64)
    starts = np.array(list(held_out.values()), dtype=np.int64)
    places = np.searchsorted(read.hashes[:-1], keys)  # the last place for all that is higher
    found = (read.hashes[places] == keys) & is_new[places]
    return int((read.sizes[places[found]] - starts[found]).sum())
