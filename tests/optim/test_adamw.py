"""AdamW is torch.optim.AdamW: the same kernel, so the same bits; and it is what the paper says, line by line."""

import pytest
import torch

from newleaf.optim.adamw import adamw_, adamw_slowly_

SHAPES = [(1,), (7,), (33, 5), (64, 96), (1, 130), (257, 31)]  # odd sizes leave a rest beside the vector registers
SETTINGS = [
    {"lr": 1e-2, "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8},
    {"lr": 3e-4, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-10},
    {"lr": 1e-1, "weight_decay": 1.0, "beta1": 0.0, "beta2": 0.0, "eps": 1e-3},
    {"lr": 0.0, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.95, "eps": 1e-8},
]


def tensors(generator: torch.Generator, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    return [torch.randn(shape, generator=generator, dtype=dtype) for shape in SHAPES]


@pytest.mark.parametrize("settings", SETTINGS)
def test_twenty_steps_equal_torchs_fused_adamw_to_the_bit(settings: dict[str, float]) -> None:
    generator = torch.Generator().manual_seed(0)
    params = tensors(generator)
    theirs = [torch.nn.Parameter(param.clone()) for param in params]
    means, squares = [torch.zeros_like(p) for p in params], [torch.zeros_like(p) for p in params]
    betas = (settings["beta1"], settings["beta2"])
    judge = torch.optim.AdamW(
        theirs, lr=settings["lr"], betas=betas, eps=settings["eps"], weight_decay=settings["weight_decay"], fused=True
    )
    for step in range(1, 21):
        grads = tensors(generator)
        grads[3][::2] = 0  # rows of an embedding that the batch did not hold
        for param, grad in zip(theirs, grads, strict=True):
            param.grad = grad.clone()
        judge.step()
        adamw_(params, grads, means, squares, step=step, **settings)
    assert all(torch.equal(ours, their) for ours, their in zip(params, theirs, strict=True))
    assert all(torch.equal(mean, judge.state[their]["exp_avg"]) for mean, their in zip(means, theirs, strict=True))
    assert all(torch.equal(square, judge.state[their]["exp_avg_sq"]) for square, their in zip(squares, theirs, strict=True))


@pytest.mark.parametrize("settings", SETTINGS)
def test_fast_equals_slow(settings: dict[str, float]) -> None:
    generator = torch.Generator().manual_seed(1)
    params = tensors(generator, torch.float64)  # so that what is left of a difference is the formula's
    twins = [param.clone() for param in params]
    means, squares, slow_means, slow_squares = ([torch.zeros_like(p) for p in params] for _ in range(4))
    for step in range(1, 21):
        grads = tensors(generator, torch.float64)
        adamw_(params, grads, means, squares, step=step, **settings)
        for twin, grad, mean, square in zip(twins, grads, slow_means, slow_squares, strict=True):
            adamw_slowly_(twin, grad, mean, square, step=step, **settings)
    for param, twin in zip(params, twins, strict=True):
        torch.testing.assert_close(param, twin, rtol=1e-9, atol=1e-9)


def test_a_row_that_never_had_a_gradient_stays_where_it_is() -> None:
    param, grad = torch.ones(4, 8), torch.zeros(4, 8)
    grad[0] = 1
    adamw_([param], [grad], [torch.zeros(4, 8)], [torch.zeros(4, 8)], step=1, lr=0.1, weight_decay=0.0, beta1=0.9, beta2=0.95, eps=1e-8)
    assert bool((param[1:] == 1).all()) and bool((param[0] < 1).all())
