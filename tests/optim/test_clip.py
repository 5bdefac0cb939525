"""Clipping is torch.nn.utils.clip_grad_norm_, but for a norm that is no number."""

import math

import pytest
import torch

from newleaf.optim.clip import clip_

SHAPES = [(1,), (33, 5), (64, 96), (3000,)]


def gradients() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in SHAPES]


@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 95.0, 1e6])
@pytest.mark.parametrize("scale", [0.0, 1e-12, 1.0, 1e6])
def test_norm_and_gradients_equal_torchs_to_the_bit(max_norm: float, scale: float) -> None:
    ours = [gradient * scale for gradient in gradients()]
    params = [torch.nn.Parameter(torch.zeros(shape)) for shape in SHAPES]
    for param, gradient in zip(params, ours, strict=True):
        param.grad = gradient.clone()
    assert clip_(ours, max_norm) == float(torch.nn.utils.clip_grad_norm_(params, max_norm))
    assert all(torch.equal(gradient, param.grad) for gradient, param in zip(ours, params, strict=True))


def test_zero_only_measures() -> None:
    ours = gradients()
    assert clip_(ours, 0) > 1
    assert all(torch.equal(gradient, before) for gradient, before in zip(ours, gradients(), strict=True))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30])
def test_a_norm_that_is_no_number_is_returned_and_nothing_changes(bad: float) -> None:
    ours = gradients()
    ours[2][5, 7] = bad  # 1e30 is a number, its square in float32 is none
    before = [gradient.clone() for gradient in ours]
    assert not math.isfinite(clip_(ours, 1.0))
    assert all(torch.equal(one.nan_to_num(), other.nan_to_num()) for one, other in zip(ours, before, strict=True))
