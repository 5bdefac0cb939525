"""Threads that each compute alone.

Two threads inside every operation meet at its end, hundreds of times a step, and an operation too small to be divided leaves a
core idle; two threads that each take half of the rows meet once. On two cores a small model trains 1.2 to 1.5 times as fast that
way, and a busy neighbour holds up one thread and not every operation (lab/LOG.md, 2026-11-24).
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Workers:
    """`count` threads; each divides its operations over `threads_each` of the processor's. One alone works in the calling thread.

    >>> Workers(2).map(lambda number: number * number, [1, 2, 3])
    [1, 4, 9]
    """

    def __init__(self, count: int, threads_each: int = 1) -> None:
        self.count, self._threads_each = count, threads_each
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="newleaf", initializer=self._prepare) if count > 1 else None

    def _prepare(self) -> None:
        import torch

        torch.get_num_threads()  # the first question in a thread sets its number to the process's; what comes after stands
        torch.set_num_threads(self._threads_each)

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """The results in the order of the items; the first error, once all have ended."""
        if self._pool is None:
            return [function(item) for item in items]
        waiting = [self._pool.submit(function, item) for item in items]
        for each in waiting:
            each.exception()
        return [each.result() for each in waiting]

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def workers_for(device: str, threads: int) -> Workers:
    """One a thread of the processor, at most eight; a GPU is driven by one.

    >>> workers_for("cpu", threads=2).count, workers_for("cuda", threads=16).count
    (2, 1)
    """
    count = num_workers(device, threads)
    return Workers(count, max(1, threads // count))


def num_workers(device: str, threads: int) -> int:
    """How many `workers_for` gives."""
    return min(threads, MOST) if device == "cpu" else 1


MOST = 8  # beyond, Python's lock would make them wait for one another: a guess, measured for two alone
