"""The decoder: ids (B, T) in, logits (B, T, V) out, its parameters named as in transformers' Llama.

Each layer reads the residual stream through a norm and adds to it (pre-norm). Positions are added to the embedding (learned,
sinusoidal) or turn queries and keys (rotary). The embedding is not multiplied by sqrt(W) as in Vaswani et al.: the model with
sinusoidal positions starts from an embedding that is as large as theirs is after the multiplication.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from newleaf.errors import ModelError
from newleaf.model.attention import Attention
from newleaf.model.cache import Cache
from newleaf.model.config import ModelConfig
from newleaf.model.initial import initialise
from newleaf.model.layers import PRODUCT_DTYPE, Dropout, FeedForward, Linear, Norm, Precision, linear
from newleaf.model.positions import rotary_table, sinusoids


class Decoder(nn.Module):
    """A language model of any of the shapes that `ModelConfig` can say.

    >>> from newleaf.model.config import preset
    >>> model = Decoder(preset("qwen3", vocab_size=100, width=64, depth=2))
    >>> model(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 100])
    """

    table: Tensor  # of positions: (2, context or the original one, D) rotary, (context, W) sinusoidal

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None, initialised: bool = True) -> None:
        """Weights are drawn from `generator` (seed 0 if there is none), or left as the memory was if they will be loaded anyway."""
        super().__init__()
        self.config = config
        self.model = Trunk(config)
        self.lm_head = None if config.tied or config.num_labels else Linear(config.width, config.vocab_size, bias=False)
        self.score = Linear(config.width, config.num_labels, bias=False) if config.num_labels else None
        if config.positions == "rope":
            length = min(config.context, config.rope_original_context or config.context)
            self.register_buffer("table", rotary_table(config, 0, length), persistent=False)
        elif config.positions == "sinusoidal":
            self.register_buffer("table", sinusoids(config.context, config.width), persistent=False)
        if initialised:
            initialise(self, generator or torch.Generator().manual_seed(0))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.embed_tokens.weight.device

    def forward(
        self, ids: Tensor, cache: Cache | None = None, *, dropout: Dropout | None = None, precision: Precision = "float32"
    ) -> Tensor:
        """ids (B, T) int64 -> logits (B, T, V) float32. With a cache, ids are what comes after the tokens that it holds."""
        return self.head(self.hidden(ids, cache, dropout=dropout, precision=precision), precision)

    def hidden(
        self, ids: Tensor, cache: Cache | None = None, *, dropout: Dropout | None = None, precision: Precision = "float32"
    ) -> Tensor:
        """ids (B, T) -> (B, T, W) float32: the residual stream at its end, normalised. ModelError beyond the context."""
        first = 0 if cache is None else cache.length
        last = first + ids.shape[1]
        if last > self.config.context:
            raise ModelError(f"{last:,} tokens are more than the model can look at", expected=f"at most {self.config.context:,}")
        x = self.embed(ids, first, last)
        x = dropout(x) if dropout else x
        rotation = self.rotation(first, last) if self.config.positions == "rope" else None
        for index, layer in enumerate(self.model.layers):
            x = layer(x, PRODUCT_DTYPE[precision], rotation, cache, index, dropout)
        if cache is not None:
            cache.advance(ids.shape[1])
        return self.model.norm(x)  # type: ignore[no-any-return]

    def embed(self, ids: Tensor, first: int, last: int) -> Tensor:
        """ids (B, T) at positions `first` to `last` -> (B, T, W)"""
        x = F.embedding(ids, self.model.embed_tokens.weight)
        if self.config.positions == "learned":
            return x + self.model.embed_positions.weight[first:last]
        return x + self.table[first:last] if self.config.positions == "sinusoidal" else x

    def rotation(self, first: int, last: int) -> Tensor:
        """(2, T, D) for positions `first` to `last` of a text that is `last` long so far."""
        if last <= self.table.shape[1]:
            return self.table[:, first:last]
        return rotary_table(self.config, first, last, last).to(self.table.device)

    def head(self, hidden: Tensor, precision: Precision = "float32") -> Tensor:
        """(..., W) as from `hidden` -> logits (..., V) float32."""
        return linear(hidden, self.head_weight, None, PRODUCT_DTYPE[precision]).float()

    def labels(self, hidden: Tensor) -> Tensor:
        """(..., W) as from `hidden`, at the last token of a text -> scores (..., labels) float32, of a model that classifies."""
        assert self.score is not None
        return self.score(hidden, torch.float32)  # type: ignore[no-any-return]

    @property
    def head_weight(self) -> Tensor:
        """The output projection (V, W): the embedding itself where it is tied."""
        return self.model.embed_tokens.weight if self.lm_head is None else self.lm_head.weight


class Trunk(nn.Module):
    """Everything but the output projection; transformers calls it `model`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = Table(config.vocab_size, config.width)
        if config.positions == "learned":
            self.embed_positions = Table(config.context, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.depth))
        self.norm = Norm(config.width, config.norm, config.norm_eps)


class Table(nn.Module):
    """One row a token or position; uninitialised."""

    def __init__(self, num_rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_rows, width))


class Layer(nn.Module):
    """Attention and feed-forward, each reading the stream through a norm and adding to it: x (B, T, W) float32 -> the same."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = Norm(config.width, config.norm, config.norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = Norm(config.width, config.norm, config.norm_eps)
        self.mlp = FeedForward(config)

    def forward(
        self, x: Tensor, dtype: torch.dtype, rotation: Tensor | None, cache: Cache | None, layer: int, dropout: Dropout | None
    ) -> Tensor:
        seen = self.self_attn(self.input_layernorm(x), dtype, rotation, cache, layer)
        x = x + (dropout(seen) if dropout else seen)
        thought = self.mlp(self.post_attention_layernorm(x), dtype)
        return x + (dropout(thought) if dropout else thought)
