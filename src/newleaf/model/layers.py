"""The small parts of a decoder: products, norms, the feed-forward part, dropout.

On a CPU in eager mode a training step is as much reading and writing as multiplying, so each part has the form with the fewest
passes over memory. bf16 is a type of matrix products alone: numbers are rounded on their way into a product, and norms and the
residual stream stay float32.
"""

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from newleaf.model.config import ModelConfig
from newleaf.model.config import Norm as NormKind

Precision = Literal["float32", "bf16"]
PRODUCT_DTYPE: dict[Precision, torch.dtype] = {"float32": torch.float32, "bf16": torch.bfloat16}


class Linear(nn.Module):
    """y = x W^T + b, in a type of products. Uninitialised: the decoder draws the weights, from its own generator."""

    def __init__(self, in_width: int, out_width: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_width, in_width))
        self.bias = nn.Parameter(torch.empty(out_width)) if bias else None

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """x (..., in) -> (..., out) of type `dtype`"""
        return linear(x, self.weight, self.bias, dtype)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """x (..., in), weight (out, in), bias (out) -> (..., out), all rounded to `dtype`."""
    return F.linear(x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))


class Norm(nn.Module):
    """RMSNorm, or LayerNorm with a bias, over the last axis, in float32."""

    def __init__(self, width: int, kind: NormKind, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width)) if kind == "layernorm" else None

    def forward(self, x: Tensor) -> Tensor:
        """x (..., width) -> the same shape, float32"""
        if self.bias is not None:
            return F.layer_norm(x.float(), self.weight.shape, self.weight, self.bias, self.eps)
        return rms_norm(x.float(), self.weight, self.eps)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean of x² + eps) · weight over the last axis (Zhang and Sennrich 2019), all float32."""
    if x.device.type == "cpu" and torch.is_grad_enabled():
        return RmsNorm.apply(x, weight, eps)  # type: ignore[no-any-return,no-untyped-call]
    return F.rms_norm(x, weight.shape, weight, eps)


class RmsNorm(torch.autograd.Function):
    """RMSNorm by the fused backward of layer_norm: on a CPU, torch's own backward takes three to four times as long.

    For a row x with deviation 1 / r and mean m that kernel gives, with x̂ = (x - m) r and the gradient g times the weight,
    r (g - mean(g) - x̂ mean(g x̂)). Told that m is 0 and that r is 1 / rms it gives RMSNorm's gradient but for the term mean(g),
    one number a row, which is added back.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()  # (..., 1)
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, scale = ctx.saved_tensors
        grad_x, grad_weight, _ = torch.ops.aten.native_layer_norm_backward(
            grads[0], x, weight.shape, torch.zeros_like(scale), scale, weight, None, [True, True, False]
        )
        mean = (grads[0] @ weight).unsqueeze(-1).div_(x.shape[-1])  # (..., 1)
        return grad_x.add_(mean.mul_(scale)), grad_weight, None


class FeedForward(nn.Module):
    """What each token does by itself, x (B, T, W) -> (B, T, W): up to M, through the activation (gated for swiglu), down."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.kind, bias = config.mlp, config.bias == "all"
        if self.kind == "swiglu":
            self.gate_proj = Linear(config.width, config.mlp_width, bias)
        self.up_proj = Linear(config.width, config.mlp_width, bias)
        self.down_proj = Linear(config.mlp_width, config.width, bias)

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        x = x.to(dtype)  # once, for both products
        hidden = self.up_proj(x, dtype)  # (B, T, M)
        if self.kind == "swiglu":
            hidden = F.silu(self.gate_proj(x, dtype)) * hidden
        else:
            hidden = F.gelu(hidden, approximate="tanh") if self.kind == "gelu" else F.relu(hidden)
        return self.down_proj(hidden, dtype)  # type: ignore[no-any-return]


class Dropout:
    """Each number becomes 0 with probability p, drawn from the generator passed in; the others grow by 1 / (1 - p).

    One random byte decides over one number, so p is rounded to 256ths: drawing is an eighth of the work that way.

    >>> dropout = Dropout(0.5, torch.Generator().manual_seed(0))
    >>> sorted(set(dropout(torch.ones(100)).tolist()))
    [0.0, 2.0]
    """

    def __init__(self, p: float, generator: torch.Generator) -> None:
        self.generator, self.dropped = generator, round(p * 256)

    def __call__(self, x: Tensor) -> Tensor:
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None, generator=self.generator)
        kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= self.dropped
        return x * kept.to(x.dtype).mul_(256 / (256 - self.dropped))
