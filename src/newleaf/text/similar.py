"""Texts in, whether another text is nearly a copy of one of them out: by the runs of three characters that it shares with each.

The share counts the runs of the new text alone, so that a piece of a longer text is a copy, too. Case and the width of spaces do not count.
"""

from collections import defaultdict

import numpy as np

RUN = 3  # characters
# Of 1,200 Chinese reviews 1 in 100 shares more than 0.22 of its runs with one of 300 others, of as many English phrases 1 in 20 more than
# 0.64; what shares more than 0.7 was a copy or a piece of the other (lab/bench/likeness.py; lab/LOG.md, 2026-11-27).
NEAR = 0.7


class Texts:
    """Texts, each with a word for where it is from.

    >>> texts = Texts()
    >>> texts.add("A leaf falls on the old wall.", "poem")
    >>> texts.near("a leaf falls on the  wall"), texts.near("on the old wall"), texts.near("The moon is over the sea.")
    ('poem', 'poem', None)
    """

    def __init__(self) -> None:
        self._origins: list[str] = []
        self._holding: defaultdict[str, list[int]] = defaultdict(list)  # {run: the texts that it stands in}

    def add(self, text: str, origin: str) -> None:
        for run in runs(text):
            self._holding[run].append(len(self._origins))
        self._origins.append(origin)

    def near(self, text: str) -> str | None:
        """Where the text is from that `text` is nearly a copy of; None where there is none."""
        mine = runs(text)
        found = [place for run in mine for place in self._holding.get(run, ())]
        if not found:
            return None
        shared = np.bincount(found)  # runs of `text` that stand in each
        closest = int(shared.argmax())
        return self._origins[closest] if shared[closest] >= NEAR * len(mine) else None


def runs(text: str) -> set[str]:
    """Of three characters; a shorter text is one itself.

    >>> sorted(runs("Ab  cd")), runs("好")
    ([' cd', 'ab ', 'b c'], {'好'})
    """
    plain = " ".join(text.casefold().split())
    return {plain[first : first + RUN] for first in range(max(1, len(plain) - RUN + 1))}
