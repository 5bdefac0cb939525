"""A batch of examples is a function of its numbers, an epoch shows each example once, and padding is learned from by nobody."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newleaf.batches.examples import BUCKET, ExampleOrder, Examples
from newleaf.loss import IGNORED

EMPTY = np.zeros(0, np.int64)
ROWS = st.lists(st.lists(st.tuples(st.integers(0, 999), st.booleans()), min_size=2, max_size=9), min_size=1, max_size=12)
LENGTHS = st.lists(st.integers(2, 50), min_size=1, max_size=120).map(tuple)
Row = Sequence[tuple[int, bool]]


def examples(rows: Sequence[Row], rows_each: int = 1, **more: Any) -> Examples:
    """Of rows of (id, whether it is learned)."""
    ids = np.array([id for row in rows for id, _ in row], np.int64)
    answers = np.array([learned for row in rows for _, learned in row], bool)
    return Examples(ids, answers, np.cumsum([0, *map(len, rows)]), **{"labels": EMPTY, "reference": EMPTY} | more, rows_each=rows_each)


def plain(*rows: Sequence[int]) -> list[Row]:
    """Rows of which everything is learned."""
    return [[(id, True) for id in row] for row in rows]


# which examples ---------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(LENGTHS, st.integers(1, 9), st.integers(0, 3), st.integers(0, 3))
def test_an_epoch_shows_each_example_once_and_fills_its_last_batch(
    lengths: tuple[int, ...], batch_size: int, seed: int, epoch: int
) -> None:
    order = ExampleOrder(lengths, batch_size, seed)
    num_batches = -(-len(lengths) // batch_size)
    batches = [order(step) for step in range(epoch * num_batches, (epoch + 1) * num_batches)]
    assert [len(batch) for batch in batches] == [batch_size] * num_batches
    counts = Counter(number for batch in batches for number in batch)
    assert counts.keys() == set(range(len(lengths)))
    assert counts.total() - len(lengths) == -len(lengths) % batch_size
    assert max(counts.values()) - min(counts.values()) <= 1


@settings(max_examples=60)
@given(LENGTHS, st.integers(1, 9), st.lists(st.integers(0, 60), max_size=8), st.integers(0, 2), st.integers(0, 2), st.integers(0, 2))
def test_a_batch_is_a_function_of_its_numbers(
    lengths: tuple[int, ...], batch_size: int, steps: list[int], seed: int, retry: int, generation: int
) -> None:
    """Whatever was asked for before, in whatever order."""
    order = ExampleOrder(lengths, batch_size, seed, retry, generation)
    first = [list(order(step)) for step in steps]
    for step, batch in reversed(list(zip(steps, first, strict=True))):
        assert ExampleOrder(list(lengths), batch_size, seed, retry, generation)(step) == batch
        ExampleOrder(lengths, batch_size, seed + 1)(step)


def test_nothing_that_is_done_to_a_batch_changes_the_next_one() -> None:
    order = ExampleOrder((5, 6, 7, 8), 2, 0)
    first = list(order(0))
    order(0).append(99)
    assert order(0) == first


@pytest.mark.parametrize("other", [{"seed": 1}, {"retry": 1}, {"generation": 1}])
def test_another_seed_retry_or_generation_gives_another_order(other: dict[str, int]) -> None:
    lengths = tuple(range(2, 502))
    one, two = ExampleOrder(lengths, 8, **{"seed": 0}), ExampleOrder(lengths, 8, **({"seed": 0} | other))
    assert [one(step) for step in range(5)] != [two(step) for step in range(5)]
    assert {frozenset(one(step)) for step in range(63)} != {frozenset(two(step)) for step in range(63)}


def test_each_epoch_has_its_own_batches_in_its_own_order() -> None:
    order = ExampleOrder(tuple(range(2, 402)), 8, seed=0)
    epochs = [[order(step) for step in range(50 * epoch, 50 * epoch + 50)] for epoch in range(4)]
    assert all(one != two for place, one in enumerate(epochs) for two in epochs[:place])
    assert all({*map(frozenset, one)} != {*map(frozenset, two)} for place, one in enumerate(epochs) for two in epochs[:place])


@pytest.mark.parametrize("batch_size", [4, 16])
def test_examples_of_a_batch_have_about_the_same_length(batch_size: int) -> None:
    """Sixteen batches are sorted together: each spans a sixteenth of all lengths, about, and little of it is padding."""
    lengths = np.random.default_rng(0).integers(2, 1000, 64 * batch_size)
    order = ExampleOrder(tuple(lengths.tolist()), batch_size, seed=0)
    batches = [lengths[order(step)] for step in range(64)]
    spans = [batch.max() - batch.min() for batch in batches]
    assert np.mean(spans) < 1.5 * 1000 / BUCKET
    padded = sum(batch.max() * batch_size for batch in batches)
    at_random = lengths.reshape(-1, batch_size)
    assert padded < 1.1 * lengths.sum() < (at_random.max(1) * batch_size).sum()


def test_long_examples_do_not_come_together_in_time() -> None:
    """Batches that were sorted by length are shuffled."""
    lengths = tuple(range(2, 2 + 4 * BUCKET))
    order = ExampleOrder(lengths, 4, seed=0)
    means = [np.mean([lengths[number] for number in order(step)]) for step in range(BUCKET)]
    assert means != sorted(means)
    assert sorted(means) == [2 + 4 * place + 1.5 for place in range(BUCKET)]


# what is in them --------------------------------------------------------------------------------------------------------


@given(ROWS, st.data())
def test_targets_are_the_inputs_shifted_by_one_where_an_answer_is(rows: list[Row], data: st.DataObject) -> None:
    """And IGNORED everywhere else: at questions, and where a shorter row is padded."""
    some = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=6))
    inputs, targets = examples(rows).language(some)
    width = max(len(rows[number]) for number in some) - 1
    assert inputs.shape == targets.shape == (len(some), width)
    assert inputs.dtype == targets.dtype == np.int64
    for place, number in enumerate(some):
        ids, learned = zip(*rows[number], strict=True)
        padding = width - len(ids) + 1
        assert inputs[place].tolist() == [*ids[:-1], *[0] * padding]
        assert targets[place].tolist() == [
            *(id if counts else IGNORED for id, counts in zip(ids[1:], learned[1:], strict=True)),
            *[IGNORED] * padding,
        ]


def test_a_batch_by_hand() -> None:
    found = examples([[(7, False), (8, False), (9, True), (1, True)], [(5, False), (6, True)], plain([3, 4, 2])[0]])
    inputs, targets = found.language([1, 0])
    assert inputs.tolist() == [[5, 0, 0], [7, 8, 9]]
    assert targets.tolist() == [[6, IGNORED, IGNORED], [IGNORED, 9, 1]]
    assert found.lengths.tolist() == [4, 2, 3]
    assert len(found) == 3
    assert [part.tolist() for part in found.row(1)] == [[5, 6], [False, True]]


@given(ROWS, st.data())
def test_a_label_is_told_at_the_last_token_of_its_text(rows: list[Row], data: st.DataObject) -> None:
    labels = np.array(data.draw(st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows))), np.int32)
    some = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=6))
    inputs, found, places = examples(rows, labels=labels).labelled(some)
    assert inputs.shape == (len(some), max(len(rows[number]) for number in some))
    assert found.tolist() == [labels[number] for number in some]
    assert found.dtype == np.int64
    assert places.tolist() == [len(rows[number]) - 1 for number in some]
    for place, number in enumerate(some):
        ids = [id for id, _ in rows[number]]
        assert inputs[place, : places[place] + 1].tolist() == ids
        assert not inputs[place, places[place] + 1 :].any()


@given(ROWS, st.data())
def test_of_two_answers_the_better_one_stands_before_the_worse(rows: list[Row], data: st.DataObject) -> None:
    """Each pair is padded to the longest row of the batch, and what was known before comes with it."""
    pairs = [(row, data.draw(st.sampled_from(rows))) for row in rows]
    reference = np.arange(2 * len(pairs), dtype=np.float64).reshape(-1, 2)
    both = examples([row for pair in pairs for row in pair], rows_each=2, reference=reference)
    assert len(both) == len(pairs)
    assert both.lengths.tolist() == [max(map(len, pair)) for pair in pairs]
    some = data.draw(st.lists(st.integers(0, len(pairs) - 1), min_size=1, max_size=5))
    inputs, known, targets = both.preferred(some)
    assert known.tolist() == [[2 * number, 2 * number + 1] for number in some]
    assert known.dtype == np.float32
    width = max(both.lengths[some]) - 1
    assert inputs.shape == targets.shape == (len(some), 2, width)
    for side in (0, 1):
        alone_inputs, alone_targets = examples([pairs[number][side] for number in some]).language(range(len(some)))
        own = alone_inputs.shape[1]
        assert (inputs[:, side, :own] == alone_inputs).all()
        assert (targets[:, side, :own] == alone_targets).all()
        assert not inputs[:, side, own:].any()
        assert (targets[:, side, own:] == IGNORED).all()


def test_an_order_over_the_lengths_of_examples_gives_batches_of_them() -> None:
    """As a run does it: every id that is learned comes once an epoch."""
    rows = plain(*([number] * (2 + number % 7) for number in range(20)))
    found = examples(rows)
    order = ExampleOrder(tuple(found.lengths.tolist()), 4, seed=3)
    counted: Counter[int] = Counter()
    for step in range(5):
        _, targets = found.language(order(step))
        counted.update(targets[targets != IGNORED].tolist())
    assert counted == {number: 1 + number % 7 for number in range(20)}
