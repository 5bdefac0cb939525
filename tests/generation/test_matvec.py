"""The decoder as matrix-vector products equals the decoder."""

import pytest
import torch
from generation.models import model, shapes

from newleaf.generation.matvec import RowDecoder, multiply_in_halves
from newleaf.model.cache import Cache
from newleaf.model.layers import PRODUCT_DTYPE, Precision


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bf16", 5e-2)])
@pytest.mark.parametrize("family", shapes())
@torch.inference_mode()
def test_one_row_equals_the_decoder_with_a_cache(family: str, precision: Precision, tolerance: float) -> None:
    config = shapes()[family]
    decoder, ids = model(config), torch.arange(7, 17)[None]
    row, dtype = RowDecoder(decoder, precision), PRODUCT_DTYPE[precision]
    caches = [Cache(config, 1, 12, dtype) for _ in range(2)]
    for cache in caches:
        decoder.hidden(ids[:, :4], cache, precision=precision)
    for place in range(4, 10):
        expected = decoder(ids[:, place : place + 1], caches[0], precision=precision)[0, 0]
        logits = row.logits(int(ids[0, place]), caches[1])
        assert logits.shape == (config.vocab_size,)
        assert logits.dtype == torch.float32
        torch.testing.assert_close(logits, expected, rtol=0, atol=tolerance * expected.abs().max().item())
    assert caches[0].length == caches[1].length == 10


def test_a_float32_row_has_no_copy_of_the_matrices() -> None:
    decoder = model(shapes()["qwen3"])
    row = RowDecoder(decoder, "float32")
    matrices = {weight.data_ptr() for weight in decoder.parameters() if weight.ndim == 2}
    products = [row.head, *(product for layer in row.layers for product in (layer.qkv, layer.up, layer.down))]
    assert matrices > {weight.data_ptr() for product in products for weight in product.weights}


@pytest.mark.parametrize("rows", [1, 2, 7, 96, 515])
def test_a_product_in_halves_is_the_product(rows: int) -> None:
    weight, x, out = torch.randn(rows, 48), torch.randn(48), torch.full((rows,), torch.nan)
    multiply_in_halves(weight, x, out)
    torch.testing.assert_close(out, weight @ x)
