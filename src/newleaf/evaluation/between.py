"""What a long measurement calls now and then, with the share of it that is done: it may tell it, or raise to stop."""

from collections.abc import Callable

Between = Callable[[float], None]


def unheard(share: float) -> None:
    """Nobody waits."""


def part(between: Between, first: float, last: float) -> Between:
    """For one of several measurements: its own share, as that of the whole.

    >>> part(print, 0.5, 1)(0.5)
    0.75
    """
    return lambda share: between(first + share * (last - first))
