"""Gradients in, their common length out, and no gradient longer than allowed."""

import math

import torch
from torch import Tensor


@torch.no_grad()
def clip_(grads: list[Tensor], max_norm: float) -> float:
    """Shorten `grads` in place so that their norm over all numbers together is at most `max_norm`; returns the norm before.

    A norm that is NaN or infinite is returned as it is and no gradient is changed: the caller drops that step. A `max_norm`
    of 0 only measures.

    >>> grads = [torch.tensor([3.0, 0.0]), torch.tensor([4.0])]
    >>> clip_(grads, max_norm=1.0), grads[1]
    (5.0, tensor([0.8000]))
    """
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
    length = float(norm)
    if max_norm and math.isfinite(length):
        factor = max_norm / (norm + 1e-6)  # torch.nn.utils.clip_grad_norm_ adds the same, so that 0 divides nothing
        if factor < 1:
            torch._foreach_mul_(grads, factor)
    return length
