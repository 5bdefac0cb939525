"""A new model that knows which token follows which: against the table of counts that it was made from."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from newleaf.model import pairs
from newleaf.model.config import preset
from newleaf.model.decoder import Decoder
from newleaf.model.pairs import begin_with_pairs, rank_for

VOCABULARY = 40


def chain(length: int, seed: int = 0) -> np.ndarray:
    """A text in which each token has a few that may follow."""
    draw = np.random.default_rng(seed)
    follows = draw.dirichlet(np.full(VOCABULARY, 0.1), VOCABULARY)
    ids = [0]
    while len(ids) < length:
        ids.append(int(draw.choice(VOCABULARY, p=follows[ids[-1]])))
    return np.array(ids, np.uint16)


def new(name: str = "qwen3", seed: int = 0, **axes: object) -> Decoder:
    config = preset(name, vocab_size=VOCABULARY, width=128, depth=2, context=32, **axes)
    return Decoder(config, torch.Generator().manual_seed(seed))


def loss(model: Decoder, ids: np.ndarray) -> float:
    rows = torch.from_numpy(ids[: len(ids) // 33 * 33].astype(np.int64)).view(-1, 33)
    with torch.inference_mode():
        return float(F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten()))


@pytest.mark.parametrize("name", ["qwen3", "llama"])
def test_a_new_model_begins_as_the_table_of_pairs(name: str) -> None:
    """Of all pairs, as the rank suffices: nearly the loss of the smoothed counts themselves, on text that was not counted."""
    ids = chain(20_000)
    counted, held_out = ids[:16_000], ids[16_000:]
    seen = np.zeros((VOCABULARY, VOCABULARY))
    np.add.at(seen, (counted[:-1], counted[1:]), 1)
    share = (seen.sum(0) + 0.5) / (seen.sum(0) + 0.5).sum()
    table = (seen + pairs.PRIOR * share) / (seen.sum(1, keepdims=True) + pairs.PRIOR)
    expected = -float(np.log(table[held_out[:-1], held_out[1:]]).mean())
    model = new(name)
    untaught = loss(model, held_out)
    begin_with_pairs(model, counted, torch.Generator().manual_seed(0))
    assert untaught == pytest.approx(np.log(VOCABULARY), rel=1e-4)
    assert expected < 0.7 * untaught
    assert loss(model, held_out) == pytest.approx(expected, rel=0.05)


def test_it_begins_the_same_each_time() -> None:
    first, second = new(), new()
    for model in (first, second):
        begin_with_pairs(model, chain(3000), torch.Generator().manual_seed(7))
    assert all(torch.equal(one, two) for one, two in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize("axes", [{"tied": True}, {"head_dim": 8}, {"norm": "layernorm"}])
def test_a_shape_without_room_for_it_begins_as_before(axes: dict[str, object]) -> None:
    model, untouched = new(**axes), new(**axes)
    begin_with_pairs(model, chain(3000), torch.Generator().manual_seed(0))
    assert rank_for(model.config) == 0
    assert all(torch.equal(one, two) for one, two in zip(model.parameters(), untouched.parameters(), strict=True))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=60))
def test_from_any_text_it_begins_finite_and_no_worse_than_by_chance(ids: list[int]) -> None:
    """Of one token, of two, of one token again and again."""
    model = new()
    begin_with_pairs(model, np.array(ids, np.uint16), torch.Generator().manual_seed(0))
    assert all(bool(weights.isfinite().all()) for weights in model.parameters())
    long = np.resize(np.array(ids, np.uint16), 330)
    assert loss(model, long) < np.log(VOCABULARY) + 0.05
