"""What a step of the optimizer costs, in FLOPs, before anything is allocated. Imports no torch."""

from collections.abc import Iterable

NEWTON_SCHULZ_STEPS = 3  # five, as is usual, end 1 % higher after the same time, on four texts (lab/LOG.md, 2026-11-26)


def newton_schulz_flops(matrices: Iterable[tuple[int, int]]) -> int:
    """Of Muon's products, a step: G = X X', a polynomial in G, and G X, with G on the shorter side.

    >>> newton_schulz_flops([(128, 128)])
    37748736
    """
    return sum(NEWTON_SCHULZ_STEPS * (4 * min(shape) ** 2 * max(shape) + 2 * min(shape) ** 3) for shape in matrices)
