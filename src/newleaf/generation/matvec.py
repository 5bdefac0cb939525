"""One id in, the logits of the next one out: a decoder as products of matrices with one vector, for a CPU.

A single token reads every weight once and does little else, so its time is that of memory, if nothing stands in the way:
`torch.mv` reads at the full rate where `F.linear` reaches half of it in bf16 (on a processor that MKL does not know, a product of
two halves in float32), bf16 weights are cast once, and each small
operation that is saved is time in which weights are read: hence the buffers that are allocated once, and whatever all layers
share computed once a token. There is one row and never a batch: four rows in float32 take twice the time of one and round
differently, so a sample that must not depend on its neighbours would always cost as much as four. The twin is `Decoder` with
a cache, which also reads the prompts.
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
from newleaf.runtime import can, made_by_intel


class Product:
    """x (in) -> (out): what several matrices (out, in) with their biases give for the same x, one behind the other, in the type of
    products. The result stands in `out`, until the next call.
    """

    def __init__(self, weights: Sequence[Tensor], biases: Sequence[Tensor | None], dtype: torch.dtype) -> None:
        weights = [weight.detach().to(dtype) for weight in weights]
        biases = [None if bias is None else bias.detach().to(dtype) for bias in biases]
        if dtype != torch.float32:  # copies anyway: one product of joined matrices takes less time than several
            weights, biases = [torch.cat(list(weights))], [None if None in biases else torch.cat(cast(list[Tensor], biases))]
        self.out = torch.empty(sum(len(weight) for weight in weights), dtype=dtype)
        self.outs = torch.split(self.out, [len(weight) for weight in weights])
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weights[0], 1) if packing_pays(dtype) else None
        self.weights, self.biases = weights if self.packed is None else [], biases
        self.halved = dtype == torch.float32 and torch.backends.mkl.is_available() and not made_by_intel()  # type: ignore[no-untyped-call]

    def __call__(self, x: Tensor) -> Tensor:
        x = x.to(self.out.dtype)
        if self.packed is not None:
            return self.out.copy_(torch.ops.mkldnn._linear_pointwise(x[None], self.packed, self.biases[0], "none", [], "")[0])
        for weight, bias, out in zip(self.weights, self.biases, self.outs, strict=True):
            if self.halved:
                multiply_in_halves(weight, x, out)
                if bias is not None:
                    out.add_(bias)
            elif bias is None:
                torch.mv(weight, x, out=out)
            else:
                torch.addmv(bias, weight, x, out=out)
        return self.out


def multiply_in_halves(weight: Tensor, x: Tensor, out: Tensor) -> None:
    """weight (R, in) times x (in) -> out (R), each half of the rows on a core of its own."""
    even = len(weight) // 2 * 2
    torch.bmm(weight[:even].view(2, -1, len(x)), x[None].t().expand(2, -1, -1), out=out[:even].view(2, -1, 1))
    if even < len(weight):
        torch.mv(weight[even:], x, out=out[even:])


def product_of(parts: Sequence[Linear], dtype: torch.dtype) -> Product:
    """Of several `Linear`."""
    return Product([part.weight for part in parts], [part.bias for part in parts], dtype)


def packing_pays(dtype: torch.dtype) -> bool:
    """Whether oneDNN's own order of a bf16 matrix is read faster than `torch.mv` reads rows: 2 to 3 times as fast with avx512_bf16;
    with AMX `torch.mv` is the fast one (lab/LOG.md, 2026-11-24)."""
    known = hasattr(torch.ops.mkldnn, "_reorder_linear_weight") and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return dtype == torch.bfloat16 and known and can("avx512_bf16") and not can("amx_bf16")


class VectorNorm:
    """`Norm` of one vector: x (W) -> (W) float32."""

    def __init__(self, norm: Norm) -> None:
        self.weight, self.eps = norm.weight.detach(), norm.eps
        self.bias = None if norm.bias is None else norm.bias.detach()
        self.zero = torch.zeros(())

    def __call__(self, x: Tensor) -> Tensor:
        if self.bias is not None:
            return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)
        mean_square = torch.dot(x, x).item() / len(x)
        return torch.addcmul(self.zero, x, self.weight, value=1 / math.sqrt(mean_square + self.eps))


class RowLayer:
    """One layer of the decoder for one token of one row: adds to x (W) float32."""

    def __init__(self, layer: Layer, dtype: torch.dtype) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.config = c = attention.config
        self.first_norm, self.second_norm = VectorNorm(layer.input_layernorm), VectorNorm(layer.post_attention_layernorm)
        self.qkv = product_of([attention.q_proj, attention.k_proj, attention.v_proj], dtype)
        self.mixed = product_of([attention.o_proj], dtype)
        self.up = product_of([mlp.gate_proj, mlp.up_proj] if c.mlp == "swiglu" else [mlp.up_proj], dtype)
        self.down = product_of([mlp.down_proj], dtype)
        self.asking, self.values = torch.split(self.qkv.out.view(-1, c.head_dim), [c.heads + c.kv_heads, c.kv_heads])  # q with k, v
        self.hidden = torch.chunk(self.up.out, 2 if c.mlp == "swiglu" else 1)  # after the gate, if there is one
        self.other_half = torch.arange(c.head_dim).roll(c.head_dim // 2)
        self.floor = torch.tensor(math.sqrt(c.head_dim * c.norm_eps))

    def __call__(self, x: Tensor, turn: tuple[Tensor, Tensor] | None, new: tuple[Tensor, Tensor], all: tuple[Tensor, Tensor]) -> None:
        """`turn` as from `turns`; the places in the cache of `new` key and value, (K, D) each, and of `all` so far, (1, K, S, D) each."""
        self.qkv(self.first_norm(x))
        asking = self.asking if turn is None else self.turned(*turn)  # (H + K, D)
        new[0].copy_(asking[self.config.heads :])
        new[1].copy_(self.values)
        # heads that share keys stand behind one another, as if they were several queries
        queries = asking[: self.config.heads].to(self.values.dtype).view(1, self.config.kv_heads, -1, self.config.head_dim)
        x.add_(self.mixed(F.scaled_dot_product_attention(queries, *all).flatten()))
        x.add_(self.think(self.second_norm(x)))

    def turned(self, cos: Tensor, sin: Tensor) -> Tensor:
        """Queries and keys (H + K, D) float32, normalised if the model does so, at their position."""
        asking = self.asking.float()
        if self.config.qk_norm:  # hypot(length, sqrt(D eps)) is sqrt(D) times the root mean square with eps
            length = torch.linalg.vector_norm(asking, dim=-1, keepdim=True)
            asking = asking / torch.hypot(length, self.floor)
        return torch.mul(asking, cos).addcmul_(asking.index_select(-1, self.other_half), sin)

    def think(self, x: Tensor) -> Tensor:
        """The feed-forward part."""
        self.up(x)
        *gate, hidden = self.hidden
        if gate:
            return self.down(F.silu(gate[0]).mul_(hidden))
        return self.down(F.gelu(hidden, approximate="tanh") if self.config.mlp == "gelu" else F.relu(hidden))


class RowDecoder:
    """`Decoder` for one more token of one row. In float32 it reads the model's own matrices, in bf16 copies of them."""

    def __init__(self, model: Decoder, precision: Precision) -> None:
        dtype, layers = PRODUCT_DTYPE[precision], [cast(Layer, layer) for layer in model.model.layers]
        self.model, self.config = model, model.config
        self.layers = [RowLayer(layer, dtype) for layer in layers]
        self.norm = VectorNorm(model.model.norm)
        self.head = Product([model.head_weight], [None], dtype)
        if self.config.qk_norm:
            self.head_weights = torch.stack([head_weights(layer) for layer in layers], dim=1)  # (2, depth, H + K, D)

    def logits(self, id: int, cache: Cache) -> Tensor:
        """The logits (V) float32 after the tokens in `cache`, of one row, and `id`, which is added to it."""
        place = cache.length
        x = self.model.embed(torch.tensor([id]), place, place + 1)[0]  # (W)
        new = zip(cache.keys[:, 0, :, place], cache.values[:, 0, :, place], strict=True)
        all = zip(cache.keys[:, :, :, : place + 1], cache.values[:, :, :, : place + 1], strict=True)
        for layer, turn, new_pair, all_pairs in zip(self.layers, self.turns(place), new, all, strict=True):
            layer(x, turn, new_pair, all_pairs)
        cache.advance(1)
        return self.logits_of(self.norm(x))

    def logits_of(self, hidden: Tensor) -> Tensor:
        """hidden (W) float32, normalised -> logits (V) float32."""
        return self.head(hidden).to(torch.float32, copy=True)

    def turns(self, place: int) -> Sequence[tuple[Tensor, Tensor] | None]:
        """For each layer what to multiply queries and keys, and their halves exchanged, with: (D) or (H + K, D) both."""
        if self.config.positions == "rope":
            rotation = self.model.rotation(place, place + 1)[:, 0]  # (2, D)
        elif self.config.qk_norm:
            rotation = torch.tensor([[1.0], [0.0]])
        else:
            return [None] * self.config.depth
        if not self.config.qk_norm:
            return [(rotation[0], rotation[1])] * self.config.depth
        cos, sin = self.head_weights * rotation[:, None, None]
        return list(zip(cos, sin, strict=True))


def head_weights(layer: Layer) -> Tensor:
    """The weights of the norms over each head of q and k times sqrt(D), and the same with halves exchanged: (2, H + K, D)."""
    c, attention = layer.self_attn.config, layer.self_attn
    weights = torch.cat([attention.q_norm.weight.expand(c.heads, -1), attention.k_norm.weight.expand(c.kv_heads, -1)]).detach()
    return torch.stack([weights, weights.roll(c.head_dim // 2, -1)]) * math.sqrt(c.head_dim)
