"""Keys and values of the tokens seen so far, so that a new token costs one step and not the whole text again."""

import torch
from torch import Tensor

from newleaf.model.config import ModelConfig


class Cache:
    """Room for `capacity` tokens in each of `batch_size` rows, allocated once. All rows hold the same number of tokens.

    Every layer appends its keys and values; the decoder then counts the tokens with `advance`. Samples of one prompt share its
    work: `truncate` to the prompt and go on.
    """

    def __init__(
        self, config: ModelConfig, batch_size: int, capacity: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> None:
        shape = (config.depth, batch_size, config.kv_heads, capacity, config.head_dim)
        self.keys, self.values = torch.empty(shape, dtype=dtype, device=device), torch.empty(shape, dtype=dtype, device=device)
        self.length = 0  # tokens held

    @property
    def capacity(self) -> int:
        """Tokens a row has room for."""
        return self.keys.shape[3]

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store (B, K, T, D) behind what the layer holds; returns all of it, (B, K, S, D), without a copy."""
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]

    def advance(self, num_tokens: int) -> None:
        """Count tokens that every layer has appended."""
        self.length += num_tokens

    def truncate(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        self.length = min(self.length, length)
