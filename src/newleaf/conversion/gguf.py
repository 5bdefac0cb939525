"""A decoder and its tokenizer in, one GGUF file out, for llama.cpp and everything built on it (Ollama, LM Studio, …).

The format and the names: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. llama.cpp turns neighbouring pairs of a Llama's
queries and keys where transformers turns halves, so their rows are exchanged there, and only there.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from newleaf.conversion.gguf_tokens import HINT, add_tokenizer
from newleaf.errors import ModelError
from newleaf.model.config import ModelConfig
from newleaf.model.positions import rotary_frequencies, sinusoids
from newleaf.tokens.interface import AnyTokenizer

TYPES = ("f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
FOUR_BIT = ("q5_1", "q5_0", "q4_1", "q4_0")  # there the tables of tokens, which hurt most, take q8_0
TRUNK = {"model.embed_tokens": "token_embd", "model.embed_positions": "position_embd", "model.norm": "output_norm", "lm_head": "output"}
LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(
    path: Path, config: ModelConfig, weights: Mapping[str, Tensor], tokenizer: AnyTokenizer, kind: str, name: str, end: int | None = None
) -> None:
    """Write one file, tensor by tensor; `kind` is one of TYPES, `end` the id that ends what the model writes, where it is not the end of a
    text. ModelError, naming the reason, for what GGUF cannot say."""
    from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType

    require_expressible(config)
    types = {each: GGMLQuantizationType[each.upper()] for each in TYPES}
    writer = GGUFWriter(path, str(config.family))
    writer.add_name(name)
    writer.add_file_type(LlamaFileType.ALL_F32 if kind == "f32" else LlamaFileType[f"MOSTLY_{kind.upper()}"])
    add_shape(writer, config)
    add_tokenizer(writer, tokenizer, config.vocab_size, tokenizer.end_of_text if end is None else end)
    plan = [(name, tensor, types[type_of(name, tensor, kind)]) for name, tensor in tensors(config, weights)]
    for tensor_name, tensor, type in plan:
        size = num_bytes(tensor, type)
        writer.add_tensor_info(tensor_name, tuple(tensor.shape), np.dtype(np.float32), size, raw_dtype=type)
    with closing(writer):
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for _, tensor, type in plan:
            writer.write_tensor_data(quantized(tensor, type))


def require_expressible(config: ModelConfig) -> None:
    if config.rope_scaling == "dynamic":
        raise ModelError("GGUF has no dynamic scaling of rotary positions", where="rope_scaling", hint=HINT)
    borders = (config.rope_low_frequency, config.rope_high_frequency, config.rope_truncate)
    if config.rope_scaling == "yarn" and borders != (1.0, 32.0, True):  # the keys for others exist, but are not read for these families
        reason = "llama.cpp runs YaRN with beta_fast 32, beta_slow 1 and truncate true alone"
        raise ModelError(reason, where="rope_scaling", hint=HINT)
    if config.rope_scaling == "llama3" and config.family != "llama":
        raise ModelError(f"llama.cpp has no llama3 scaling for {config.family}", where="rope_scaling", hint=HINT)
    if config.family == "gpt2" and config.mlp == "relu":
        raise ModelError("llama.cpp runs GPT-2 with GELU alone, and this model has ReLU", where="mlp", hint=HINT)


def add_shape(writer: Any, config: ModelConfig) -> None:
    """The numbers of the configuration, under the names of the architecture."""
    c = config
    writer.add_context_length(c.context)
    writer.add_embedding_length(c.width)
    writer.add_block_count(c.depth)
    writer.add_feed_forward_length(c.mlp_width)
    writer.add_head_count(c.heads)
    writer.add_vocab_size(c.vocab_size)
    if c.family == "gpt2":
        writer.add_layer_norm_eps(c.norm_eps)
        return
    writer.add_head_count_kv(c.kv_heads)
    writer.add_key_length(c.head_dim)
    writer.add_value_length(c.head_dim)
    writer.add_layer_norm_rms_eps(c.norm_eps)
    writer.add_rope_dimension_count(c.head_dim)
    writer.add_rope_freq_base(c.rope_theta)
    if c.rope_scaling in ("linear", "yarn"):
        from gguf import RopeScalingType

        writer.add_rope_scaling_type(RopeScalingType[c.rope_scaling.upper()])
        writer.add_rope_scaling_factor(c.rope_factor)
    if c.rope_scaling == "yarn":
        writer.add_rope_scaling_orig_ctx_len(c.rope_original_context)
        theirs = 1 + 0.1 * math.log(max(1.0, c.rope_factor))  # what llama.cpp multiplies with anyhow
        writer.add_rope_scaling_attn_factors(c.rope_attention_factor / theirs)


def tensors(config: ModelConfig, weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """(name in GGUF, tensor) in the order of the file."""
    for ours, theirs in TRUNK.items():
        for part in ("weight", "bias"):
            if f"{ours}.{part}" in weights:
                yield f"{theirs}.{part}", weights[f"{ours}.{part}"]
    if config.positions == "sinusoidal":
        yield "position_embd.weight", sinusoids(config.context, config.width)
    if config.rope_scaling == "llama3":
        plain = config.rope_theta ** (-torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim)
        yield "rope_freqs.weight", plain / rotary_frequencies(config)
    for layer in range(config.depth):
        for name, tensor in layer_tensors(config, weights, f"model.layers.{layer}."):
            yield f"blk.{layer}.{name}", tensor


def layer_tensors(config: ModelConfig, weights: Mapping[str, Tensor], prefix: str) -> Iterator[tuple[str, Tensor]]:
    for part in ("weight", "bias"):
        found = {ours: weights[f"{prefix}{ours}.{part}"] for ours in LAYER if f"{prefix}{ours}.{part}" in weights}
        if config.family == "gpt2":
            queries, keys, values = (found.pop(f"self_attn.{kind}_proj") for kind in "qkv")
            yield f"attn_qkv.{part}", torch.cat([queries, keys, values])
        if config.family == "llama":
            for each in ("self_attn.q_proj", "self_attn.k_proj"):
                if each in found:
                    found[each] = in_pairs(found[each], config.head_dim)
        for ours, tensor in found.items():
            yield f"{LAYER[ours]}.{part}", tensor


def in_pairs(rows: Tensor, head_dim: int) -> Tensor:
    """Rows (H D, …) of each head from halves to neighbouring pairs: 0, D/2, 1, D/2 + 1, …"""
    return rows.reshape(-1, 2, head_dim // 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def type_of(name: str, tensor: Tensor, kind: str) -> str:
    """Vectors and tables of positions stay float32; a row that is no multiple of a block of 32 falls back to f16."""
    if tensor.dim() == 1 or name == "position_embd.weight":
        return "f32"
    if kind.startswith("q") and tensor.shape[-1] % 32:
        return "f16"
    return "q8_0" if kind in FOUR_BIT and name in ("token_embd.weight", "output.weight") else kind


def num_bytes(tensor: Tensor, type: Any) -> int:
    from gguf import GGML_QUANT_SIZES

    block, size = GGML_QUANT_SIZES[type]
    return int(tensor.numel() // block * size)


def quantized(tensor: Tensor, type: Any) -> np.ndarray:
    from gguf.quants import quantize

    return np.ascontiguousarray(quantize(tensor.detach().float().cpu().contiguous().numpy(), type))


def rounded_weights(config: ModelConfig, weights: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Our weights as a file of this kind holds them: what quantising costs can be measured without leaving the house."""
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    found = {}
    for name, tensor in weights.items():
        theirs = TRUNK.get(name.rpartition(".")[0], name) + ".weight" if tensor.dim() > 1 else name
        type = GGMLQuantizationType[type_of(theirs, tensor, kind).upper()]
        found[name] = torch.from_numpy(dequantize(quantized(tensor, type), type)).view(tensor.shape)
    return found
