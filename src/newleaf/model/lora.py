"""Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): a frozen model learns by narrow matrices beside its own.

    y = x W^T + b + (x A^T) B^T alpha / rank        W (out, in) frozen, A (rank, in), B (out, rank)

B begins at zero, so an adapted model begins as the one that it adapts. The frozen part may be kept in 8 bits: one scale a row.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from newleaf.model.decoder import Decoder
from newleaf.model.layers import Linear, linear

A, B = "lora_A", "lora_B"  # the ends of their names


class Adapted(nn.Module):
    """A `Linear` that is frozen, and its adapter."""

    def __init__(self, frozen: Linear, rank: int, alpha: float, generator: torch.Generator, int8: bool) -> None:
        super().__init__()
        rows, columns = frozen.weight.shape
        self.scale = alpha / rank
        self.bias = frozen.bias
        if int8:
            largest = frozen.weight.detach().abs().amax(1, keepdim=True).clamp(min=1e-12)
            self.register_buffer("row_scales", largest / 127, persistent=False)
            self.register_buffer("rounded", (frozen.weight.detach() / self.row_scales).round().to(torch.int8), persistent=False)
            self.weight: Tensor | None = None
        else:
            self.weight = frozen.weight
        self.lora_A = nn.Parameter(torch.empty(rank, columns).uniform_(-(columns**-0.5), columns**-0.5, generator=generator))
        self.lora_B = nn.Parameter(torch.zeros(rows, rank))

    row_scales: Tensor
    rounded: Tensor

    def frozen(self, dtype: torch.dtype = torch.float32) -> Tensor:
        """W."""
        return self.weight.to(dtype) if self.weight is not None else self.rounded.to(dtype).mul_(self.row_scales.to(dtype))

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """x (..., in) -> (..., out) of type `dtype`"""
        x = x.to(dtype)
        narrow = linear(x, self.lora_A, None, dtype)
        frozen: Tensor = FrozenProduct.apply(x, self, dtype)  # type: ignore[no-untyped-call]
        return frozen + linear(narrow, self.lora_B * self.scale, None, dtype)

    @torch.no_grad()
    def merged(self) -> Tensor:
        """W + B A alpha / rank, (out, in) float32."""
        return self.frozen() + self.scale * (self.lora_B @ self.lora_A)


class FrozenProduct(torch.autograd.Function):
    """x W^T + b, whose backward makes W anew in the type of the product: nothing as large as W is kept for it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, product: Adapted, dtype: torch.dtype) -> Tensor:
        ctx.product, ctx.dtype = product, dtype
        return F.linear(x, product.frozen(dtype), None if product.bias is None else product.bias.to(dtype))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None]:
        return grads[0] @ ctx.product.frozen(ctx.dtype) if ctx.needs_input_grad[0] else None, None, None


def adapt(model: Decoder, rank: int, alpha: float, targets: Collection[str], generator: torch.Generator, int8: bool = False) -> None:
    """Freeze a model but for the head of a classifier, and give each product of these names an adapter."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name == "score.weight")
    for part in [module for name, module in model.named_modules() if name.endswith(("self_attn", "mlp"))]:
        for name, product in list(part.named_children()):
            if name in targets and isinstance(product, Linear):
                setattr(part, name, Adapted(product, rank, alpha, generator, int8))


def adapters(model: Decoder) -> dict[str, Adapted]:
    """By name, such as model.layers.0.self_attn.q_proj."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Adapted)}


class PlainWeights(Mapping[str, Tensor]):
    """The weights of a decoder without adapters that computes the same; those that have one are merged when they are asked for."""

    def __init__(self, model: Decoder) -> None:
        self._adapted = {f"{name}.weight": module for name, module in adapters(model).items()}
        self._others = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith((A, B))}

    def __getitem__(self, name: str) -> Tensor:
        return self._adapted[name].merged() if name in self._adapted else self._others[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._adapted | self._others)

    def __len__(self) -> int:
        return len(self._adapted | self._others)


def trained(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that training changes: all of them where nothing is frozen."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def load_trained(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put back what `trained` gave. KeyError where it is of another model."""
    for name, parameter in trained(model).items():
        parameter.copy_(weights[name])
