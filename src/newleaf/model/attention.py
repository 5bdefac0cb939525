"""Queries, keys and values in, mixed values out; causal, with grouped heads.

`attend` takes the fastest way that there is and `attend_slowly` is its twin. Training on a CPU goes its own way: plain products of
blocks take two thirds of the time of torch's fused kernel in float32, and less in bf16 (lab/LOG.md, 2026-11-24).
"""

import math
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from newleaf.model.cache import Cache
from newleaf.model.config import ModelConfig
from newleaf.model.layers import PRODUCT_DTYPE, Linear, Norm
from newleaf.model.positions import rotate
from newleaf.runtime import can

MAX_KEPT = 1024  # tokens; in longer texts probabilities are computed again in the backward, as they would fill the memory


class Attention(nn.Module):
    """x (B, T, W) -> (B, T, W): every token looks at itself and at those before it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        inputs, output = config.bias in ("all", "qkv"), config.bias == "all"
        self.q_proj = Linear(config.width, config.heads * config.head_dim, inputs)
        self.k_proj = Linear(config.width, config.kv_heads * config.head_dim, inputs)
        self.v_proj = Linear(config.width, config.kv_heads * config.head_dim, inputs)
        self.o_proj = Linear(config.heads * config.head_dim, config.width, output)
        if config.qk_norm:
            self.q_norm = Norm(config.head_dim, "rmsnorm", config.norm_eps)
            self.k_norm = Norm(config.head_dim, "rmsnorm", config.norm_eps)

    def forward(self, x: Tensor, dtype: torch.dtype, rotation: Tensor | None, cache: Cache | None, layer: int) -> Tensor:
        """`rotation` (2, T, D) is the rotary table at the positions of x; `cache` holds what `layer` saw before x."""
        x = x.to(dtype)  # once, for three products
        q, k, v = (project(x, dtype).unflatten(-1, (-1, self.config.head_dim)) for project in (self.q_proj, self.k_proj, self.v_proj))
        if self.config.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)  # (B, T, H or K, D)
        if rotation is None:
            q, k = q.transpose(1, 2), k.transpose(1, 2)
        else:
            q, k = rotate(q.float(), rotation), rotate(k.float(), rotation)
        q, k, v = q.to(dtype), k.to(dtype), v.transpose(1, 2)  # (B, H or K, T, D)
        if cache is not None:
            k, v = cache.append(layer, k, v)  # (B, K, S, D)
        return self.o_proj(attend(q, k, v).transpose(1, 2).flatten(2), dtype)  # type: ignore[no-any-return]


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q (B, H, T, D), k and v (B, K, S, D) -> (B, H, T, D). The queries are the last T of S positions, and none looks ahead."""
    num_queries, num_keys = q.shape[2], k.shape[2]
    if q.dtype in PRODUCT_DTYPE.values() and q.device.type == "cpu" and q.requires_grad and num_queries == num_keys:
        return CausalBlocks.apply(q, k, v)  # type: ignore[no-any-return,no-untyped-call]
    mask = None
    if 1 < num_queries < num_keys:
        mask = torch.ones(num_queries, num_keys, dtype=torch.bool, device=q.device).tril_(num_keys - num_queries)
    causal = num_queries == num_keys > 1
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1])


def attend_slowly(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The twin of `attend`: softmax(q k^T / sqrt(D)) v, with the keys ahead at minus infinity."""
    num_queries, num_keys, groups = q.shape[2], k.shape[2], q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)  # (B, H, S, D)
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])  # (B, H, T, S)
    ahead = torch.ones(num_queries, num_keys, dtype=torch.bool, device=q.device).triu(num_keys - num_queries + 1)
    return scores.masked_fill(ahead, -torch.inf).softmax(-1) @ v


class CausalBlocks(torch.autograd.Function):
    """Attention as batched products: a block of queries at a time, against the keys up to the block's end.

    Heads that share keys stand behind one another as further queries: (B, H, T, D) is also (B K, H / K, T, D).
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        (batch, heads, length, size), kv_heads = q.shape, k.shape[1]
        q = q.reshape(batch * kv_heads, heads // kv_heads, length, size)
        k, v = k.reshape(-1, length, size), v.reshape(-1, length, size)  # (B K, S, D)
        out = q.new_empty(batch, length, heads, size)  # as o_proj will read it
        kept = []
        for first, last in blocks(length, q.dtype):
            probabilities = look(q[:, :, first:last], k[:, :last])
            mixed = probabilities @ v[:, :last]
            out[:, first:last] = mixed.view(batch, heads, last - first, size).transpose(1, 2)
            kept += [probabilities] if length <= MAX_KEPT else []
        ctx.save_for_backward(q, k, v, *kept)
        return out.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v, *kept = ctx.saved_tensors
        (batch, _, length, size), scale = grads[0].shape, 1 / math.sqrt(q.shape[3])
        grad = grads[0].reshape(q.shape)
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for number, (first, last) in enumerate(blocks(length, q.dtype)):
            queries, grad_out = q[:, :, first:last], grad[:, :, first:last].flatten(1, 2)
            probabilities = kept[number] if kept else look(queries, k[:, :last])
            grad_probabilities = grad_out @ v[:, :last].transpose(1, 2)
            grad_scores = torch.ops.aten._softmax_backward_data(grad_probabilities, probabilities, -1, q.dtype)
            grad_q[:, :, first:last] = scaled_product(grad_scores, k[:, :last], scale).view(queries.shape)
            add_product_(grad_k[:, :last], grad_scores.transpose(1, 2), queries.flatten(1, 2), scale)
            add_product_(grad_v[:, :last], probabilities.transpose(1, 2), grad_out, 1.0)
        split = (batch, -1, length, size)
        return grad_q.view(split), grad_k.view(split), grad_v.view(split)


def blocks(length: int, dtype: torch.dtype) -> list[tuple[int, int]]:
    """(first, last) of each block of queries."""
    size = block(dtype)
    return [(first, min(first + size, length)) for first in range(0, length, size)]


@cache
def block(dtype: torch.dtype) -> int:
    """Queries at a time; half and twice as many take longer (lab/LOG.md, 2026-11-26)."""
    return 256 if dtype == torch.bfloat16 and can("amx_bf16") else 64


def look(queries: Tensor, keys: Tensor) -> Tensor:
    """Probabilities (B K, G T, S) of the last T positions: queries (B K, G, T, D), keys (B K, S, D)."""
    num_queries, num_keys = queries.shape[2], keys.shape[1]
    scores = scaled_product(queries.flatten(1, 2), keys.transpose(1, 2), 1 / math.sqrt(queries.shape[3]))
    ahead = torch.full((num_queries, num_queries), -torch.inf, dtype=scores.dtype).triu_(1)
    scores.view(len(keys), -1, num_queries, num_keys)[..., num_keys - num_queries :].add_(ahead)  # all other keys are before them
    return scores.softmax(-1)


def scaled_product(left: Tensor, right: Tensor, scale: float) -> Tensor:
    """scale · left @ right of two stacks of matrices, without another pass over the result."""
    return torch.baddbmm(left.new_zeros(()), left, right, beta=0, alpha=scale)


def add_product_(to: Tensor, left: Tensor, right: Tensor, scale: float) -> None:
    """to += scale · left @ right, in place."""
    torch.baddbmm(to, left, right, alpha=scale, out=to)
