import pytest
import torch
import torch.nn.functional as F

from newleaf.model.config import preset
from newleaf.model.layers import Dropout, Norm, RmsNorm, rms_norm
from newleaf.model.positions import rotary_table, rotate, rotate_slowly, sinusoids


@pytest.mark.parametrize("shape", [(1, 1), (3, 8), (2, 5, 33), (2, 3, 4, 6)])
def test_rms_norm_and_its_gradients_are_torchs(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator).add_(2.0).requires_grad_()  # the mean is not 0
    weight = torch.randn(shape[-1], generator=generator, requires_grad=True)
    grad = torch.randn(shape, generator=generator)
    ours, expected = rms_norm(x, weight, 1e-6), F.rms_norm(x, weight.shape, weight, 1e-6)
    torch.testing.assert_close(ours, expected)
    for found, theirs in zip(torch.autograd.grad(ours, (x, weight), grad), torch.autograd.grad(expected, (x, weight), grad), strict=True):
        torch.testing.assert_close(found, theirs, atol=1e-5, rtol=1e-4)


def test_rms_norms_gradient_is_that_of_its_formula() -> None:
    x, weight = torch.randn(3, 7, dtype=torch.float64, requires_grad=True), torch.randn(7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, weight: RmsNorm.apply(x, weight, 1e-6), (x, weight))


def test_a_row_of_zeros_has_a_finite_norm_and_gradient() -> None:
    x, norm = torch.zeros(2, 8, requires_grad=True), Norm(8, "rmsnorm", 1e-6)
    torch.nn.init.ones_(norm.weight)
    out = norm(x)
    out.sum().backward()
    assert not out.any()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


def test_layer_norm_has_a_bias() -> None:
    norm = Norm(4, "layernorm", 1e-5)
    assert sorted(name for name, _ in norm.named_parameters()) == ["bias", "weight"]


@pytest.mark.parametrize("size", [2, 10, 64])
def test_rotate_is_rotate_slowly(size: int) -> None:
    table = rotary_table(preset("llama", vocab_size=2, width=64, depth=1, head_dim=size), 2, 9)
    x = torch.randn(3, 7, 5, size, requires_grad=True)
    fast, slow = rotate(x, table), rotate_slowly(x, table)
    assert fast.is_contiguous()
    torch.testing.assert_close(fast, slow)
    grad = torch.randn(fast.shape)
    torch.testing.assert_close(*(torch.autograd.grad(out, x, grad)[0] for out in (fast, slow)))


def test_a_turn_keeps_lengths_and_depends_on_distance_alone() -> None:
    table = rotary_table(preset("llama", vocab_size=2, width=64, depth=1), 0, 20)
    q, k = torch.randn(2, 1, 1, 1, 32).expand(2, 1, 20, 1, 32)
    turned_q, turned_k = rotate(q, table)[0, 0], rotate(k, table)[0, 0]  # (T, D)
    torch.testing.assert_close(turned_q.norm(dim=-1), q.norm(dim=-1).flatten())
    torch.testing.assert_close((turned_q[3:] * turned_k[:-3]).sum(-1), (turned_q[3] @ turned_k[0]).expand(17), atol=1e-4, rtol=0)


@pytest.mark.parametrize("width", [1, 2, 7, 48])
def test_sinusoids_are_the_published_formula(width: int) -> None:
    table = sinusoids(30, width)
    for position in (0, 1, 29):
        for channel in range(width):
            angle = torch.tensor(position / 10_000 ** ((channel - channel % 2) / width), dtype=torch.float64)
            expected = angle.cos() if channel % 2 else angle.sin()
            assert abs(float(table[position, channel]) - float(expected)) < 1e-6


def test_dropout_draws_from_its_own_generator_and_keeps_the_mean() -> None:
    before = torch.random.get_rng_state()
    drops = [Dropout(0.25, torch.Generator().manual_seed(seed))(torch.ones(100, 100)) for seed in (3, 3, 4)]
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(drops[0], drops[1])
    assert not torch.equal(drops[0], drops[2])
    assert abs(float(drops[0].mean()) - 1) < 0.02
