"""The names and layouts of tensors: ours are those of transformers' Llama, so only GPT-2 needs work.

GPT-2 keeps its matrices transposed (x W instead of x W^T) and queries, keys and values in one.
"""

from collections.abc import Iterable, Mapping, Sequence

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


def places(config: ModelConfig, weights: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, ...]]:
    """{name in transformers: views of our tensors that stand there, one behind the other along the last axis}."""
    if config.family != "gpt2":
        return {name: (weight,) for name, weight in weights.items()}
    found: dict[str, tuple[Tensor, ...]] = {}
    for kind in KINDS:
        for ours, theirs in TRUNK.items():
            if f"{ours}.{kind}" in weights:
                found[f"transformer.{theirs}.{kind}"] = (weights[f"{ours}.{kind}"],)
        for layer in range(config.depth):
            a, b = f"model.layers.{layer}", f"transformer.h.{layer}"
            for ours, theirs in PLAIN.items():
                found[f"{b}.{theirs}.{kind}"] = (weights[f"{a}.{ours}.{kind}"],)
            for parts, theirs in TRANSPOSED.items():  # t() leaves a vector as it is
                found[f"{b}.{theirs}.{kind}"] = tuple(weights[f"{a}.{part}.{kind}"].t() for part in parts)
    return found | {name: (weights[name],) for name in ("lm_head.weight", "score.weight") if name in weights}


def weights_to_huggingface(config: ModelConfig, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state_dict under the names and in the layouts of the configuration's family; views where possible."""
    found = {name: parts[0] if len(parts) == 1 else torch.cat(parts, -1) for name, parts in places(config, weights).items()}
    if config.family == "gpt2" and config.positions == "sinusoidal":
        found["transformer.wpe.weight"] = sinusoids(config.context, config.width)
    return found


def copy_in(parts: Sequence[Tensor], tensor: Tensor) -> None:
    """Fill `parts`, as from `places`, from one tensor of transformers'."""
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
