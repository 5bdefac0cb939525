"""Named parameters in, groups of them out: which optimizer moves each one, how fast, and what decays.

Muon's steps suit matrices that map one stream of features to another. A row of an embedding or of the output projection
belongs to one token instead, and most are unseen in a batch, so they get AdamW, as norms and biases do (Jordan et al. 2024), and the
narrow matrices of adapters.
Only the matrices decay: the rest either is a table of tokens, rare ones among them, or sets a scale.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from newleaf.optim.settings import Kind, OptimSettings, planned


@dataclass(frozen=True, eq=False)
class Group:
    """Parameters that are moved alike."""

    name: str
    optimizer: Kind
    lr: float
    weight_decay: float
    params: dict[str, Tensor]

    def row(self) -> dict[str, Any]:
        """What a person wants to know of it, ready for JSON."""
        return {
            "name": self.name,
            "optimizer": self.optimizer,
            "tensors": len(self.params),
            "parameters": sum(param.numel() for param in self.params.values()),
            "lr": self.lr,
            "weight_decay": self.weight_decay,
        }


def group_name(name: str, ndim: int) -> str:
    """The group of a parameter, from its name and number of dimensions.

    >>> group_name("model.layers.0.mlp.up_proj.weight", 2), group_name("lm_head.weight", 2), group_name("model.norm.weight", 1)
    ('matrices', 'head', 'norms and biases')
    """
    if name.endswith(("lora_A", "lora_B")):
        return "adapters"
    if ndim < 2:
        return "norms and biases"
    if "embed" in name:
        return "embeddings"
    return "matrices" if ".layers." in name else "head"


def param_groups(named: Iterable[tuple[str, Tensor]], settings: OptimSettings) -> list[Group]:
    """The groups that are not empty, each parameter in one of them; those that need no gradient are in none."""
    members: dict[str, dict[str, Tensor]] = {}
    for name, param in named:
        if param.requires_grad:
            members.setdefault(group_name(name, param.ndim), {})[name] = param
    decay = settings.weight_decay
    rows: list[tuple[str, Kind | None, str, float | None]] = [
        ("matrices", settings.kind, "lr", decay),
        ("embeddings", "adamw", "embedding_lr", 0.0),
        ("head", "adamw", "head_lr", 0.0),
        ("norms and biases", "adamw", "norm_lr", 0.0),
        ("adapters", "adamw", "lr", 0.0),
    ]
    return [
        Group(name, planned(kind, "kind"), planned(getattr(settings, lr), lr), planned(decay, "weight_decay"), members[name])
        for name, kind, lr, decay in rows
        if name in members
    ]
