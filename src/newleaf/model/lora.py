"""Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): a frozen model learns by narrow matrices beside its own.

    y = x W^T + b + (x A^T) B^T alpha / rank        W (out, in) frozen, A (rank, in), B (out, rank)

B begins at zero, so an adapted model begins as the one that it adapts. The frozen part may be kept in 8 bits: one scale a row.
"""

from collections.abc import Collection, Mapping

import torch
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
        return self.weight if self.weight is not None else self.rounded.to(dtype) * self.row_scales.to(dtype)

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """x (..., in) -> (..., out) of type `dtype`"""
        x = x.to(dtype)
        narrow = linear(x, self.lora_A, None, dtype)
        return linear(x, self.frozen(dtype), self.bias, dtype) + linear(narrow, self.lora_B * self.scale, None, dtype)

    @torch.no_grad()
    def merged(self) -> Tensor:
        """W + B A alpha / rank, (out, in) float32."""
        return self.frozen() + self.scale * (self.lora_B @ self.lora_A)


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


def merged(model: Decoder) -> Decoder:
    """A plain decoder that computes the same, for reading: what has no adapter is not copied. The model itself where it has none."""
    found = adapters(model)
    if not found:
        return model
    plain = Decoder(model.config, initialised=False).to(model.device)
    theirs = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith((A, B))}
    plain.load_state_dict(theirs | {f"{name}.weight": module.merged() for name, module in found.items()}, assign=True)
    return plain


def trained(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that training changes: all of them where nothing is frozen."""
    return {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def load_trained(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put back what `trained` gave. KeyError where it is of another model."""
    for name, parameter in trained(model).items():
        parameter.copy_(weights[name])
