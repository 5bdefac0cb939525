"""The gradients of several workers against those of one, and against what they share."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from newleaf.loss.language import language
from newleaf.model.config import preset
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout
from newleaf.training.gradients import Gradients, sharing
from newleaf.workers import Workers

CONFIG = preset("qwen3", vocab_size=40, width=32, depth=2, context=8)
ROWS = 7
IDS = np.random.default_rng(0).integers(0, 40, (ROWS, 9))
BATCH = IDS[:, :-1], IDS[:, 1:]


def loss(model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None) -> Tensor:
    inputs, targets = batch
    return language(model.hidden(inputs, dropout=dropout), model.head_weight, targets)


def no_dropout(part: int) -> None:
    return None


def ready_model() -> Decoder:
    model = Decoder(CONFIG)
    with torch.no_grad():
        for parameter in model.parameters():  # none of them zero, so that every gradient says something
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel())), alpha=0.1)
    return model


def gradients(workers: int, rows: int) -> tuple[float, dict[str, Tensor]]:
    model = ready_model()
    total = Gradients(model, loss, "cpu", Workers(workers), rows)(BATCH, no_dropout, lambda: False)
    assert total is not None
    return total, {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("rows", [1, 2, 3, ROWS, 100])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_division_of_the_rows_gives_the_same_loss_and_gradients(workers: int, rows: int) -> None:
    expected_loss, expected = gradients(1, ROWS)
    found_loss, found = gradients(workers, rows)
    assert found_loss == pytest.approx(expected_loss, rel=1e-6)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_same_workers_give_the_same_bits(workers: int) -> None:
    first, second = gradients(workers, ROWS)[1], gradients(workers, ROWS)[1]
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_copy_shares_weights_and_tables_but_no_gradients() -> None:
    model = ready_model()
    copy = sharing(model)
    for (name, ours), (other, theirs) in zip(model.named_parameters(), copy.named_parameters(), strict=True):
        assert (name, ours.data_ptr()) == (other, theirs.data_ptr())
        assert ours is not theirs
    assert model.table.data_ptr() == copy.table.data_ptr()
    loss(copy, [torch.from_numpy(part) for part in BATCH], None).backward()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_each_part_has_a_dropout_of_its_own() -> None:
    asked: list[int] = []
    Gradients(ready_model(), loss, "cpu", Workers(2), 4)(BATCH, asked.append, lambda: False)
    assert asked == [0, 1, 2, 3]


def test_a_stop_midway_leaves_no_gradients() -> None:
    model, asked = ready_model(), iter([False, True])
    assert Gradients(model, loss, "cpu", Workers(2), 4)(BATCH, no_dropout, lambda: next(asked)) is None
    assert all(parameter.grad is None for parameter in model.parameters())


def in_work(num_rows: int, workers: int, rows: int, width: int) -> list[int]:
    """Rows of each part of a batch that was divided."""
    found: list[int] = []

    def seen(model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None) -> Tensor:
        found.append(len(batch[0]))
        return loss(model, batch, dropout)

    batch = tuple(np.resize(part, (num_rows, part.shape[1])) for part in BATCH)
    Gradients(ready_model(), seen, "cpu", Workers(workers), rows, width=width)(batch, no_dropout, lambda: False)
    return found


def test_of_a_narrow_batch_more_rows_are_in_work_at_a_time() -> None:
    tokens = BATCH[0].shape[1]
    assert in_work(12, 1, rows=2, width=tokens) == [2] * 6
    assert in_work(12, 1, rows=2, width=3 * tokens) == [6, 6]
    assert in_work(12, 1, rows=2, width=tokens // 2) == [2] * 6


def test_parts_are_about_as_large_as_each_other() -> None:
    assert in_work(9, 1, rows=8, width=0) == [5, 4]
    assert sorted(in_work(18, 2, rows=16, width=0)) == [4, 4, 5, 5]
