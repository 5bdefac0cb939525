"""A writer, a judge and examples in, new examples out, one at a time; what is not good enough is told by its reason.

A text passes where it has an end and is about as long as the others, where it is no near copy of an example, held out or not, nor of
a text that has passed, and where the judge, who has learned from the same examples, finds its label likeliest, and likely.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from newleaf import fsio, runs
from newleaf.generation.settings import Sampling
from newleaf.jobs.loaded import Model
from newleaf.text.document import content_hash
from newleaf.text.examples import Labelled
from newleaf.text.similar import Texts

REASONS = ("unfinished", "too short", "copy", "held out", "repeated", "other label", "unsure")
TEMPERATURE, TOP_P = 1.0, 0.95  # as varied as what was learned, without the tail that a small model fills with noise
TAIL = 0.05  # of the examples: shorter than these is too short, and longer than these no text becomes
MOSTLY = 0.5  # of the examples that end as sentences do: then so may what is written
LIKELY = 0.7  # a judge that is as good as it is sure is wrong about less than three texts in ten: more than that teaches its mistakes
MOST_TRIES = 5  # for each example that is wanted: what so seldom succeeds has no more to give


@dataclass(frozen=True)
class Tried:
    """A text, and what became of it."""

    label: str
    text: str
    rejected: str | None  # one of REASONS
    seconds: float


class Author:
    """Writes and judges, and keeps each text in a log: who reads that goes on where the last one stopped."""

    def __init__(
        self, writer: Model, judge: Model, train: Sequence[Labelled], held_out: Sequence[Labelled], wanted: int, seed: int
    ) -> None:
        self.writer, self.judge, self.seed = writer, judge, seed
        self.wanted = shares(Counter(example.label for example in train), wanted)
        self.texts = Texts()
        for examples, origin in ((train, "copy"), (held_out, "held out")):
            for example in examples:
                self.texts.add(example.texts[0], origin)
        self.shortest = float(np.quantile([len(example.texts[0]) for example in train], TAIL))
        tokens = [(example.label, len(writer.tokenizer.encode(example.texts[0]))) for example in train]
        longest = int(np.quantile([count for _, count in tokens], 1 - TAIL))
        ended = [whole_sentences(example.texts[0].strip()) == example.texts[0].strip() for example in train]
        self.sentences = bool(np.mean(ended) > MOSTLY)
        self.lengths = {
            name: [min(count, longest) + 1 for label, count in tokens if label == name] if self.sentences else [longest + 1]
            for name in self.wanted
        }
        one_line = not any("\n" in example.texts[0] for example in train)
        self.stop = ("\n",) if one_line else ()  # a writer that has read lines of text may end its own as it ended those
        self.tries, self.passed = Counter[str](), Counter[str]()
        self.accepted: list[Tried] = []
        self.rejected = Counter[str]()

    def write(self, log: Path, until: Callable[[], bool]) -> None:
        """Until there are as many as are wanted, no label is worth another try, or `until` says so."""
        for row in runs.read_lines(log):
            self.count(Tried(**row))
        while (label := self.next_label()) is not None and not until():
            tried = self.one(label)
            fsio.append_line(log, json.dumps(asdict(tried), ensure_ascii=False))
            self.count(tried)

    def next_label(self) -> str | None:
        """The one that has had the fewest tries for what is wanted of it, among those that still lack examples and are worth another."""
        lacking = [name for name, wanted in self.wanted.items() if self.passed[name] < wanted and self.tries[name] < MOST_TRIES * wanted]
        return min(lacking, key=lambda name: self.tries[name] / self.wanted[name], default=None)

    def one(self, label: str) -> Tried:
        """The next text; its seed depends on how many were tried before. Where the examples are whole sentences, it is as long as a random
        one of its label at most, and ends with its last whole sentence."""
        began = time.monotonic()
        ids = self.writer.renderer.ids([{"role": "user", "content": label}])
        seed = content_hash(f"{self.seed} {self.tries.total()}".encode()) >> 2
        room = max(1, min(self.lengths[label][seed % len(self.lengths[label])], self.writer.config.context - len(ids)))
        sampling = Sampling(max_tokens=room, temperature=TEMPERATURE, top_p=TOP_P, stop=self.stop, seed=seed)
        sample = self.writer.engine().generate(ids, sampling)[0]
        text = sample.text.strip()
        if sample.stopped_by not in ("end", "stop"):
            text = whole_sentences(text) if self.sentences else ""
        return Tried(label, text, self.why_not(label, text), round(time.monotonic() - began, 4))

    def why_not(self, label: str, text: str) -> str | None:
        """Why a text is not good enough, the cheapest reason first."""
        if not text or "\ufffd" in text:
            return "unfinished"
        if len(text) < self.shortest:
            return "too short"
        if origin := self.texts.near(text):
            return origin
        found, likely = next(iter(self.judge.classify(text).items()))
        return "other label" if found != label else "unsure" if likely < LIKELY else None

    def count(self, tried: Tried) -> None:
        self.tries[tried.label] += 1
        if tried.rejected is not None:
            self.rejected[tried.rejected] += 1
            return
        self.passed[tried.label] += 1
        self.accepted.append(tried)
        self.texts.add(tried.text, "repeated")


def whole_sentences(text: str) -> str:
    """A text that broke off, up to the end of its last whole sentence; empty where it has none.

    >>> whole_sentences("房间很大。早餐也好！下次还"), whole_sentences('He said "no." And'), whole_sentences("a fine")
    ('房间很大。早餐也好！', 'He said "no."', '')
    """
    found = re.match(r".*[.!?…。！？][\"'”’」』）)]*", text, re.DOTALL)
    return found[0] if found else ""


def shares(counts: Mapping[str, int], wanted: int) -> dict[str, int]:
    """`wanted` in the proportions of `counts`, by the largest remainders; a label that gets none is left out.

    >>> shares({"good": 6, "bad": 3, "odd": 1}, 5)
    {'good': 3, 'bad': 2}
    """
    whole = sum(counts.values())
    found = {name: wanted * count // whole for name, count in counts.items()}
    remainders = sorted(counts, key=lambda name: wanted * counts[name] % whole, reverse=True)
    for name in remainders[: wanted - sum(found.values())]:
        found[name] += 1
    return {name: number for name, number in found.items() if number}
