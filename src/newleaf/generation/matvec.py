"""One id in, the logits of the next one out: a decoder as products of matrices with one vector, for a CPU.

A single token reads every weight once and does little else, so its time is that of memory, if nothing stands in the way:
`torch.mv` reads at the full rate where `F.linear` reaches a third of it in bf16, bf16 weights are cast once, and each small
operation that is saved is time that no weight is read. A batch would be no quicker in float32 (4 rows cost twice one row) and
would round differently from one row, so there is none: samples that begin with the same prompt share its cache. The twin is
`Decoder.forward` with a cache, which does prompts, and everything on other devices.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from newleaf.model.cache import Cache
from newleaf.model.decoder import Decoder, Layer
from newleaf.model.layers import PRODUCT_DTYPE, Linear, Norm, Precision


class Product:
    """x (in) -> (out): what several `Linear` that read the same x give, one behind the other, in the type of products."""

    def __init__(self, parts: Sequence[Linear], dtype: torch.dtype) -> None:
        weights = [part.weight.detach().to(dtype) for part in parts]
        biases = [part.bias.detach().to(dtype) for part in parts if part.bias is not None]
        if dtype != torch.float32:  # copies anyway: one product of joined matrices costs less than several
            weights, biases = [torch.cat(weights)], [torch.cat(biases)] if biases else []
        self.dtype, self.weights = dtype, weights
        self.bias = torch.cat(biases) if biases else None

    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self.dtype)
        outs = [torch.mv(weight, x) for weight in self.weights]
        out = outs[0] if len(outs) == 1 else torch.cat(outs)
        return out if self.bias is None else out.add_(self.bias)


def normalised(x: Tensor, norm: Norm) -> Tensor:
    """`norm` of one vector (W): float32."""
    if norm.bias is not None:
        return F.layer_norm(x, (len(x),), norm.weight, norm.bias, norm.eps)
    scale = 1 / math.sqrt(torch.dot(x, x).item() / len(x) + norm.eps)
    return (x * scale).mul_(norm.weight)


class RowLayer:
    """One layer of the decoder, for one row."""

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.config, self.dtype = attention.config, dtype
        self.first_norm, self.second_norm = layer.input_layernorm, layer.post_attention_layernorm
        self.qkv = Product([attention.q_proj, attention.k_proj, attention.v_proj], dtype)
        self.mixed = Product([attention.o_proj], dtype)
        gated = self.config.mlp == "swiglu"
        self.up = Product([mlp.gate_proj, mlp.up_proj] if gated else [mlp.up_proj], dtype)
        self.down = Product([mlp.down_proj], dtype)
        if self.config.qk_norm:
            repeats = [self.config.heads, self.config.kv_heads]
            weights = torch.stack([attention.q_norm.weight.detach(), attention.k_norm.weight.detach()])
            self.head_norm = weights.repeat_interleave(torch.tensor(repeats), 0)  # (H + K, D)

    def __call__(self, x: Tensor, rotation: Tensor | None, keys: Tensor, values: Tensor) -> Tensor:
        """x (W), rotation (2, D), keys and values (K, S, D) with room for this token at the end -> (W)"""
        x = x + self.attend(normalised(x, self.first_norm), rotation, keys, values)
        return x + self.feed_forward(normalised(x, self.second_norm))

    def attend(self, x: Tensor, rotation: Tensor | None, keys: Tensor, values: Tensor) -> Tensor:
        c = self.config
        heads = self.qkv(x).view(-1, c.head_dim)  # (H + 2 K, D)
        asking = heads[: c.heads + c.kv_heads]  # queries and keys
        if c.qk_norm:
            asking = F.rms_norm(asking.float(), (c.head_dim,), None, c.norm_eps).mul_(self.head_norm)
        if rotation is not None:
            asking = asking.float()
            asking = (asking * rotation[0]).addcmul_(asking.roll(c.head_dim // 2, -1), rotation[1])
        asking = asking.to(self.dtype)
        keys[:, -1] = asking[c.heads :]
        values[:, -1] = heads[c.heads + c.kv_heads :]
        queries = asking[: c.heads].view(1, c.kv_heads, -1, c.head_dim)  # heads that share keys: queries behind one another
        return self.mixed(F.scaled_dot_product_attention(queries, keys[None], values[None]).reshape(-1))

    def feed_forward(self, x: Tensor) -> Tensor:
        hidden = self.up(x)  # (M), or (2 M) with the gate first
        if self.config.mlp == "swiglu":
            gate, up = hidden.chunk(2)
            hidden = F.silu(gate).mul_(up)
        else:
            hidden = F.gelu(hidden, approximate="tanh") if self.config.mlp == "gelu" else F.relu(hidden)
        return self.down(hidden)


class RowDecoder:
    """`Decoder` for one more token of one row. In float32 it holds the model's own weights, in bf16 a copy of the matrices."""

    def __init__(self, model: Decoder, precision: Precision) -> None:
        dtype = PRODUCT_DTYPE[precision]
        self.model = model
        self.layers = [RowLayer(cast(Layer, layer), dtype) for layer in model.model.layers]
        self.head = model.head_weight.detach().to(dtype)

    def logits(self, id: int, cache: Cache) -> Tensor:
        """The logits (V) float32 after the tokens in `cache`, of one row, and `id`, which is added to it."""
        trunk, place = self.model.model, cache.length
        x, rotation = trunk.embed_tokens.weight[id], None
        if self.model.config.positions == "rope":
            rotation = self.model.table[:, place]
        elif self.model.config.positions == "sinusoidal":
            x = x + self.model.table[place]
        else:
            x = x + trunk.embed_positions.weight[place]
        for layer, keys, values in zip(self.layers, cache.keys[:, 0, :, : place + 1], cache.values[:, 0, :, : place + 1], strict=True):
            x = layer(x, rotation, keys, values)
        cache.advance(1)
        return torch.mv(self.head, normalised(x, trunk.norm).to(self.head.dtype)).float()
