"""Where a token stands: tables that are added to the embedding (sinusoidal) or that turn queries and keys (rotary)."""

import math
from typing import Any

import torch
from torch import Tensor

from newleaf.model.config import ModelConfig


def sinusoids(context: int, width: int) -> Tensor:
    """The fixed table of Vaswani et al. 2017, (context, W): sine on even channels, cosine on odd ones, one frequency a pair.

    Channels 2i and 2i + 1 hold the sine and the cosine of position / 10000^(2i / W).

    >>> [round(x, 4) for x in sinusoids(context=2, width=4)[1].tolist()]  # sin 1, cos 1, sin 0.01, cos 0.01
    [0.8415, 0.5403, 0.01, 0.9999]
    """
    pairs = torch.arange(0, width, 2, dtype=torch.float64)
    angles = torch.outer(torch.arange(context, dtype=torch.float64), 10_000.0 ** (-pairs / width))
    table = torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)  # (context, W, or W + 1 where W is odd)
    return table[:, :width].float()


def rotary_frequencies(config: ModelConfig, length: int = 0) -> Tensor:
    """Radians a position for each of the D / 2 pairs: theta^(-2i / D) (Su et al. 2021), slowed down by a scaling.

    `length` tokens are looked at together: the dynamic scaling depends on it beyond the original context.
    """
    c, theta = config, config.rope_theta
    if c.rope_scaling == "dynamic" and length > c.rope_original_context:
        stretched = c.rope_factor * length / c.rope_original_context - (c.rope_factor - 1)
        theta *= stretched ** (c.head_dim / (c.head_dim - 2))
    frequencies = 1.0 / theta ** (torch.arange(0, c.head_dim, 2, dtype=torch.float32) / c.head_dim)
    if c.rope_scaling == "linear":
        return frequencies / c.rope_factor
    if c.rope_scaling in ("llama3", "yarn"):
        kept = kept_by_wavelength(c, frequencies) if c.rope_scaling == "llama3" else kept_by_pair(c)
        return frequencies * (kept + (1 - kept) / c.rope_factor)
    return frequencies


def kept_by_wavelength(c: ModelConfig, frequencies: Tensor) -> Tensor:
    """How much of each frequency stays (0 to 1), by how often it turns within the original context (Llama 3.1)."""
    turns = c.rope_original_context * frequencies / (2 * math.pi)
    return ((turns - c.rope_low_frequency) / (c.rope_high_frequency - c.rope_low_frequency)).clamp(0, 1)


def kept_by_pair(c: ModelConfig) -> Tensor:
    """How much of each frequency stays (0 to 1): along a ramp over the pairs, from the one that turns `rope_high_frequency` times within
    the original context to the one that turns `rope_low_frequency` times (YaRN, Peng et al. 2023)."""

    def pair(turns: float) -> float:
        return c.head_dim * math.log(c.rope_original_context / (turns * 2 * math.pi)) / (2 * math.log(c.rope_theta))

    first, last = pair(c.rope_high_frequency), pair(c.rope_low_frequency)
    if c.rope_truncate:
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, c.head_dim - 1)
    ramp = (torch.arange(c.head_dim // 2, dtype=torch.float32) - first) / (last - first or 0.001)
    return 1 - ramp.clamp(0, 1)


def rotary_table(config: ModelConfig, first: int, last: int, length: int = 0) -> Tensor:
    """Cosines and signed sines, (2, last - first, D), for `rotate`: both halves of D alike, the sines of the first half negative."""
    angles = torch.outer(torch.arange(first, last, dtype=torch.float32), rotary_frequencies(config, length))  # (T, D / 2)
    cos, sin = angles.cos() * config.rope_attention_factor, angles.sin() * config.rope_attention_factor
    return torch.stack((torch.cat((cos, cos), -1), torch.cat((-sin, sin), -1)))


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Turn each pair (i, i + D / 2) by its position's angle: x (B, T, H, D), table (2, T, D) -> (B, H, T, D), contiguous.

    The pairs are those of transformers' Llama ("rotate half"), so weights go in and out unchanged.
    """
    return Rotate.apply(x, table[0], table[1])  # type: ignore[no-any-return,no-untyped-call]


def rotate_slowly(x: Tensor, table: Tensor) -> Tensor:
    """The twin of `rotate`, as the formula is written."""
    first, second = x.transpose(1, 2).chunk(2, -1)
    cos, sin = table[0].chunk(2, -1)[0], table[1].chunk(2, -1)[1]  # (T, D / 2)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)


class Rotate(torch.autograd.Function):
    """The backward of a turn is the turn back: two passes over the data each way, and nothing kept but the table."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return turn(x.transpose(1, 2), cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return turn(grads[0].transpose(1, 2), cos.unsqueeze(1), -sin.unsqueeze(1)), None, None


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x cos + (halves of x swapped) sin over the last axis; the result is contiguous."""
    half = x.shape[-1] // 2
    out = torch.mul(x, cos, out=torch.empty(x.shape, dtype=x.dtype, device=x.device))
    out[..., :half].addcmul_(x[..., half:], sin[..., :half])
    out[..., half:].addcmul_(x[..., :half], sin[..., half:])
    return out
