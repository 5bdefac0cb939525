import pytest
import torch
from torch import Tensor

from newleaf.model import attention
from newleaf.model.attention import MAX_KEPT, attend, attend_slowly

BLOCKS = (64, 256)  # whatever this processor takes
SHAPES = [(1, 1, 1, 1, 2), (2, 3, 3, 17, 8), (1, 6, 2, 33, 10), (3, 4, 1, 5, 7), (1, 2, 1, MAX_KEPT + 1, 2)]  # B, H, K, T, D
SHAPES += [(1, 2, 2, size + 3, 4) for size in BLOCKS]


def random_inputs(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, num_keys: int | None = None) -> list[Tensor]:
    batch, heads, kv_heads, length, size = shape
    generator = torch.Generator().manual_seed(1)
    sizes = [(batch, heads, length, size), *[(batch, kv_heads, num_keys or length, size)] * 2]
    return [torch.randn(each, generator=generator).to(dtype).requires_grad_() for each in sizes]


def relative(found: Tensor, expected: Tensor) -> float:
    found, expected = found.detach(), expected.detach()
    return float((found.float() - expected).norm() / expected.norm().clamp(min=1e-9))


@pytest.mark.parametrize("shape", SHAPES)
def test_attend_is_attend_slowly(shape: tuple[int, ...]) -> None:
    inputs = random_inputs(shape)
    fast, slow = attend(*inputs), attend_slowly(*inputs)
    assert fast.shape == slow.shape == inputs[0].shape
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)
    weight = torch.randn(fast.shape, generator=torch.Generator().manual_seed(2))
    for ours, expected in zip(*(torch.autograd.grad((out * weight).sum(), inputs) for out in (fast, slow)), strict=True):
        torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("num_queries", [1, 2, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_queries_are_the_last_positions(num_queries: int, dtype: torch.dtype) -> None:
    with torch.no_grad():
        inputs = random_inputs((2, 4, 2, num_queries, 8), dtype, num_keys=9)
        found = attend(*inputs).float()
        torch.testing.assert_close(
            found, attend_slowly(*(each.float() for each in inputs)), atol=1e-5 if dtype == torch.float32 else 0.02, rtol=0
        )


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("block", BLOCKS)
def test_training_in_bf16_agrees_within_its_rounding(shape: tuple[int, ...], block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "block", lambda dtype: block)
    inputs = random_inputs(shape, torch.bfloat16)
    exact = [each.detach().float().requires_grad_() for each in inputs]
    fast, slow = attend(*inputs), attend_slowly(*exact)
    assert relative(fast, slow) < 0.01
    weight = torch.randn(fast.shape, generator=torch.Generator().manual_seed(2)).bfloat16()
    found = torch.autograd.grad((fast * weight).sum(), inputs)
    for ours, expected in zip(found, torch.autograd.grad((slow * weight.float()).sum(), exact), strict=True):
        assert ours.shape == expected.shape
        assert float((ours.float() - expected).abs().max()) < 0.02 * float(expected.abs().max()) + 1e-3


def test_no_query_sees_what_comes_after_it() -> None:
    q, k, v = random_inputs((1, 2, 2, 12, 4))
    changed = [torch.cat((each[:, :, :7], torch.randn(1, 2, 5, 4)), 2) for each in (k, v)]
    torch.testing.assert_close(attend(q, k, v)[:, :, :7], attend(q, *changed)[:, :, :7])
