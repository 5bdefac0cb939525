"""Small random models whose most likely token is not always the same, and a tokenizer of English and Chinese."""

from functools import cache

import torch

from newleaf.model.config import ModelConfig, preset
from newleaf.model.decoder import Decoder
from newleaf.tokens.tokenizer import Tokenizer

TEXT = "To be, or not to be, that is the question.\n\nWhether 'tis nobler in the mind to suffer\n"
TEXT += "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。🌱\n"
PROMPTS = ["To be", "that is", "春眠", "夜来风雨声，花", "\n", " ", "the question.\n\n", "suffer", "🌱", "x" * 9]
PROMPTS += [f"{prompt} {number}" for number, prompt in enumerate(PROMPTS)]


@cache
def tokenizer() -> Tokenizer:
    return Tokenizer.train([TEXT] * 4, vocab_size=384)


def shapes() -> dict[str, ModelConfig]:
    """A configuration for each axis of the decoder, at odd sizes."""
    size = {"vocab_size": tokenizer().vocab_size, "width": 48, "depth": 2, "context": 96}
    return {
        "gpt2": preset("gpt2", **size, heads=3),
        "llama": preset("llama", **size, heads=4, kv_heads=2, head_dim=10, bias="all"),
        "qwen2": preset("qwen2", **size, heads=6, kv_heads=2, mlp_width=50),
        "qwen3": preset("qwen3", **size, heads=4, kv_heads=1, head_dim=20, tied=True),
        "vaswani": preset("vaswani", **size, heads=3),
    }


def model(config: ModelConfig, seed: int = 0) -> Decoder:
    """A decoder with weights so large that its most likely token varies; all biases and norms are drawn, too."""
    generator = torch.Generator().manual_seed(seed)
    decoder = Decoder(config, generator)
    with torch.no_grad():
        for name, weight in sorted(decoder.named_parameters()):
            spread = 0.2 if weight.ndim == 1 or "embed" in name else 3 * weight.shape[1] ** -0.5
            weight.normal_(std=spread, generator=generator).add_(float("norm" in name and name.endswith("weight")))
    return decoder
