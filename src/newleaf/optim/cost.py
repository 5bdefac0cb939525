"""What a step of the optimizer costs, in FLOPs, before anything is allocated. Imports no torch."""

from collections.abc import Iterable

NEWTON_SCHULZ_STEPS = 5


def newton_schulz_flops(matrices: Iterable[tuple[int, int]]) -> int:
    """Of Muon's products: five times G = X X', a polynomial in G, and G X, with G on the shorter side.

    >>> newton_schulz_flops([(128, 128)])
    62914560
    """
    return sum(NEWTON_SCHULZ_STEPS * (4 * min(shape) ** 2 * max(shape) + 2 * min(shape) ** 3) for shape in matrices)
