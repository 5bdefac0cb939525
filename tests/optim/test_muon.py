"""Muon is torch.optim.Muon, as nearly as bf16 allows and to the bit where that was measured; its products do what they are there for."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from newleaf.optim.cost import NEWTON_SCHULZ_STEPS
from newleaf.optim.muon import STACK, Scale, muon_, orthogonalize, orthogonalize_slowly

Shapes = list[tuple[int, int]]
MORE_THAN_A_STACK = STACK + 2
SHAPES: Shapes = [(40, 24)] * MORE_THAN_A_STACK + [(48, 48), (64, 48), (48, 80), (33, 17), (17, 33), (1, 8), (8, 1)]


def matrices(generator: torch.Generator, shapes: Shapes = SHAPES) -> list[torch.Tensor]:
    return [torch.randn(shape, generator=generator) for shape in shapes]


def trained_by_both(shapes: Shapes, steps: int, scale: Scale, **settings: Any) -> tuple[list[torch.Tensor], ...]:
    """Parameters before, after our steps and after torch.optim.Muon's, and both momenta."""
    generator = torch.Generator().manual_seed(0)
    before = matrices(generator, shapes)
    ours, theirs = [param.clone() for param in before], [torch.nn.Parameter(param.clone()) for param in before]
    momenta = [torch.zeros_like(param) for param in ours]
    judge = torch.optim.Muon(theirs, adjust_lr_fn=scale, ns_steps=NEWTON_SCHULZ_STEPS, **settings)
    for step in range(steps):
        grads = [grad * (step != 7) for grad in matrices(generator, shapes)]  # one step has gradients of zero
        for param, grad in zip(theirs, grads, strict=True):
            param.grad = grad.clone()
        judge.step()
        muon_(ours, grads, momenta, scale=scale, dtype=torch.bfloat16, **settings)
    return before, ours, [param.detach() for param in theirs], momenta, [judge.state[param]["momentum_buffer"] for param in theirs]


@pytest.mark.parametrize("scale", ["match_rms_adamw", "original"])
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize(("weight_decay", "momentum"), [(0.0, 0.95), (0.1, 0.95), (0.1, 0.0)])
def test_twenty_steps_equal_torchs_muon(scale: Scale, nesterov: bool, weight_decay: float, momentum: float) -> None:
    settings = {"lr": 0.02, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov}
    before, ours, theirs, momenta, their_momenta = trained_by_both(SHAPES, 20, scale, **settings)
    assert all(map(torch.equal, momenta, their_momenta))
    for one, other, start in zip(ours, theirs, before, strict=True):
        # Products summed in another order round bf16's 8 bits the other way now and then: 0.1 % of the way gone, measured with AVX2.
        assert (one - other).norm() < 0.01 * (other - start).norm()


@pytest.mark.skipif(
    not getattr(torch.cpu, "get_capabilities", dict)().get("amx_bf16"), reason="other instructions may sum in another order"
)
def test_matrices_of_a_real_model_equal_torchs_muon_to_the_bit(one_thread: None) -> None:
    shapes = [(256, 256)] * 2 + [(704, 256)] * (STACK + 1) + [(256, 704)] * 2 + [(128, 128), (384, 128), (512, 512)]
    _, ours, theirs, momenta, their_momenta = trained_by_both(shapes, 4, "match_rms_adamw", lr=0.02, weight_decay=0.1, momentum=0.95)
    assert all(map(torch.equal, ours, theirs)) and all(map(torch.equal, momenta, their_momenta))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """How a product is cut into sums depends on the number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("shape", [(64, 64), (200, 96), (96, 200), (150, 96), (96, 150), (17, 33), (1, 8), (8, 1)])
@pytest.mark.parametrize("smallest", [1.0, 1e-3, 1e-7])
def test_fast_equals_slow_in_float32(shape: tuple[int, int], smallest: float) -> None:
    # Entries of the result are at most 1. The polynomial is as steep as 3.4445, so a rounding error of the first step is up to
    # 3.4445^4 = 140 times larger after the fifth; on the Gram matrix, where singular values are squared, 3.4445^8 = 20,000 times.
    error = (20_000 if max(shape) >= 2 * min(shape) else 140) * torch.finfo(torch.float32).eps
    stack = with_singular_values(torch.logspace(0, math.log10(smallest), min(shape)), shape)
    slow = torch.stack([orthogonalize_slowly(matrix.double()) for matrix in stack])
    torch.testing.assert_close(orthogonalize(stack.clone()).double(), slow, rtol=0, atol=error)


def with_singular_values(values: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Three matrices (3, rows, columns) in random directions."""
    generator = torch.Generator().manual_seed(2)
    left = torch.linalg.qr(torch.randn(3, shape[0], len(values), generator=generator))[0]
    right = torch.linalg.qr(torch.randn(3, shape[1], len(values), generator=generator))[0]
    return left * values @ right.mT


@pytest.mark.parametrize("shape", [(64, 64), (200, 96), (96, 200)])
def test_every_direction_is_moved_about_as_far(shape: tuple[int, int]) -> None:
    """A range of 30 becomes one of less than 4 (with five steps of less than 2, which is not worth their time)."""
    stack = with_singular_values(torch.logspace(0, -1.5, min(shape)), shape)
    moved = torch.linalg.svdvals(orthogonalize(stack))
    assert float(moved.min()) > 0.32 and float(moved.max()) < 1.25


@pytest.mark.parametrize("columns", [64, 96, 200])
def test_columns_that_sum_to_zero_still_do_after_it(columns: int) -> None:
    stack = torch.randn(3, 96, columns, generator=torch.Generator().manual_seed(4))
    stack -= stack.mean(1, keepdim=True)
    assert float(orthogonalize(stack).mean(1).abs().max()) < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gradient_of_zero_moves_nothing(dtype: torch.dtype) -> None:
    param = torch.ones(8, 16)
    muon_([param], [torch.zeros(8, 16)], [torch.zeros(8, 16)], lr=0.1, weight_decay=0.0, momentum=0.95, dtype=dtype)
    assert bool((param == 1).all())


@pytest.mark.parametrize("shape", [(64, 160), (160, 64)])
def test_a_step_has_the_root_mean_square_of_adamws(shape: tuple[int, int]) -> None:
    param = torch.zeros(shape)
    grad = torch.randn(shape, generator=torch.Generator().manual_seed(5))
    muon_([param], [grad], [torch.zeros(shape)], lr=1.0, weight_decay=0.0, momentum=0.95, dtype=torch.float32)
    assert 0.15 < float(param.square().mean().sqrt()) < 0.23  # 0.2 times singular values of about 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_gradients_give_the_same_bits(dtype: torch.dtype) -> None:
    def trained() -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(6)
        params = matrices(generator)
        momenta = [torch.zeros_like(param) for param in params]
        for _ in range(3):
            muon_(params, matrices(generator), momenta, lr=0.02, weight_decay=0.1, momentum=0.95, dtype=dtype)
        return params

    assert all(torch.equal(one, other) for one, other in zip(trained(), trained(), strict=True))
