"""The names and layouts of tensors: ours are those of transformers' Llama, so only GPT-2 needs work.

GPT-2 keeps its matrices transposed (x W instead of x W^T) and queries, keys and values in one.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from newleaf.model.config import ModelConfig
from newleaf.model.positions import sinusoids

PLAIN = {"input_layernorm": "ln_1", "post_attention_layernorm": "ln_2"}
TRANSPOSED = {"self_attn.o_proj": "attn.c_proj", "mlp.up_proj": "mlp.c_fc", "mlp.down_proj": "mlp.c_proj"}
JOINED, PARTS = "attn.c_attn", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
TRUNK = {"model.embed_tokens": "wte", "model.embed_positions": "wpe", "model.norm": "ln_f"}
BUFFERS = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")  # no parameters: written by some versions
KINDS = ("weight", "bias")


def weights_to_huggingface(config: ModelConfig, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our state_dict under the names and in the layouts of the configuration's family; views where possible."""
    if config.family != "gpt2":
        return dict(weights)
    found = {"transformer.wpe.weight": sinusoids(config.context, config.width)} if config.positions == "sinusoidal" else {}
    for kind in KINDS:
        for ours, theirs in TRUNK.items():
            if f"{ours}.{kind}" in weights:
                found[f"transformer.{theirs}.{kind}"] = weights[f"{ours}.{kind}"]
        for layer in range(config.depth):
            a, b = f"model.layers.{layer}", f"transformer.h.{layer}"
            for ours, theirs in (PLAIN | TRANSPOSED).items():
                tensor = weights[f"{a}.{ours}.{kind}"]
                found[f"{b}.{theirs}.{kind}"] = tensor.t() if ours in TRANSPOSED else tensor  # t() leaves a vector as it is
            found[f"{b}.{JOINED}.{kind}"] = torch.cat([weights[f"{a}.{part}.{kind}"] for part in PARTS]).t()
    return found if config.tied else found | {"lm_head.weight": weights["lm_head.weight"]}


def weights_from_huggingface(config: ModelConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back, for tensors under the names that `standard_names` gives; views where possible."""
    if config.family != "gpt2":
        return dict(tensors)
    found: dict[str, Tensor] = {}
    for kind in KINDS:
        for ours, theirs in TRUNK.items():
            fixed = ours == "model.embed_positions" and config.positions == "sinusoidal"
            if f"transformer.{theirs}.{kind}" in tensors and not fixed:
                found[f"{ours}.{kind}"] = tensors[f"transformer.{theirs}.{kind}"]
        for layer in range(config.depth):
            a, b = f"model.layers.{layer}", f"transformer.h.{layer}"
            for ours, theirs in (PLAIN | TRANSPOSED).items():
                tensor = tensors[f"{b}.{theirs}.{kind}"]
                found[f"{a}.{ours}.{kind}"] = tensor.t() if ours in TRANSPOSED else tensor
            parts = tensors[f"{b}.{JOINED}.{kind}"].t().chunk(len(PARTS))
            found |= {f"{a}.{part}.{kind}": tensor for part, tensor in zip(PARTS, parts, strict=True)}
    return found if config.tied else found | {"lm_head.weight": tensors["lm_head.weight"]}


def standard_names(config: ModelConfig, names: Iterable[str]) -> dict[str, str]:
    """{name as it should be: name in the file}: without buffers and second copies of tied weights, with the prefix that some files lack.

    >>> from newleaf.model.config import preset
    >>> standard_names(preset("gpt2", vocab_size=10, width=64, depth=1), ["h.0.ln_1.weight", "h.0.attn.bias", "lm_head.weight"])
    {'transformer.h.0.ln_1.weight': 'h.0.ln_1.weight'}
    """
    kept = [name for name in names if not name.endswith(BUFFERS) and not (config.tied and name == "lm_head.weight")]
    if config.family != "gpt2":
        return {name: name for name in kept}
    return {name if name.startswith(("transformer.", "lm_head.")) else f"transformer.{name}": name for name in kept}
