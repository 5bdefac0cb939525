"""Examples in, batches to tune with out: one example a row, examples of about the same length together, padded behind.

A batch is a pure function of (seed, retry, data generation, step), as in pretrain.py. An epoch sees each example once; the last of its
batches is filled up from its own beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from newleaf.loss import IGNORED

BUCKET = 16  # batches that are sorted by length together


@dataclass(frozen=True)
class Examples:
    """Encoded examples, one behind the other; each may have several rows (the better answer and the worse one).

    `answers` says which ids are to be learned: of each target whether it counts.
    """

    ids: np.ndarray  # (N,) of all rows
    answers: np.ndarray  # (N,) bool: whether an id is what is learned
    starts: np.ndarray  # (rows + 1,)
    labels: np.ndarray  # (examples,) or empty
    reference: np.ndarray  # (examples, 2) log-probabilities of the model before, or empty
    rows_each: int = 1

    def __len__(self) -> int:
        return (len(self.starts) - 1) // self.rows_each

    @property
    def lengths(self) -> np.ndarray:
        """(examples,) tokens of the longest row of each."""
        return np.diff(self.starts).reshape(-1, self.rows_each).max(1)  # type: ignore[no-any-return]

    def row(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """(ids, answers) of a row."""
        first, last = self.starts[number : number + 2]
        return self.ids[first:last], self.answers[first:last]

    def language(self, some: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """(inputs, targets) of some examples, each (B, T) int64, or (B, rows each, T): targets that are no answers are IGNORED."""
        rows = [self.row(number * self.rows_each + part) for number in some for part in range(self.rows_each)]
        width = max(len(ids) for ids, _ in rows) - 1
        inputs, targets = np.zeros((len(rows), width), np.int64), np.full((len(rows), width), IGNORED, np.int64)
        for place, (ids, answers) in enumerate(rows):
            inputs[place, : len(ids) - 1] = ids[:-1]
            targets[place, : len(ids) - 1] = np.where(answers[1:], ids[1:], IGNORED)
        shape = (len(some), width) if self.rows_each == 1 else (len(some), self.rows_each, width)
        return inputs.reshape(shape), targets.reshape(shape)

    def labelled(self, some: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(inputs (B, T), labels (B), place of the last token (B)) of some examples."""
        rows = [self.row(number)[0] for number in some]
        inputs = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for place, ids in enumerate(rows):
            inputs[place, : len(ids)] = ids
        return inputs, self.labels[list(some)].astype(np.int64), np.array([len(ids) - 1 for ids in rows])

    def preferred(self, some: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(inputs (B, 2, T), reference (B, 2), targets (B, 2, T)) of some examples."""
        inputs, targets = self.language(some)
        return inputs, self.reference[list(some)].astype(np.float32), targets


@dataclass(frozen=True)
class ExampleOrder:
    """`order(step)` -> the numbers of the examples of a batch.

    >>> order = ExampleOrder(lengths=(5, 9, 5, 8), batch_size=2, seed=0)
    >>> sorted([*order(0), *order(1)]), sorted(order(0)) in ([0, 2], [1, 3])
    ([0, 1, 2, 3], True)
    """

    lengths: Sequence[int]
    batch_size: int
    seed: int
    retry: int = 0
    generation: int = 0

    def __call__(self, step: int) -> list[int]:
        num_batches = -(-len(self.lengths) // self.batch_size)
        epoch, place = divmod(step, num_batches)
        return [*epoch_batches(tuple(self.lengths), self.batch_size, (self.seed, self.retry, self.generation, epoch))[place]]


@lru_cache(maxsize=2)
def epoch_batches(lengths: tuple[int, ...], batch_size: int, seed: tuple[int, ...]) -> list[list[int]]:
    """The batches of one epoch, in the order in which they are taken."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(lengths))
    order = np.concatenate([order, np.resize(order, -len(order) % batch_size)])
    by_length = [
        sorted(order[first : first + BUCKET * batch_size].tolist(), key=lengths.__getitem__)
        for first in range(0, len(order), BUCKET * batch_size)
    ]
    batches = [bucket[first : first + batch_size] for bucket in by_length for first in range(0, len(bucket), batch_size)]
    return [batches[number] for number in random.permutation(len(batches))]
