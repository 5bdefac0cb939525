"""The small parts of a decoder: products, norms, the feed-forward part, dropout.

On a CPU in eager mode a training step is as much reading and writing as multiplying, so each part here is the form with the
fewest passes over memory; its twin, named `..._slowly`, is the formula as it is written. bf16 is a type of matrix products
alone: what enters one is rounded on the way in, norms and the residual stream stay float32.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from newleaf.model.config import Mlp as MlpKind
from newleaf.model.config import ModelConfig

Precision = Literal["float32", "bf16"]
PRODUCT_DTYPE: dict[str, torch.dtype] = {"float32": torch.float32, "bf16": torch.bfloat16}


class Linear(nn.Module):
    """y = x W^T + b, in the type of products asked for: x (..., in) -> (..., out). Uninitialised: `Decoder` draws its weights."""

    def __init__(self, in_width: int, out_width: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_width, in_width))
        self.bias = nn.Parameter(torch.empty(out_width)) if bias else None

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return linear(x, self.weight, self.bias, dtype)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Tensor:
    """x (..., in), weight (out, in) -> (..., out) of type `dtype`; what already has the type is not copied."""
    return F.linear(x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype))


class Norm(nn.Module):
    """RMSNorm, or LayerNorm with a bias, over the last axis; the result is float32."""

    def __init__(self, width: int, kind: Literal["layernorm", "rmsnorm"], eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width)) if kind == "layernorm" else None

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        if self.bias is not None:
            return F.layer_norm(x, (x.shape[-1],), self.weight, self.bias, self.eps)
        return rms_norm(x, self.weight, self.eps)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean of x² + eps) * weight over the last axis (Zhang and Sennrich 2019), float32.

    On the CPU torch's own backward of it costs three to four times that of layer_norm, so there it goes through layer_norm's.
    """
    if x.device.type == "cpu" and torch.is_grad_enabled():
        return RmsNorm.apply(x, weight, eps)  # type: ignore[no-any-return,no-untyped-call]
    return F.rms_norm(x, (x.shape[-1],), weight, eps)


class RmsNorm(torch.autograd.Function):
    """RMSNorm whose backward is the fused kernel of layer_norm's, told that the mean is zero.

    With mean 0 and 1 / rms in the place of 1 / deviation that kernel gives r (gw - mean(gw) - x̂ mean(gw x̂)), where RMSNorm
    wants the same without mean(gw); the difference is one number a row, added back.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = length.square_().div_(x.shape[-1]).add_(eps).rsqrt_()  # (..., 1)
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        x, weight, scale = ctx.saved_tensors  # type: ignore[attr-defined]
        grad_x, grad_weight, _ = torch.ops.aten.native_layer_norm_backward(
            grad, x, weight.shape, torch.zeros_like(scale), scale, weight, None, [True, True, False]
        )
        mean = (grad @ weight).unsqueeze(-1).div_(weight.numel())
        return grad_x.add_(mean.mul_(scale)), grad_weight, None


class FeedForward(nn.Module):
    """What each token does by itself: x (..., W) -> (..., W), in the type of products; gated for swiglu."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        bias = config.bias == "all"
        self.kind: MlpKind = config.mlp
        if config.mlp == "swiglu":
            self.gate_proj = Linear(config.width, config.mlp_width, bias)
        self.up_proj = Linear(config.width, config.mlp_width, bias)
        self.down_proj = Linear(config.mlp_width, config.width, bias)

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        x = x.to(dtype)
        up = self.up_proj(x, dtype)
        if self.kind == "swiglu":
            hidden = swiglu(self.gate_proj(x, dtype), up)
        else:
            hidden = F.gelu(up, approximate="tanh") if self.kind == "gelu" else F.relu(up)
        return self.down_proj(hidden, dtype)  # type: ignore[no-any-return]


class SwiGlu(torch.autograd.Function):
    """silu(gate) * up, keeping only gate and up: silu is computed again in the backward, in buffers that are used twice."""

    @staticmethod
    def forward(ctx: FunctionCtx, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        gate, up = ctx.saved_tensors  # type: ignore[attr-defined]
        grad_up = F.silu(gate).mul_(grad)
        return torch.ops.aten.silu_backward(grad * up, gate), grad_up


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) * up (Shazeer 2020), both (..., M)."""
    return SwiGlu.apply(gate, up)  # type: ignore[no-any-return,no-untyped-call]


def swiglu_slowly(gate: Tensor, up: Tensor) -> Tensor:
    """The twin of `swiglu`."""
    return gate * torch.sigmoid(gate) * up


class Dropout:
    """Zeroes each number with probability p, drawing from the generator passed in; the rest grows by 1 / (1 - p)."""

    def __init__(self, p: float, generator: torch.Generator) -> None:
        self.p, self.generator = p, generator

    def __call__(self, x: Tensor) -> Tensor:
        kept = torch.empty_like(x).bernoulli_(1 - self.p, generator=self.generator)
        return x * kept.div_(1 - self.p)
