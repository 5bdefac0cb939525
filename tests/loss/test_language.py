"""The loss that never holds all logits against torch's cross-entropy of all of them."""

import math

import pytest
import torch
from torch import Tensor

from newleaf.loss.language import FEWEST_ROWS, language, language_slowly


def case(rows: int, width: int, vocab_size: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    hidden = torch.randn(rows, width, generator=generator) * scale
    head = torch.randn(vocab_size, width, generator=generator)
    return hidden.requires_grad_(), head.requires_grad_(), torch.randint(0, vocab_size, (rows,), generator=generator)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("rows", "width", "vocab_size"), [(1, 1, 1), (5, 3, 7), (FEWEST_ROWS + 1, 16, 33), (700, 24, 3001)])
def test_loss_and_gradients_are_those_of_all_logits(rows: int, width: int, vocab_size: int, dtype: torch.dtype) -> None:
    results = []
    for loss_of in (language, language_slowly):
        hidden, head, targets = case(rows, width, vocab_size)
        loss = loss_of(hidden, head, targets, dtype) * 3
        loss.backward()
        assert hidden.grad is not None and head.grad is not None
        results.append((loss.detach(), hidden.grad, head.grad))
    for ours, theirs in zip(*results, strict=True):
        # in bf16 the sum over chunks is kept in float32, where one product of all rows ends in roundings to bf16: 2^-8
        torch.testing.assert_close(ours, theirs, rtol=0, atol=float(theirs.abs().max()) * (1e-5 if dtype == torch.float32 else 8e-3) + 1e-7)


def test_a_target_that_is_all_but_impossible_costs_much_but_not_infinity() -> None:
    hidden, head, targets = case(3, 8, 5, scale=1000.0)
    loss = language(hidden, head, targets)
    loss.backward()
    assert 10 < float(loss.detach()) < math.inf
    assert hidden.grad is not None and bool(hidden.grad.isfinite().all())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_stays_visible(bad: float) -> None:
    hidden, head, targets = case(3, 8, 5)
    with torch.no_grad():
        hidden[1, 2] = bad
    assert math.isnan(float(language(hidden, head, targets).detach()))


def test_rows_of_any_shape_are_one_batch() -> None:
    hidden, head, targets = case(6, 4, 9)
    assert torch.equal(language(hidden.view(2, 3, 4), head, targets.view(2, 3)), language(hidden, head, targets))
