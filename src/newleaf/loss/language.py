"""The loss of a language model: nats by which the next token surprises it."""

import torch.nn.functional as F
from torch import Tensor


def language(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean over targets of -log softmax(logits)[target], a scalar in nats.

    logits (…, V) float32, targets (…) int64, mask (…) bool: True where the target counts (all, if there is none).

    >>> import torch
    >>> float(language(torch.zeros(1, 4), torch.tensor([2]))) == float(torch.log(torch.tensor(4.0)))
    True
    """
    if mask is None:
        return F.cross_entropy(logits.flatten(0, -2), targets.flatten())
    losses = token_losses(logits, targets)
    return (losses * mask).sum() / mask.sum().clamp(min=1)


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(logits)[target] of each target in nats, in the shape of `targets`."""
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none").view(targets.shape)
