"""Each filter equals the same filter of transformers on the same logits, and the draw follows the probabilities."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.generation import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from newleaf.errors import ModelError
from newleaf.generation.sampler import (
    Sampler,
    draw,
    filtered,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    keep_top_p_slowly,
    penalise_repetition,
)
from newleaf.generation.settings import Sampling

NO_IDS = torch.empty(0, dtype=torch.int64)
VALUES = st.floats(-30, 30, width=32) | st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.0])  # with ties
LOGITS = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=24), elements=VALUES).map(torch.from_numpy)
SHARES = st.floats(0.001, 1) | st.sampled_from([0.1, 0.5, 0.9, 0.95, 1.0])


def random_logits(vocab_size: int, rows: int = 4) -> Tensor:
    return 4 * torch.randn(rows, vocab_size, generator=torch.Generator().manual_seed(vocab_size))


def same(ours: Tensor, theirs: Tensor) -> bool:
    return ours.dtype == theirs.dtype and torch.equal(ours, theirs)


@given(LOGITS, st.integers(1, 30))
def test_top_k_equals_that_of_transformers(logits: Tensor, top_k: int) -> None:
    assert same(keep_top_k(logits, top_k), TopKLogitsWarper(top_k)(NO_IDS, logits))


@given(LOGITS, SHARES)
def test_min_p_equals_that_of_transformers(logits: Tensor, min_p: float) -> None:
    assert same(keep_min_p(logits, min_p), MinPLogitsWarper(min_p)(NO_IDS, logits))


@given(LOGITS, SHARES)
def test_top_p_equals_that_of_transformers_but_for_which_of_equal_logits_stay(logits: Tensor, top_p: float) -> None:
    """torch.sort, which transformers uses, leaves equal values in no order: only their number can be compared."""
    ours, theirs = keep_top_p(logits, top_p), TopPLogitsWarper(top_p)(NO_IDS, logits)
    assert same(ours.sort().values, theirs.sort().values)
    assert same(ours, keep_top_p_slowly(logits, top_p))


@pytest.mark.parametrize("vocab_size", [1, 2, 1000, 8192, 50257])
def test_filters_equal_those_of_transformers_on_whole_vocabularies(vocab_size: int) -> None:
    logits = random_logits(vocab_size)
    for share in (1e-9, 0.05, 0.5, 0.8, 0.95, 0.999):
        assert same(keep_top_p(logits, share), TopPLogitsWarper(share)(NO_IDS, logits))
        assert same(keep_min_p(logits, share), MinPLogitsWarper(share)(NO_IDS, logits))
    for top_k in (1, 40, vocab_size, vocab_size + 1):
        assert same(keep_top_k(logits, top_k), TopKLogitsWarper(top_k)(NO_IDS, logits))


@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.3, 10.0])
def test_the_repetition_penalty_equals_that_of_transformers(penalty: float) -> None:
    logits = random_logits(50)
    ids = torch.randint(50, (4, 30), generator=torch.Generator().manual_seed(1))  # with repetitions
    before = logits.clone()
    assert same(penalise_repetition(logits, ids, penalty), RepetitionPenaltyLogitsProcessor(penalty)(ids, logits))
    assert same(logits, before)


@pytest.mark.parametrize("temperature", [0.1, 0.7, 0.8, 1.0, 3.0])
def test_temperature_equals_that_of_transformers(temperature: float) -> None:
    logits = random_logits(50257)
    ours = filtered(logits, NO_IDS, Sampling(temperature=temperature, top_p=1.0))
    assert same(ours, TemperatureLogitsWarper(temperature)(NO_IDS, logits))


@pytest.mark.parametrize(
    "wanted",
    [
        {"temperature": 0.8, "top_p": 0.95},
        {"temperature": 1.5, "top_k": 12, "top_p": 0.7, "min_p": 0.02, "repetition_penalty": 1.4},
        {"temperature": 0.3, "min_p": 0.3, "top_p": 0.9},
        {"temperature": 2.0, "top_k": 40, "min_p": 0.1},
    ],
)
def test_filters_together_equal_what_generate_draws_from(wanted: dict[str, float]) -> None:
    torch.manual_seed(0)
    judge = GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=32, n_layer=1, n_head=2, n_positions=32, initializer_range=0.5)).eval()
    prompt = torch.arange(5)[None]
    options = {"top_k": 0, "top_p": 1.0} | wanted
    out = judge.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=True,
        max_new_tokens=12,
        eos_token_id=None,
        output_logits=True,
        output_scores=True,
        return_dict_in_generate=True,
        **options,
    )
    sampling = Sampling(**({"top_p": 1.0} | wanted))
    for place, (logits, scores) in enumerate(zip(out.logits, out.scores, strict=True)):
        assert same(filtered(logits, out.sequences[:, : 5 + place], sampling), scores)


def test_greedy_turns_off_every_filter_but_an_explicit_repetition_penalty() -> None:
    logits, ids = random_logits(20), torch.arange(12).view(4, 3)
    everything = {"temperature": 0.2, "top_p": 0.1, "top_k": 1, "min_p": 0.5, "greedy": True}
    assert filtered(logits, ids, Sampling(**everything)) is logits
    assert same(filtered(logits, ids, Sampling(**everything, repetition_penalty=1.5)), penalise_repetition(logits, ids, 1.5))


def test_greedy_takes_the_first_of_equal_logits() -> None:
    assert Sampler(Sampling(greedy=True), 0, [0]).pick(torch.tensor([1.0, 3.0, 3.0])) == 1


@given(arrays(np.float32, st.integers(1, 30), elements=VALUES), st.floats(0, 1, exclude_max=True), st.integers(1, 5))
def test_a_draw_is_always_a_token_that_was_not_removed(values: np.ndarray, uniform: float, top_k: int) -> None:
    logits = keep_top_k(torch.from_numpy(values), top_k)
    assert logits[draw(logits, uniform)] > -math.inf


def test_draws_at_even_steps_of_the_unit_interval_count_out_the_probabilities() -> None:
    logits = torch.tensor([0.1, 0.2, 0.0, 0.3, 0.4]).log()
    counts = np.bincount([draw(logits, (place + 0.5) / 1000) for place in range(1000)], minlength=5)
    assert counts.tolist() == [100, 200, 0, 300, 400]


@settings(max_examples=20)
@given(st.integers(0, 2**62), st.integers(2, 6))
def test_what_a_sample_draws_depends_on_its_seed_alone(seed: int, num_samples: int) -> None:
    sampling, logits = Sampling(temperature=1.5, repetition_penalty=1.2), random_logits(64, rows=8)
    together = [Sampler(sampling, seed + place, [3]) for place in range(num_samples)]
    picked = [[sampler.pick(row) for sampler in together] for row in logits]
    alone = Sampler(sampling, seed + num_samples - 1, [3])
    assert [alone.pick(row) for row in logits] == [row[-1] for row in picked]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("greedy", [True, False])
def test_logits_that_are_not_finite_are_an_error_in_one_sentence(bad: float, greedy: bool) -> None:
    with pytest.raises(ModelError, match="not finite"):
        Sampler(Sampling(greedy=greedy), 0, [0]).pick(torch.tensor([0.0, bad, 1.0]))
