import pytest
import torch
from model.configs import CONFIGS, MIXTURE

from newleaf.model import size
from newleaf.model.config import ModelConfig, preset
from newleaf.model.decoder import Decoder

EVERY = CONFIGS | {"mixture": MIXTURE}


@pytest.mark.parametrize("config", EVERY.values(), ids=EVERY)
def test_the_list_of_tensors_is_that_of_the_decoder(config: ModelConfig) -> None:
    assert size.shapes(config) == {name: tuple(weight.shape) for name, weight in Decoder(config).state_dict().items()}


@pytest.mark.parametrize("config", EVERY.values(), ids=EVERY)
def test_counts_are_those_of_the_decoder(config: ModelConfig) -> None:
    model = Decoder(config)
    assert size.parameters(config) == sum(weight.numel() for weight in model.parameters())
    assert size.parameter_bytes(config) == 4 * size.parameters(config)
    products = sum(w.numel() for name, w in model.named_parameters() if w.dim() == 2 and "embed" not in name and "lm_head" not in name)
    assert size.matmul_weights(config) == products + config.vocab_size * config.width
    assert size.flops_per_token(config) == 6 * size.matmul_weights(config) + 6 * config.depth * config.width * config.context


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (preset("gpt2", vocab_size=50257, width=1600, depth=48, heads=25, context=1024), 1_557_611_200),  # GPT-2 XL
        (preset("llama", vocab_size=32000, width=4096, depth=32, head_dim=128, mlp_width=11008), 6_738_415_616),  # Llama 2 7B
        (
            preset("qwen3", vocab_size=151936, width=1024, depth=28, heads=16, kv_heads=8, head_dim=128, mlp_width=3072, tied=True),
            596_049_920,
        ),
    ],
    ids=["GPT-2 XL", "Llama 2 7B", "Qwen3 0.6B"],
)
def test_published_models_have_their_published_size(config: ModelConfig, expected: int) -> None:
    assert size.parameters(config) == expected


def test_memory_grows_with_the_batch_by_what_its_tokens_leave_behind() -> None:
    config = CONFIGS["qwen3"]
    assert size.training_bytes(config, 100) - size.training_bytes(config, 0) == 125 * size.activation_bytes(config)
    assert size.training_bytes(config, 0) == 16 * size.parameters(config)


@pytest.mark.parametrize("name", ["qwen3", "llama", "gpt2", "vaswani"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_the_estimate_is_what_a_forward_keeps(name: str, precision: size.Precision) -> None:
    config = preset(name, vocab_size=256, width=128, depth=4, context=128)
    model, kept = Decoder(config), dict[int, int]()
    known = {weight.untyped_storage().data_ptr() for weight in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.zeros(16, 128, dtype=torch.int64)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        hidden = model.hidden(ids, precision=precision)
    casts = 2 * size.matmul_weights(config) if precision == "bf16" else 0
    head = (12 if precision == "float32" else 10) * config.width
    expected = size.activation_bytes(config, precision) - head
    assert hidden.shape == (16, 128, 128)
    assert 0.85 < (sum(kept.values()) - casts) / ids.numel() / expected < 1.05
