"""Where a token stands: tables that are added to the embedding (sinusoidal) or turn queries and keys (rotary)."""

import math

import torch
from torch import Tensor

from newleaf.model.config import RopeScaling


def sinusoids(context: int, width: int) -> Tensor:
    """The fixed table of Vaswani et al. 2017, (context, W): sine on even channels, cosine on odd ones, one frequency a pair.

    Pair i turns once in 2 pi 10000^(2i / W) positions, so channels 2i and 2i + 1 hold the sine and the cosine of the same angle.

    >>> table = sinusoids(context=3, width=4)
    >>> [round(x, 4) for x in table[1].tolist()]  # sin 1, cos 1, sin 0.01, cos 0.01
    [0.8415, 0.5403, 0.01, 0.9999]
    """
    pairs = torch.arange(0, width, 2, dtype=torch.float64)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), 10_000.0 ** (-pairs / width))
    table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)  # (context, W or W + 1)
    return table[:, :width].float()


def rotary_frequencies(head_dim: int, theta: float, scaling: RopeScaling | None = None) -> Tensor:
    """Radians a position for each of the D / 2 pairs: theta^(-2i / D) (Su et al. 2021), slowed down where a longer context was grafted on.

    >>> rotary_frequencies(head_dim=4, theta=10_000.0).tolist() == [1.0, torch.tensor(0.01).item()]
    True
    """
    frequencies = 1.0 / theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    if scaling is None:
        return frequencies
    if scaling.kind == "linear":
        return frequencies / scaling.factor
    # Llama 3.1: waves longer than the old context are slowed by the factor, short ones are kept, those between are mixed
    turns = scaling.original_context * frequencies / (2 * math.pi)  # within the old context
    kept = ((turns - scaling.low_frequency) / (scaling.high_frequency - scaling.low_frequency)).clamp(0, 1)
    return frequencies * (kept + (1 - kept) / scaling.factor)


def rotary_table(context: int, frequencies: Tensor) -> Tensor:
    """Cosines and signed sines, (2, context, D): what `rotate` multiplies with. The sine's first half is negative."""
    angles = torch.outer(torch.arange(context, dtype=torch.float32), frequencies)  # (context, D / 2)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack((torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)))


class Rotate(torch.autograd.Function):
    """`rotate` with a backward that turns the other way: three passes over the data each way, no halves copied together."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return turn(x.transpose(1, 2), cos, sin)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        cos, sin = ctx.saved_tensors  # type: ignore[attr-defined]
        return turn(grad.transpose(1, 2), cos.unsqueeze(1), -sin.unsqueeze(1)), None, None


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Each pair (i, i + D / 2) of the last axis turned by its angle; the result is contiguous."""
    out = torch.mul(x, cos, out=torch.empty(x.shape, dtype=x.dtype, device=x.device))
    return out.addcmul_(x.roll(x.shape[-1] // 2, -1), sin)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Rotary positions: x (B, T, H, D), table (2, T, D) -> (B, H, T, D), contiguous.

    The pairs are (i, i + D / 2), as in transformers' Llama ("rotate half").
    """
    return Rotate.apply(x, table[0], table[1])  # type: ignore[no-any-return,no-untyped-call]


def rotate_slowly(x: Tensor, table: Tensor) -> Tensor:
    """The twin of `rotate`, as the formula is written."""
    first, second = x.transpose(1, 2).chunk(2, -1)
    cos, sin = table[0].chunk(2, -1)[0], table[1].chunk(2, -1)[1]
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)
