"""The losses of answers against torch's cross-entropy, and against the formula of direct preference optimisation written out."""

import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from model.configs import CONFIGS, random_decoder
from torch import Tensor

from newleaf.loss import IGNORED
from newleaf.loss.answers import answers, log_probabilities, margins, preference
from newleaf.model.config import ModelConfig
from newleaf.model.decoder import Decoder
from newleaf.training.gradients import Batch, Gradients
from newleaf.workers import Workers

FAMILIES = ("gpt2", "articles", "llama grouped, biases, tied", "qwen2", "qwen3 multi-query, tied")
SHAPES = [(1, 1, 1.0), (1, 24, 0.05), (3, 7, 0.2), (5, 13, 0.5), (2, 23, 1.0)]  # rows, tokens, share of targets that count


def talk(config: ModelConfig, rows: int, length: int, share: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """(inputs, targets) of which each row has at least one target that counts."""
    generator = torch.Generator().manual_seed(seed)
    inputs, targets = torch.randint(config.vocab_size, (2, rows, length), generator=generator)
    counts = torch.rand(rows, length, generator=generator) < share
    counts[torch.arange(rows), torch.randint(length, (rows,), generator=generator)] = True
    return inputs, targets.where(counts, torch.tensor(IGNORED))


def pairs(config: ModelConfig, number: int, length: int, share: float, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """(inputs (B, 2, T), reference (B, 2), targets (B, 2, T)); the reference is unlike the model."""
    inputs, targets = talk(config, 2 * number, length, share, seed)
    reference = torch.randn(number, 2, generator=torch.Generator().manual_seed(seed)) - 5.0
    return inputs.view(number, 2, length), reference, targets.view(number, 2, length)


def cross_entropy(model: Decoder, inputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(model(inputs).flatten(0, -2), targets.flatten(), ignore_index=IGNORED)


def written_out(model: Decoder, inputs: Tensor, reference: Tensor, targets: Tensor, beta: float) -> Tensor:
    """Equation 7 of Rafailov et al. 2023, from the logits of one row after the other."""
    losses = []
    for ids, before, wanted in zip(inputs, reference, targets, strict=True):
        now = []
        for row in range(2):
            scores = model(ids[row][None])[0].log_softmax(-1)
            now.append(sum(scores[place, token] for place, token in enumerate(wanted[row]) if token != IGNORED))
        losses.append(-F.logsigmoid(beta * ((now[0] - before[0]) - (now[1] - before[1]))))
    return torch.stack(losses).mean()


def gradients_of(model: Decoder, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """But for the order in which float32 numbers are added."""
    assert found.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-5 * largest, msg=lambda said, name=name: f"{name}: {said}")


def padded(tensor: Tensor, columns: int, value: int) -> Tensor:
    return F.pad(tensor, (0, columns), value=value)


# answers ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("rows", "length", "share"), SHAPES)
def test_loss_and_gradients_of_answers_are_those_of_torch(family: str, rows: int, length: int, share: float) -> None:
    model = random_decoder(CONFIGS[family])
    inputs, targets = talk(model.config, rows, length, share)
    found, expected = answers(model, (inputs, targets), None, "float32"), cross_entropy(model, inputs, targets)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)
    assert_same(gradients_of(model, found), gradients_of(model, expected))


@settings(max_examples=30)
@given(st.integers(1, 6), st.integers(1, 24), st.floats(0, 1), st.integers(0, 1000))
def test_loss_of_answers_is_that_of_torch_for_any_places_of_targets(rows: int, length: int, share: float, seed: int) -> None:
    model = random_decoder(CONFIGS["qwen3"])
    inputs, targets = talk(model.config, rows, length, share, seed)
    with torch.no_grad():
        found, expected = answers(model, (inputs, targets), None, "float32"), cross_entropy(model, inputs, targets)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_where_every_target_counts_answers_are_plain_text() -> None:
    from newleaf.loss.language import next_token

    model = random_decoder(CONFIGS["llama"])
    batch = talk(model.config, 3, 11, 1.0)
    assert torch.equal(answers(model, batch, None, "float32"), next_token(model, batch, None, "float32"))


def test_what_stands_in_the_padding_does_not_change_a_bit() -> None:
    model = random_decoder(CONFIGS["qwen3"])
    inputs, targets = talk(model.config, 4, 9, 0.3)
    targets = padded(targets, 8, IGNORED)
    losses = [answers(model, (padded(inputs, 8, token), targets), None, "float32") for token in (0, 5, 100)]
    assert losses[0] == losses[1] == losses[2]
    first, *others = [gradients_of(model, loss) for loss in losses]
    assert all(torch.equal(other[name], gradient) for other in others for name, gradient in first.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_neither_loss_nor_gradients(family: str) -> None:
    model = random_decoder(CONFIGS[family])
    inputs, targets = talk(model.config, 4, 9, 0.3)
    bare = answers(model, (inputs, targets), None, "float32")
    wide = answers(model, (padded(inputs, 8, 7), padded(targets, 8, IGNORED)), None, "float32")
    torch.testing.assert_close(wide, bare, rtol=1e-6, atol=0)
    assert_same(gradients_of(model, wide), gradients_of(model, bare))


# preference -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("number", "length", "share"), SHAPES)
def test_log_probabilities_are_sums_over_the_targets_of_each_row(family: str, number: int, length: int, share: float) -> None:
    model = random_decoder(CONFIGS[family])
    inputs, targets = talk(model.config, number, length, share)
    with torch.no_grad():
        found = log_probabilities(model, inputs, targets, None, "float32")
        scores = model(inputs).log_softmax(-1).gather(2, targets.clamp(min=0)[..., None])[..., 0]
    torch.testing.assert_close(found, scores.where(targets != IGNORED, torch.tensor(0.0)).sum(1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("beta", [0.1, 1.0])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("number", "length", "share"), [(1, 1, 1.0), (3, 7, 0.2), (2, 23, 0.6)])
def test_preference_is_the_formula_of_the_paper(family: str, number: int, length: int, share: float, beta: float) -> None:
    model = random_decoder(CONFIGS[family])
    batch = pairs(model.config, number, length, share)
    found, expected = preference(model, batch, None, "float32", beta), written_out(model, *batch, beta)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert_same(gradients_of(model, found), gradients_of(model, expected))


@pytest.mark.parametrize("family", FAMILIES)
def test_preference_begins_at_the_logarithm_of_two(family: str) -> None:
    model = random_decoder(CONFIGS[family])
    inputs, _, targets = pairs(model.config, 3, 9, 0.4)
    with torch.no_grad():
        reference = log_probabilities(model, inputs.flatten(0, 1), targets.flatten(0, 1), None, "float32").view(3, 2)
    with torch.no_grad():
        assert margins(model, (inputs, reference, targets), None, "float32").tolist() == [0.0] * 3
        assert float(preference(model, (inputs, reference, targets), None, "float32", 0.1)) == pytest.approx(math.log(2), rel=1e-7)
    trained_on = preference(model, (inputs, reference, targets), None, "float32", 0.1)  # with gradients, by other kernels
    assert float(trained_on.detach()) == pytest.approx(math.log(2), abs=1e-5)
    assert any(bool(gradient.any()) for gradient in gradients_of(model, trained_on).values())


def test_a_step_down_makes_the_chosen_answer_likelier_than_the_rejected_one() -> None:
    model = random_decoder(CONFIGS["qwen3"])
    batch = pairs(model.config, 3, 9, 0.4)
    before = margins(model, batch, None, "float32").detach()
    gradients = gradients_of(model, preference(model, batch, None, "float32", 0.1))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.sub_(gradients[name], alpha=0.01)
        assert float((margins(model, batch, None, "float32") - before).mean()) > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_no_preference(family: str) -> None:
    model = random_decoder(CONFIGS[family])
    inputs, reference, targets = pairs(model.config, 3, 9, 0.4)
    bare = preference(model, (inputs, reference, targets), None, "float32", 0.5)
    wide = preference(model, (padded(inputs, 8, 7), reference, padded(targets, 8, IGNORED)), None, "float32", 0.5)
    torch.testing.assert_close(wide, bare, rtol=1e-5, atol=1e-6)
    assert_same(gradients_of(model, wide), gradients_of(model, bare))


# in parts ---------------------------------------------------------------------------------------------------------------

LENGTHS, NUM_TARGETS = (3, 20, 9, 14, 1, 24, 6), (1, 17, 2, 5, 1, 24, 3)  # of the rows of a padded batch


def ragged() -> Batch:
    random = np.random.default_rng(0)
    shape = len(LENGTHS), max(LENGTHS)
    inputs, targets = np.zeros(shape, np.int64), np.full(shape, IGNORED, np.int64)
    for row, (length, number) in enumerate(zip(LENGTHS, NUM_TARGETS, strict=True)):
        inputs[row, :length] = random.integers(0, 101, length)
        targets[row, length - number : length] = random.integers(0, 101, number)
    return inputs, targets


def count(batch: Batch) -> int:
    return int((batch[-1] != IGNORED).sum())


@pytest.mark.parametrize("rows", [1, 2, 3, len(LENGTHS), 100])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_division_of_a_padded_batch_is_the_mean_over_its_targets(workers: int, rows: int) -> None:
    model, batch = random_decoder(CONFIGS["qwen3"]), ragged()
    whole = cross_entropy(model, *map(torch.from_numpy, batch))
    expected = gradients_of(model, whole)
    loss = partial(answers, precision="float32")
    found = Gradients(model, loss, "cpu", Workers(workers), rows, count)(batch, lambda part: None, lambda: False)
    assert found == pytest.approx(float(whole.detach()), rel=1e-5)
    assert_same({name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}, expected)


def test_each_part_of_a_padded_batch_weighs_as_its_targets_not_as_its_rows() -> None:
    model, batch = random_decoder(CONFIGS["qwen3"]), ragged()
    loss = partial(answers, precision="float32")
    by_rows = Gradients(model, loss, "cpu", Workers(1), 1)(batch, lambda part: None, lambda: False)
    by_targets = Gradients(model, loss, "cpu", Workers(1), 1, count)(batch, lambda part: None, lambda: False)
    whole = float(cross_entropy(model, *map(torch.from_numpy, batch)).detach())
    assert by_targets == pytest.approx(whole, rel=1e-5)
    assert by_rows != pytest.approx(whole, rel=1e-4)


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_division_of_pairs_is_the_mean_over_the_pairs(workers: int, rows: int) -> None:
    model = random_decoder(CONFIGS["llama"])
    batch = pairs(model.config, 5, 11, 0.3)
    whole = written_out(model, *batch, 0.5)
    expected = gradients_of(model, whole)
    loss = partial(preference, precision="float32", beta=0.5)
    gradients = Gradients(model, loss, "cpu", Workers(workers), rows, lambda part: len(part[0]))
    found = gradients(tuple(tensor.numpy() for tensor in batch), lambda part: None, lambda: False)
    assert found == pytest.approx(float(whole.detach()), rel=1e-5)
    assert_same({name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}, expected)
