"""The names and layouts of tensors: ours are those of transformers' Llama, so only GPT-2 needs work.

GPT-2 keeps its matrices transposed (x W instead of x W^T) and queries, keys and values in one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from newleaf.model.config import ModelConfig
from newleaf.model.positions import sinusoids

PLAIN = {"input_layernorm": "ln_1", "post_attention_layernorm": "ln_2"}
TRANSPOSED = {
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"): "attn.c_attn",
    ("self_attn.o_proj",): "attn.c_proj",
    ("mlp.up_proj",): "mlp.c_fc",
    ("mlp.down_proj",): "mlp.c_proj",
}
TRUNK = {"model.embed_tokens": "wte", "model.embed_positions": "wpe", "model.norm": "ln_f"}
BUFFERS = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")  # no parameters: written by some versions
KINDS = ("weight", "bias")


@dataclass(frozen=True)
class Place:
    """What of ours stands in the place of one tensor of transformers': one tensor, or several behind one another along the last axis."""

    ours: tuple[str, ...]
    transposed: bool = False

    def views(self, weights: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return tuple(weights[name].t() if self.transposed else weights[name] for name in self.ours)  # t() leaves a vector as it is


def places(config: ModelConfig, names: Iterable[str]) -> dict[str, Place]:
    """{name in transformers: where the tensor is that stands there}, of a model whose tensors have these names."""
    if config.family != "gpt2":
        return {name: Place((name,)) for name in names}
    weights, found = set(names), dict[str, Place]()
    for kind in KINDS:
        for ours, theirs in TRUNK.items():
            if f"{ours}.{kind}" in weights:
                found[f"transformer.{theirs}.{kind}"] = Place((f"{ours}.{kind}",))
        for layer in range(config.depth):
            a, b = f"model.layers.{layer}", f"transformer.h.{layer}"
            for ours, theirs in PLAIN.items():
                found[f"{b}.{theirs}.{kind}"] = Place((f"{a}.{ours}.{kind}",))
            for parts, theirs in TRANSPOSED.items():
                found[f"{b}.{theirs}.{kind}"] = Place(tuple(f"{a}.{part}.{kind}" for part in parts), transposed=True)
    return found | {name: Place((name,)) for name in ("lm_head.weight", "score.weight") if name in weights}


class HuggingfaceWeights(Mapping[str, Tensor]):
    """Our tensors under the names and in the layouts of a family, each made when it is asked for; views where possible."""

    def __init__(self, config: ModelConfig, weights: Mapping[str, Tensor]) -> None:
        self._weights, self._places, self._made = weights, places(config, weights), dict[str, Tensor]()
        if config.family == "gpt2" and config.positions == "sinusoidal":
            self._made["transformer.wpe.weight"] = sinusoids(config.context, config.width)

    def __getitem__(self, name: str) -> Tensor:
        if name in self._made:
            return self._made[name]
        parts = self._places[name].views(self._weights)
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def __iter__(self) -> Iterator[str]:
        yield from self._places
        yield from self._made

    def __len__(self) -> int:
        return len(self._places) + len(self._made)


def copy_in(parts: Sequence[Tensor], tensor: Tensor) -> None:
    """Fill the views of a place from one tensor of transformers'."""
    for part, piece in zip(parts, torch.split(tensor, [part.shape[-1] for part in parts], -1), strict=True):
        part.copy_(piece)


def standard_names(config: ModelConfig, names: Iterable[str]) -> dict[str, str]:
    """{name as it should be: name in the file}: without buffers and second copies of tied weights, with the prefix that some files lack.

    >>> from newleaf.model.config import preset
    >>> standard_names(preset("gpt2", vocab_size=10, width=64, depth=1), ["h.0.ln_1.weight", "h.0.attn.bias", "lm_head.weight"])
    {'transformer.h.0.ln_1.weight': 'h.0.ln_1.weight'}
    """
    kept = [name for name in names if not name.endswith(BUFFERS) and not (config.tied and name == "lm_head.weight")]
    if config.family != "gpt2":
        return {name: name for name in kept}
    return {name if name.startswith(("transformer.", "lm_head.", "score.")) else f"transformer.{name}": name for name in kept}
