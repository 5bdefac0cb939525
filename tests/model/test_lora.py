"""Adapters against the formula, against gradients of the merged weights, and against the model that they leave alone."""

import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model.configs import CONFIGS, random_decoder, random_ids
from torch import Tensor

from newleaf.conversion.huggingface import write_model
from newleaf.loss.answers import answers
from newleaf.loss.labels import label_loss
from newleaf.loss.language import next_token
from newleaf.model import size
from newleaf.model.config import ModelConfig
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Linear, Precision
from newleaf.model.lora import Adapted, PlainWeights, adapt, adapters, load_trained, trained
from newleaf.optim.optimizer import Optimizer
from newleaf.optim.settings import OptimSettings
from newleaf.training.gradients import Gradients
from newleaf.training.settings import TARGETS
from newleaf.workers import Workers

FAMILIES = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
INT8 = pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
SETTINGS = OptimSettings(kind="adamw", lr=0.01, embedding_lr=0.01, head_lr=0.01, norm_lr=0.01, weight_decay=0.0)
STEP = 1 / 127  # of 8 bits, of the largest number in a row


def adapted(config: ModelConfig, rank: int = 3, alpha: float = 6.0, targets: Sequence[str] = TARGETS, int8: bool = False) -> Decoder:
    model = random_decoder(config)
    adapt(model, rank, alpha, targets, torch.Generator().manual_seed(1), int8)
    return model


def moved(model: Decoder) -> Decoder:
    """The model with adapters that do something."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for module in adapters(model).values():
            module.lora_B.normal_(std=0.1, generator=generator)
    return model


def train(model: Decoder, steps: int = 5) -> list[float]:
    """The losses of some steps on one batch."""
    optimizer, losses = Optimizer(model.named_parameters(), SETTINGS), []
    inputs, targets = random_ids(model.config, 2, 11), random_ids(model.config, 2, 11, seed=1)
    for _ in range(steps):
        model.zero_grad()
        if model.config.num_labels:
            loss = label_loss(model, (inputs, torch.tensor([0, 2]), torch.tensor([10, 4])), None, "float32")
        else:
            loss = next_token(model, (inputs, targets), None, "float32")
        loss.backward()
        optimizer.clip()
        optimizer.step(1.0)
        losses.append(float(loss.detach()))
    return losses


def merged(model: Decoder) -> Decoder:
    """A plain decoder with the weights that a file would have."""
    plain = Decoder(model.config)
    plain.load_state_dict(dict(PlainWeights(model)))
    return plain


def tensors(model: Decoder) -> dict[str, Tensor]:
    """Everything in the memory of a model, 8 bits and tables too."""
    return {name: tensor.detach().clone() for name, tensor in [*model.named_parameters(), *model.named_buffers()]}


# what an adapter computes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "columns", "rank", "alpha"), [(1, 1, 1, 1.0), (7, 5, 2, 4.0), (5, 48, 3, 1.0), (33, 6, 8, 16.0)])
@pytest.mark.parametrize("bias", [True, False])
def test_an_adapter_is_the_formula(rows: int, columns: int, rank: int, alpha: float, bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    frozen = Linear(columns, rows, bias)
    for weight in frozen.parameters():
        weight.data.normal_(generator=generator)
    module = Adapted(frozen, rank, alpha, generator, int8=False)
    module.lora_B.data.normal_(generator=generator)
    x = torch.randn(3, 4, columns, generator=generator)
    narrow = (x @ module.lora_A.T) @ module.lora_B.T * alpha / rank
    expected = x @ frozen.weight.T + narrow + (0.0 if frozen.bias is None else frozen.bias)
    torch.testing.assert_close(module(x, torch.float32), expected, rtol=1e-5, atol=1e-5)
    assert module(x, torch.bfloat16).dtype == torch.bfloat16


@FAMILIES
def test_gradients_of_adapters_are_those_of_the_merged_weights_by_the_chain_rule(config: ModelConfig) -> None:
    model = moved(adapted(config, rank=3, alpha=6.0))
    plain = merged(model)
    batch = random_ids(config, 2, 11), random_ids(config, 2, 11, seed=1)
    for each in (model, plain):
        next_token(each, batch, None, "float32").backward()
    whole = dict(plain.named_parameters())
    for name, module in adapters(model).items():
        grad = whole[f"{name}.weight"].grad
        assert grad is not None
        for found, expected in ((module.lora_A.grad, 2.0 * module.lora_B.T @ grad), (module.lora_B.grad, 2.0 * grad @ module.lora_A.T)):
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.detach().abs().max()) + 1e-7)


@INT8
@FAMILIES
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_nothing_as_large_as_a_frozen_matrix_is_kept_for_the_backward(config: ModelConfig, int8: bool, precision: Precision) -> None:
    model = moved(adapted(config, int8=int8))
    known = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    frozen = {tuple(sorted(module.frozen().shape)) for module in adapters(model).values()}
    kept: list[tuple[int, ...]] = []

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in known:
            kept.append(tuple(sorted(tensor.shape)))
        return tensor

    ids = random_ids(config, 1, 7)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = next_token(model, (ids, ids), None, precision)
    assert kept and not frozen & set(kept)
    loss.backward()
    assert all(module.lora_A.grad is not None and bool(module.lora_A.grad.abs().sum() > 0) for module in adapters(model).values())


# the beginning ----------------------------------------------------------------------------------------------------------


@FAMILIES
def test_an_adapted_model_begins_as_its_base_bit_for_bit(config: ModelConfig) -> None:
    ids = random_ids(config, 3, 24)
    with torch.no_grad():
        assert torch.equal(adapted(config)(ids), random_decoder(config)(ids))


@FAMILIES
def test_an_adapted_model_in_8_bits_begins_as_its_rounded_base_bit_for_bit(config: ModelConfig) -> None:
    model, base, ids = adapted(config, int8=True), random_decoder(config), random_ids(config, 3, 24)
    with torch.no_grad():
        for name, module in adapters(model).items():
            base.get_parameter(f"{name}.weight").copy_(module.frozen())
        assert torch.equal(model(ids), base(ids))


def test_the_same_generator_draws_the_same_adapters() -> None:
    first, second = adapted(CONFIGS["qwen3"]), adapted(CONFIGS["qwen3"])
    assert all(torch.equal(trained(second)[name], weight) for name, weight in trained(first).items())


def test_no_two_adapters_are_drawn_alike() -> None:
    drawn = [module.lora_A.detach().flatten()[:40].tolist() for module in adapters(adapted(CONFIGS["qwen3"])).values()]
    assert len({tuple(numbers) for numbers in drawn}) == len(drawn)


# what is trained --------------------------------------------------------------------------------------------------------


@INT8
@pytest.mark.parametrize("targets", [TARGETS, ("q_proj", "v_proj"), ("down_proj",)], ids=",".join)
@FAMILIES
def test_only_the_named_products_are_adapted(config: ModelConfig, targets: Sequence[str], int8: bool) -> None:
    model = adapted(config, targets=targets, int8=int8)
    expected = {
        name for name, module in random_decoder(config).named_modules() if isinstance(module, Linear) and name.rsplit(".", 1)[-1] in targets
    }
    assert adapters(model).keys() == expected
    assert trained(model).keys() == {f"{name}.{end}" for name in expected for end in ("lora_A", "lora_B")}


@INT8
@FAMILIES
@pytest.mark.parametrize(("rank", "num_labels"), [(1, 0), (5, 0), (4, 3)])
def test_each_adapter_has_rank_times_rows_and_columns_parameters(config: ModelConfig, rank: int, num_labels: int, int8: bool) -> None:
    config = replace(config, num_labels=num_labels)
    model, base = adapted(config, rank=rank, int8=int8), random_decoder(config)
    expected = sum(rank * sum(base.get_parameter(f"{name}.weight").shape) for name in adapters(model))
    assert sum(weight.numel() for weight in trained(model).values()) == expected + num_labels * config.width


def test_of_a_model_without_adapters_everything_is_trained() -> None:
    model = random_decoder(CONFIGS["gpt2"])
    assert trained(model).keys() == dict(model.named_parameters()).keys()


@INT8
@FAMILIES
@pytest.mark.parametrize("num_labels", [0, 3])
def test_training_changes_what_is_trained_and_the_rest_not_by_a_bit(config: ModelConfig, num_labels: int, int8: bool) -> None:
    model = adapted(replace(config, num_labels=num_labels), int8=int8)
    before, learned = tensors(model), trained(model).keys()
    losses = train(model)
    assert losses[-1] < losses[0]
    after = tensors(model)
    assert after.keys() == before.keys()
    changed = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert changed == learned
    assert ("score.weight" in learned) == bool(num_labels)
    assert all(weight.grad is None for name, weight in model.named_parameters() if name not in learned)


@INT8
def test_what_was_trained_goes_out_and_in_bit_for_bit(int8: bool) -> None:
    config, ids = replace(CONFIGS["qwen2"], num_labels=3), random_ids(CONFIGS["qwen2"], 2, 7)
    model = adapted(config, int8=int8)
    train(model)
    again = adapted(config, int8=int8)
    assert not torch.equal(again.labels(again.hidden(ids)), model.labels(model.hidden(ids)))
    load_trained(again, {name: weight.clone() for name, weight in trained(model).items()})
    assert torch.equal(again.labels(again.hidden(ids)), model.labels(model.hidden(ids)))
    assert all(torch.equal(trained(again)[name], weight) for name, weight in trained(model).items())


def test_what_another_model_has_trained_is_refused() -> None:
    with pytest.raises(KeyError):
        load_trained(adapted(CONFIGS["qwen3"]), trained(adapted(CONFIGS["qwen3"], targets=["q_proj"])))


@INT8
@FAMILIES
def test_what_is_frozen_takes_the_bytes_that_a_plan_counts(config: ModelConfig, int8: bool) -> None:
    model = adapted(config, targets=["q_proj", "down_proj"], int8=int8)
    held = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    held += [module.rounded for module in adapters(model).values()] if int8 else []
    assert sum(tensor.nbytes for tensor in held) == size.frozen_bytes(config, ["q_proj", "down_proj"], int8)


# merging ----------------------------------------------------------------------------------------------------------------


@INT8
@FAMILIES
@pytest.mark.parametrize("num_labels", [0, 3])
def test_a_merged_model_is_plain_and_computes_the_same(config: ModelConfig, num_labels: int, int8: bool) -> None:
    config, ids = replace(config, num_labels=num_labels), random_ids(config, 3, 24)
    model, base = moved(adapted(config, int8=int8)), random_decoder(config)
    with torch.no_grad():
        for each in (model, base):
            each.head_weight.mul_(0.5)  # logits up to 5: at 10, where tied ones stand, a float32 ends at 1e-6 and sums of it at 1e-5
    before, plain = tensors(model), merged(model)
    assert not adapters(plain) and plain.state_dict().keys() == random_decoder(config).state_dict().keys()
    with torch.no_grad():
        compute = (lambda each: each.labels(each.hidden(ids))) if num_labels else (lambda each: each(ids))
        found, expected, untouched = map(compute, (plain, model, base))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert float((found - untouched).abs().max()) > 0.01  # there was something to merge
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors(model).items())


@FAMILIES
def test_before_it_learns_a_merged_model_is_its_base_bit_for_bit(config: ModelConfig) -> None:
    plain, base = PlainWeights(adapted(config)), random_decoder(config).state_dict()
    assert plain.keys() == base.keys()
    assert all(torch.equal(plain[name], weight) for name, weight in base.items())


def test_a_file_has_no_more_than_one_merged_matrix_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, merge, made, most = moved(adapted(CONFIGS["gpt2"])), Adapted.merged, list[weakref.ref[Tensor]](), 0

    def counted(module: Adapted) -> Tensor:
        nonlocal most
        found = merge(module)
        made.append(weakref.ref(found))
        most = max(most, sum(each() is not None for each in made))
        return found

    monkeypatch.setattr(Adapted, "merged", counted)
    write_model(tmp_path, model, {})
    parts = 3  # queries, keys and values, which are one matrix there
    assert len(made) >= len(adapters(model)) > most and most <= parts + 1


def test_a_model_without_adapters_is_merged_already() -> None:
    model = random_decoder(CONFIGS["llama"])
    assert PlainWeights(model).keys() == model.state_dict().keys()
    assert all(torch.equal(PlainWeights(model)[name], weight) for name, weight in model.state_dict().items())


# 8 bits -----------------------------------------------------------------------------------------------------------------


def in_8_bits(weight: Tensor) -> Adapted:
    frozen = Linear(weight.shape[1], weight.shape[0], bias=False)
    frozen.weight.data.copy_(weight)
    return Adapted(frozen, 1, 1.0, torch.Generator().manual_seed(0), int8=True)


@settings(max_examples=60)
@given(st.integers(1, 9), st.integers(1, 70), st.floats(1e-6, 1e6), st.integers(0, 1000))
def test_8_bits_are_off_by_half_a_step_of_the_row_at_most(rows: int, columns: int, size: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=generator) * size * torch.rand(rows, 1, generator=generator).add(0.001)
    off = (in_8_bits(weight).frozen() - weight).abs().amax(1) / weight.abs().amax(1).clamp(min=1e-12)
    assert float(off.max()) <= STEP / 2 * (1 + 1e-4)  # for the rounding of float32


def test_in_8_bits_a_row_keeps_its_zeros_and_its_largest_number() -> None:
    weight = torch.tensor([[0.0, 0.0, 0.0], [3.0, 0.0, -1.0], [0.0, -1e-3, 1e-3]])
    found = in_8_bits(weight).frozen()
    assert torch.equal(found == 0, weight == 0)
    torch.testing.assert_close(found.abs().amax(1), weight.abs().amax(1), rtol=1e-6, atol=0)


@FAMILIES
def test_frozen_weights_in_8_bits_take_a_quarter_of_the_memory(config: ModelConfig) -> None:
    model, base = adapted(config, int8=True), random_decoder(config)
    held = dict(model.named_parameters())
    for name, module in adapters(model).items():
        before = base.get_parameter(f"{name}.weight")
        assert 4 * module.rounded.nbytes == before.nbytes
        assert module.row_scales.nbytes == 4 * len(before)  # one number a row comes on top
        assert f"{name}.weight" not in held and module.weight is None
    frozen = sum(tensor.nbytes for name, tensor in held.items() if "lora" not in name)
    assert frozen == sum(weight.nbytes for name, weight in base.named_parameters() if name.removesuffix(".weight") not in adapters(model))


# in parts ---------------------------------------------------------------------------------------------------------------


@INT8
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_any_division_of_the_rows_gives_adapters_the_same_gradients(workers: int, rows: int, int8: bool) -> None:
    model = moved(adapted(CONFIGS["qwen3"], int8=int8))
    inputs, targets = random_ids(model.config, 5, 11), random_ids(model.config, 5, 11, seed=1)
    loss = next_token(model, (inputs, targets), None, "float32")
    loss.backward()
    expected = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    gradients = Gradients(model, lambda *some: answers(*some, "float32"), "cpu", Workers(workers), rows)
    found = gradients((np.asarray(inputs), np.asarray(targets)), lambda part: None, lambda: False)
    assert found == pytest.approx(float(loss.detach()), rel=1e-5)
    assert expected.keys() == trained(model).keys()
    for name, weight in model.named_parameters():
        if name in expected:
            torch.testing.assert_close(weight.grad, expected[name], rtol=1e-4, atol=1e-6)
        else:
            assert weight.grad is None
