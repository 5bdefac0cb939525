"""The decoder: ids (B, T) in, logits (B, T, V) out, with the parameter names of transformers' Llama."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from newleaf.errors import ModelError
from newleaf.model.attention import Attention
from newleaf.model.cache import Cache
from newleaf.model.config import ModelConfig
from newleaf.model.layers import PRODUCT_DTYPE, Dropout, FeedForward, Linear, Norm, Precision, linear
from newleaf.model.positions import rotary_frequencies, rotary_table, sinusoids


class Layer(nn.Module):
    """One step of the residual stream: x (B, T, W) float32 -> the same; each part reads it normalised and adds to it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = Norm(config.width, config.norm, config.norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = Norm(config.width, config.norm, config.norm_eps)
        self.mlp = FeedForward(config)

    def forward(self, x: Tensor, dtype: torch.dtype, rotation: Tensor | None, cache: Cache | None, layer: int, dropout: Dropout | None) -> Tensor:
        mixed = self.self_attn(self.input_layernorm(x), dtype, rotation, cache, layer)
        x = x + (dropout(mixed) if dropout else mixed)
        thought = self.mlp(self.post_attention_layernorm(x), dtype)
        return x + (dropout(thought) if dropout else thought)


class Trunk(nn.Module):
    """Everything but the output projection, under the name that transformers gives it: `model`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = Table(config.vocab_size, config.width)
        if config.positions == "learned":
            self.embed_positions = Table(config.context, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.depth))
        self.norm = Norm(config.width, config.norm, config.norm_eps)


class Table(nn.Module):
    """One row a number; uninitialised."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width))


class Decoder(nn.Module):
    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.model = Trunk(config)
        self.lm_head = None if config.tied else Linear(config.width, config.vocab_size, bias=False)
        if config.positions == "rope":
            self.register_buffer("table", rotary_table(config.context, rotary_frequencies(config.head_dim, config.rope_theta, config.rope_scaling)), persistent=False)
        elif config.positions == "sinusoidal":
            self.register_buffer("table", sinusoids(config.context, config.width), persistent=False)
        initialise(self, generator or torch.Generator().manual_seed(0))

    def forward(self, ids: Tensor, cache: Cache | None = None, precision: Precision = "float32") -> Tensor:
        return self.head(self.hidden(ids, cache, precision=precision), precision)

    def hidden(self, ids: Tensor, cache: Cache | None = None, dropout: Dropout | None = None, precision: Precision = "float32") -> Tensor:
        dtype = PRODUCT_DTYPE[precision]
        first = cache.length if cache else 0
        last = first + ids.shape[1]
        x = F.embedding(ids, self.model.embed_tokens.weight).float()  # (B, T, W)
        rotation = None
        if self.config.positions == "rope":
            rotation = self.table[:, first:last]
        elif self.config.positions == "sinusoidal":
            x = x + self.table[first:last]
        else:
            x = x + self.model.embed_positions.weight[first:last]
        if dropout:
            x = dropout(x)
        for index, layer in enumerate(self.model.layers):
            x = layer(x, dtype, rotation, cache, index, dropout)
        if cache is not None:
            cache.advance(ids.shape[1])
        return self.model.norm(x)

    def head(self, hidden: Tensor, precision: Precision = "float32") -> Tensor:
        weight = self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight
        return linear(hidden, weight, None, PRODUCT_DTYPE[precision]).float()


@torch.no_grad()
def initialise(model: Decoder, generator: torch.Generator) -> None:
    for name, parameter in model.named_parameters():
        if name.endswith("bias"): parameter.zero_()
        elif parameter.dim()==1: parameter.fill_(1)
        else: parameter.normal_(0, 0.02, generator=generator)
