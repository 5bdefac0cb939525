"""What can be set about the steps that training takes. Imports no torch.

A setting that is None is absent until the plan fills it; the others hold for every text and machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from newleaf.settings import check_range

Kind = Literal["muon", "adamw"]
Decay = Literal["linear", "cosine"]
Value = TypeVar("Value")
# of a model from nothing, for every size: the best of a search on small texts (lab/LOG.md, 2026-11-24)
NEW_RATES: Mapping[str, Any] = MappingProxyType({"lr": 0.006, "embedding_lr": 0.03, "head_lr": 0.01, "norm_lr": 0.003})


@dataclass(frozen=True)
class OptimSettings:
    """How gradients become new weights.

    >>> OptimSettings(lr=-1)
    Traceback (most recent call last):
    ...
    newleaf.errors.SettingError: optim.lr is -1 (expected more than 0).
    """

    kind: Kind | None = None
    """What moves the matrices in the layers, muon or adamw; everything else is moved by AdamW."""
    lr: float | None = None
    """Learning rate of the matrices in the layers, on AdamW's scale with either kind."""
    embedding_lr: float | None = None
    """Learning rate of the embeddings."""
    head_lr: float | None = None
    """Learning rate of the output projection, where it is not tied to the embedding."""
    norm_lr: float | None = None
    """Learning rate of norms and biases."""
    weight_decay: float | None = None
    """Share of each matrix in the layers that a step takes away, times the learning rate; nothing else decays."""
    momentum: float = 0.95
    """Muon: how much of its running mean of gradients a step keeps."""
    beta1: float = 0.9
    """AdamW: how much of its running mean of gradients a step keeps."""
    beta2: float = 0.95
    """AdamW: how much of its running mean of squared gradients a step keeps."""
    eps: float = 1e-8
    """AdamW: added to the root of the mean square before it divides."""
    grad_clip: float = 1.0
    """Longest gradient, as a norm over all parameters, that acts in full; longer ones are shortened to it, and 0 turns this off."""
    warmup_steps: int | None = None
    """Steps over which the learning rates rise to their full height."""
    decay_fraction: float | None = None
    """Last part of the training, from 0 to 1, in which the learning rates fall."""
    decay: Decay = "linear"
    """Shape of that fall, linear or cosine."""
    final_lr_fraction: float = 0.02
    """Part of each learning rate that is left at the end."""

    def __post_init__(self) -> None:
        for name in ("lr", "embedding_lr", "head_lr", "norm_lr", "eps"):
            check_range(f"optim.{name}", getattr(self, name), 0, above=True)
        for name in ("weight_decay", "grad_clip", "warmup_steps"):
            check_range(f"optim.{name}", getattr(self, name), 0)
        for name in ("momentum", "beta1", "beta2"):
            check_range(f"optim.{name}", getattr(self, name), 0, 0.9999)
        for name in ("decay_fraction", "final_lr_fraction"):
            check_range(f"optim.{name}", getattr(self, name), 0, 1)


def planned(value: Value | None, name: str) -> Value:
    """A value that the plan has filled. That it is absent is a bug of ours, not the user's.

    >>> planned(0.01, "lr")
    0.01
    """
    assert value is not None, f"optim.{name} is used before it was planned"
    return value
