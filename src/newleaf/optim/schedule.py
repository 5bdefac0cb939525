"""Warm-up, constant, decay: what the learning rates are multiplied by, as a pure function of step and progress.

The constant part has no end of its own, so training can go on from it (the trunk) with more minutes or more text, and a decay
of any length from any point of it comes close to a schedule that was planned for that length (Hägele et al. 2024,
arXiv 2405.18392). Imports no torch.
"""

import math
from collections.abc import Callable

from newleaf.optim.settings import Decay, OptimSettings, planned

SHAPES: dict[Decay, Callable[[float], float]] = {
    "linear": lambda left: left,
    "cosine": lambda left: (1 - math.cos(math.pi * left)) / 2,
}


def multiplier(step: int, progress: float, settings: OptimSettings) -> float:
    """The factor on every learning rate in the step after `step` steps, when `progress` of the training, 0 to 1, is done.

    >>> settings = OptimSettings(warmup_steps=4, decay_fraction=0.5, final_lr_fraction=0.1)
    >>> [multiplier(step, progress=step / 100, settings=settings) for step in (0, 1, 3, 4, 49, 50, 75, 100)]
    [0.25, 0.5, 1.0, 1.0, 1.0, 1.0, 0.55, 0.1]
    """
    return min(warmup(step, planned(settings.warmup_steps, "warmup_steps")), decay(progress, settings))


def warmup(step: int, warmup_steps: int) -> float:
    """Rises in equal parts, the first step already one of them, so that no step is spent on nothing.

    >>> [warmup(step, 2) for step in range(3)], warmup(0, 0)
    ([0.5, 1.0, 1.0], 1.0)
    """
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


def decay(progress: float, settings: OptimSettings) -> float:
    """1 until only `decay_fraction` of the training is left, then down to `final_lr_fraction` at progress 1.

    >>> settings = OptimSettings(decay_fraction=0.4, decay="cosine", final_lr_fraction=0.0)
    >>> [round(decay(progress, settings), 3) for progress in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)]
    [1.0, 1.0, 0.854, 0.5, 0.146, 0.0]
    """
    fraction, final = planned(settings.decay_fraction, "decay_fraction"), settings.final_lr_fraction
    left = min(1.0, (1 - progress) / fraction) if fraction else 1.0
    return final + (1 - final) * SHAPES[settings.decay](left)
