"""Queries, keys and values in, mixed values out; causal, with grouped heads.

`attend` takes the fastest way that the machine has and `attend_slowly` is its twin. Training in bf16 on a CPU has a way of its
own: torch's fused kernel is slower there in bf16 than in float32, both in its backward, while plain products of blocks run at
the full bf16 rate.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from newleaf.model.cache import Cache
from newleaf.model.config import ModelConfig
from newleaf.model.layers import Linear, Norm
from newleaf.model.positions import rotate

BLOCK = 256  # queries at a time: 128 and 512 are slower at 1,024 tokens, below 256 the split costs what it saves


class Attention(nn.Module):
    """x (B, T, W) -> (B, T, W): every token looks at itself and those before it."""

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
        x = x.to(dtype)
        q, k, v = (self.split(project(x, dtype)) for project in (self.q_proj, self.k_proj, self.v_proj))  # (B, T, H or K, D)
        if self.config.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        if rotation is None:
            q, k = q.transpose(1, 2), k.transpose(1, 2)
        else:
            q, k = rotate(q.float(), rotation), rotate(k.float(), rotation)  # (B, H or K, T, D)
        q, k, v = q.to(dtype), k.to(dtype), v.transpose(1, 2)
        if cache is not None:
            k, v = cache.append(layer, k, v)  # (B, K, S, D)
        return self.o_proj(attend(q, k, v).transpose(1, 2).flatten(2), dtype)  # type: ignore[no-any-return]

    def split(self, x: Tensor) -> Tensor:
        """(B, T, H D) -> (B, T, H, D)"""
        return x.unflatten(-1, (-1, self.config.head_dim))


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q (B, H, T, D), k and v (B, K, S, D) -> (B, H, T, D). The queries are the last T of the S positions; each sees itself and before."""
    num_queries, num_keys = q.shape[2], k.shape[2]
    if q.dtype == torch.bfloat16 and q.device.type == "cpu" and q.requires_grad and num_queries == num_keys:
        return CausalBlocks.apply(q, k, v)  # type: ignore[no-any-return,no-untyped-call]
    mask = None
    if 1 < num_queries < num_keys:
        mask = torch.ones(num_queries, num_keys, dtype=torch.bool, device=q.device).tril_(num_keys - num_queries)
    causal = num_queries == num_keys > 1
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=q.shape[1] != k.shape[1])


def attend_slowly(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The twin of `attend`: softmax(q k^T / sqrt(D)) v, with the later keys at minus infinity."""
    num_queries, num_keys, groups = q.shape[2], k.shape[2], q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)  # (B, H, S, D)
    scores = q @ k.transpose(2, 3) * q.shape[3] ** -0.5  # (B, H, T, S)
    later = torch.ones(num_queries, num_keys, dtype=torch.bool, device=q.device).triu(num_keys - num_queries + 1)
    return scores.masked_fill(later, -torch.inf).softmax(-1) @ v


class CausalBlocks(torch.autograd.Function):
    """Attention as batched products, a block of queries at a time against the keys up to its end; keeps the probabilities.

    Heads that share keys are laid behind one another as further queries: (B, H, T, D) is (B K, H / K, T, D). The mask rides on
    the product: a sum that starts at minus infinity stays there, which saves a pass over the scores.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        (batch, heads, length, size), kv_heads = q.shape, k.shape[1]
        q = q.reshape(batch * kv_heads, heads // kv_heads, length, size)
        k, v = k.reshape(-1, length, size), v.reshape(-1, length, size)  # (B K, S, D)
        later = torch.full((length, length), -torch.inf, dtype=q.dtype).triu_(1)
        out = q.new_empty(batch, length, heads, size)  # the layout that o_proj reads
        blocks = []
        for first in range(0, length, BLOCK):
            last = min(first + BLOCK, length)
            queries = q[:, :, first:last].flatten(1, 2)  # (B K, H / K T', D)
            mask = later[first:last, :last].repeat(heads // kv_heads, 1)
            scores = torch.baddbmm(mask, queries, k[:, :last].transpose(1, 2), alpha=size**-0.5)
            blocks.append(scores.softmax(-1))
            mixed = blocks[-1] @ v[:, :last]
            out[:, first:last] = mixed.view(batch, heads, last - first, size).transpose(1, 2)
        ctx.save_for_backward(q, k, v, *blocks)
        return out.transpose(1, 2)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        q, k, v, *blocks = ctx.saved_tensors  # type: ignore[attr-defined]
        batch, length, size = grad.shape[0], q.shape[2], q.shape[3]
        grad = grad.reshape(q.shape)
        grad_q, grad_k, grad_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for first, probabilities in zip(range(0, length, BLOCK), blocks, strict=True):
            last = min(first + BLOCK, length)
            queries, grad_out = q[:, :, first:last].flatten(1, 2), grad[:, :, first:last].flatten(1, 2)
            grad_p = grad_out @ v[:, :last].transpose(1, 2)
            grad_scores = torch.ops.aten._softmax_backward_data(grad_p, probabilities, -1, q.dtype)
            grad_q[:, :, first:last] = (grad_scores @ k[:, :last]).view(q[:, :, first:last].shape)
            grad_k[:, :last] += grad_scores.transpose(1, 2) @ queries
            grad_v[:, :last] += probabilities.transpose(1, 2) @ grad_out
        scale = size**-0.5
        return grad_q.mul_(scale).view(batch, -1, length, size), grad_k.mul_(scale).view(batch, -1, length, size), grad_v.view(batch, -1, length, size)
