"""Small configurations: every preset, and the sizes at which mistakes show."""

import torch

from newleaf.model.config import ModelConfig, preset
from newleaf.model.decoder import Decoder

SIZE = {"vocab_size": 101, "width": 48, "depth": 2, "context": 24}
CONFIGS: dict[str, ModelConfig] = {
    "gpt2": preset("gpt2", **SIZE, heads=3),
    "gpt2 untied": preset("gpt2", **SIZE, heads=4, tied=False, mlp_width=50),
    "articles": preset("vaswani", **SIZE, heads=6),
    "articles tied": preset("vaswani", **SIZE, heads=2, tied=True),
    "llama": preset("llama", **SIZE, heads=4),
    "llama grouped, biases, tied": preset("llama", **SIZE, heads=6, kv_heads=2, head_dim=10, bias="all", tied=True, mlp_width=70),
    "llama linear scaling": preset("llama", **SIZE, heads=3, rope_scaling="linear", rope_factor=4.0, rope_theta=500.0),
    "llama 3.1 scaling": preset("llama", **SIZE, heads=2, rope_scaling="llama3", rope_factor=8.0, rope_original_context=16),
    "qwen2": preset("qwen2", **SIZE, heads=6, kv_heads=3),
    "qwen2 tied": preset("qwen2", **SIZE, heads=4, kv_heads=1, tied=True),
    "qwen3": preset("qwen3", **SIZE, heads=3),
    "qwen3 grouped, free heads": preset("qwen3", **SIZE, heads=6, kv_heads=2, head_dim=32, rope_theta=1e6, norm_eps=1e-5),
    "qwen3 multi-query, tied": preset("qwen3", **SIZE, heads=5, kv_heads=1, head_dim=6, tied=True, mlp_width=33),
}
MIXTURE = preset("qwen3", **SIZE, heads=3, mlp="relu", norm="layernorm")  # of no family


def random_decoder(config: ModelConfig, seed: int = 0) -> Decoder:
    """All weights drawn, norms and biases too, and large enough that every part of the model matters."""
    generator = torch.Generator().manual_seed(seed)
    model = Decoder(config, generator)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            spread = weight.shape[-1] ** -0.5 if weight.dim() == 2 and "embed" not in name else 0.3
            weight.normal_(std=spread, generator=generator).add_(float(weight.dim() == 1 and name.endswith("weight")))
    return model


def random_ids(config: ModelConfig, rows: int, length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(config.vocab_size, (rows, length), generator=torch.Generator().manual_seed(seed))
