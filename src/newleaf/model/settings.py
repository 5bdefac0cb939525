"""The settings of a new model. Absent values (None) are for the plan to fill. Imports no torch."""

from dataclasses import dataclass
from typing import Literal

from newleaf.model.config import Mlp
from newleaf.settings import check_range


@dataclass(frozen=True)
class ModelSettings:
    """The shape of a new model."""

    family: Literal["qwen3", "llama", "gpt2", "qwen2", "vaswani"] | None = None
    """Whose shape it has; vaswani is the model of the popular articles."""
    width: int | None = None
    """Of the residual stream."""
    depth: int | None = None
    """Number of layers."""
    heads: int | None = None
    """Number of attention heads."""
    kv_heads: int | None = None
    """Number of key-value heads, a divisor of the heads."""
    head_dim: int | None = None
    """Size of a head."""
    mlp: Mlp | None = None
    """Kind of feed-forward layer."""
    context: int | None = None
    """The longest sequence, in tokens."""
    tied: bool | None = None
    """Whether the output projection is the embedding."""

    def __post_init__(self) -> None:
        for name in ("width", "depth", "heads", "kv_heads", "head_dim"):
            check_range(f"model.{name}", getattr(self, name), 1, 1_000_000)
        check_range("model.context", self.context, 2, 1_000_000)
