"""A batch is a function of its numbers, and an epoch shows every window once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newleaf.batches.pretrain import PretrainBatches, spread, step_seed


@settings(max_examples=60)
@given(st.integers(2, 400), st.integers(1, 17), st.integers(1, 5), st.integers(0, 30), st.integers(0, 3))
def test_targets_are_the_inputs_shifted_by_one(num_ids: int, context: int, rows: int, step: int, retry: int) -> None:
    batches = PretrainBatches(np.arange(num_ids), context, rows, seed=1, retry=retry)
    inputs, targets = batches(step)
    assert inputs.shape == targets.shape == (rows, context)
    assert ((targets == inputs + 1) | (num_ids <= context)).all()
    assert (inputs[:, 1:] == targets[:, :-1]).all()


@given(st.integers(20, 300), st.integers(1, 9))
def test_an_epoch_shows_each_window_once(num_ids: int, context: int) -> None:
    num_windows = max(1, (num_ids - 1) // context - 1)
    batches = PretrainBatches(np.arange(num_ids), context, 1, seed=3)
    starts = sorted(int(batches(step)[0][0, 0]) for step in range(num_windows))
    assert np.diff(starts).tolist() == [context] * (num_windows - 1)
    assert starts[0] >= 0
    assert starts[-1] + context < num_ids


@given(st.integers(1, 4), st.integers(0, 20))
def test_ranks_share_the_batch_of_a_single_process(world_size: int, step: int) -> None:
    ids = np.arange(500)
    whole = PretrainBatches(ids, 8, 4 * world_size, seed=5)(step)[0]
    parts = [PretrainBatches(ids, 8, 4 * world_size, seed=5, rank=rank, world_size=world_size)(step)[0] for rank in range(world_size)]
    assert sorted(map(tuple, np.concatenate(parts))) == sorted(map(tuple, whole))


@pytest.mark.parametrize("other", [{"seed": 1}, {"retry": 1}, {"generation": 1}])
def test_another_seed_retry_or_generation_gives_another_order(other: dict[str, int]) -> None:
    ids = np.arange(10_000)
    assert (PretrainBatches(ids, 16, 8, **({"seed": 0} | other))(3)[0] != PretrainBatches(ids, 16, 8, seed=0)(3)[0]).any()


def test_epochs_are_shifted() -> None:
    batches = PretrainBatches(np.arange(1000), 10, 98, seed=0)
    assert {int(batches(step)[0].min()) for step in range(8)} != {int(batches(0)[0].min())}


def test_seeds_of_steps_differ_and_repeat() -> None:
    seeds = {step_seed(0, (0, 0, step, micro)) for step in range(50) for micro in range(4)}
    assert len(seeds) == 200
    assert step_seed(7, (1, 2, 3)) == step_seed(7, (1, 2, 3))


@given(length=st.integers(2, 3000), wanted=st.integers(1, 4000), piece=st.sampled_from(range(4, 161, 4)))
def test_a_sample_is_from_all_through_a_stream(length: int, wanted: int, piece: int) -> None:
    """Pieces of it in their order, from its first id to its last; never more than was wanted, and at most a piece less."""
    ids = np.arange(length)
    found = spread(ids, wanted, piece)
    assert found[0] == 0
    if wanted >= length - 1:
        assert found.tolist() == ids.tolist()
        return
    assert wanted - piece < len(found) - 1 <= wanted
    assert (np.diff(found) > 0).all()
    if wanted >= 2 * piece:
        assert found[-1] == length - 1
        assert all(len(part) >= piece for part in np.split(found, np.flatnonzero(np.diff(found) != 1) + 1))


def test_a_long_text_gives_as_many_pieces_as_were_wanted() -> None:
    found = spread(np.arange(10_000), 640, 10)
    assert (len(found), found[0], found[-1]) == (641, 0, 9_999)
    assert int((np.diff(found) != 1).sum()) == 63
