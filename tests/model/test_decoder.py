import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from model.configs import CONFIGS, MIXTURE, random_decoder, random_ids

from newleaf.errors import ModelError
from newleaf.model.cache import Cache
from newleaf.model.config import ModelConfig, preset
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout

EVERY = pytest.mark.parametrize("config", [*CONFIGS.values(), MIXTURE], ids=[*CONFIGS, "mixture"])


@EVERY
@pytest.mark.parametrize("chunks", [[24], [1] * 24, [7, 1, 1, 5, 10], [3, 21]], ids=str)
def test_with_a_cache_logits_are_those_without(config: ModelConfig, chunks: list[int]) -> None:
    model, ids = random_decoder(config), random_ids(config, rows=2, length=24)
    cache = Cache(config, batch_size=2, capacity=24)
    with torch.no_grad():
        whole = model(ids)
        pieces = torch.cat([model(part, cache) for part in ids.split(chunks, 1)], 1)
    assert cache.length == cache.capacity == 24
    torch.testing.assert_close(pieces, whole, atol=1e-4, rtol=1e-4)


@EVERY
def test_a_truncated_cache_goes_on_from_there(config: ModelConfig) -> None:
    model, ids, other = random_decoder(config), random_ids(config, 1, 10), random_ids(config, 1, 10, seed=1)
    cache = Cache(config, 1, 24)
    with torch.no_grad():
        model(torch.cat((ids[:, :6], other), 1), cache)
        cache.truncate(6)
        torch.testing.assert_close(model(ids[:, 6:], cache), model(ids)[:, 6:], atol=1e-4, rtol=1e-4)


@EVERY
def test_bf16_products_change_logits_and_gradients_by_rounding_alone(config: ModelConfig) -> None:
    model, ids, targets = random_decoder(config), random_ids(config, 3, 24), random_ids(config, 3, 24, seed=1)
    results = []
    for precision in ("float32", "bf16"):
        model.zero_grad()
        logits = model(ids, precision=precision)
        assert logits.dtype == torch.float32
        F.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
        results.append((logits.detach(), torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])))
    for exact, rounded in zip(*results, strict=True):
        assert rounded.dtype == torch.float32
        assert float((exact - rounded).norm() / exact.norm()) < 0.05


def test_with_a_cache_in_bf16_logits_are_close_to_those_without() -> None:
    config = CONFIGS["qwen3 grouped, free heads"]
    model, ids = random_decoder(config), random_ids(config, 2, 24)
    cache = Cache(config, 2, 24, torch.bfloat16)
    with torch.no_grad():
        whole = model(ids)
        pieces = torch.cat([model(part, cache, precision="bf16") for part in ids.split([20, 1, 1, 2], 1)], 1)
    assert float((pieces - whole).norm() / whole.norm()) < 0.05


@EVERY
@pytest.mark.parametrize("shape", [(1, 1), (5, 1), (1, 24), (3, 7)])
def test_every_row_and_length_gives_one_distribution_a_token(config: ModelConfig, shape: tuple[int, int]) -> None:
    model, ids = random_decoder(config), random_ids(config, *shape)
    hidden = model.hidden(ids)
    assert hidden.shape == (*shape, config.width)
    assert model.head(hidden).shape == (*shape, config.vocab_size)
    with torch.no_grad():
        torch.testing.assert_close(model(ids)[-1:], model(ids[-1:]), atol=1e-4, rtol=1e-4)


def test_beyond_the_context_is_one_sentence() -> None:
    config = CONFIGS["qwen3"]
    model, cache = Decoder(config), Cache(config, 1, 30)
    model(random_ids(config, 1, 24), cache)
    for ids, held in ((random_ids(config, 1, 25), None), (random_ids(config, 1, 1), cache)):
        with pytest.raises(ModelError, match="25 tokens are more than the model can look at"):
            model(ids, held)


@pytest.mark.parametrize(("name", "tolerance"), [("qwen3", 0.01), ("llama", 0.01), ("qwen2", 0.01), ("gpt2", 0.03), ("vaswani", 0.03)])
def test_an_untrained_model_is_as_surprised_as_by_a_fair_die(name: str, tolerance: float) -> None:
    config = preset(name, vocab_size=4096, width=320, depth=4, context=64)
    ids, targets = random_ids(config, 8, 64), random_ids(config, 8, 64, seed=1)
    with torch.no_grad():
        loss = F.cross_entropy(Decoder(config)(ids).flatten(0, 1), targets.flatten())
    assert abs(float(loss) / math.log(4096) - 1) < tolerance


@EVERY
def test_weights_come_from_the_generator_alone(config: ModelConfig) -> None:
    before = torch.random.get_rng_state()
    first, again, other = (Decoder(config, torch.Generator().manual_seed(seed)).state_dict() for seed in (5, 5, 6))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(weight, again[name]) for name, weight in first.items())
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_gpt2s_weights_have_gpt2s_deviations() -> None:
    model = Decoder(preset("gpt2", vocab_size=1000, width=256, depth=8, context=256))
    deviations = {name: float(weight.std()) for name, weight in model.state_dict().items() if weight.dim() == 2}
    for name, deviation in deviations.items():
        expected = 0.02 / math.sqrt(16) if name.endswith(("o_proj.weight", "down_proj.weight")) else 0.02
        assert abs(deviation / expected - 1) < 0.02, name


def test_dropout_acts_in_training_calls_alone_and_is_a_function_of_its_generator() -> None:
    config = CONFIGS["gpt2"]
    model, ids = random_decoder(config), random_ids(config, 2, 24)
    runs = [model(ids, dropout=Dropout(0.1, torch.Generator().manual_seed(seed))) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert torch.equal(model(ids), model(ids))


def test_training_in_float32_never_imports_dynamo() -> None:
    """Its import takes seconds, which a run in minutes would notice."""
    program = """
import sys, torch
from newleaf.model.config import preset
from newleaf.model.decoder import Decoder
for name in ("qwen3", "gpt2"):
    logits = Decoder(preset(name, vocab_size=50, width=64, depth=1))(torch.zeros(2, 9, dtype=torch.int64))
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.zeros(18, dtype=torch.int64)).backward()
print([name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor", "sympy"))])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_shape_is_planned_without_torch() -> None:
    program = "import sys; import newleaf.model.config, newleaf.model.size; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "False"
