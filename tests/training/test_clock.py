"""Progress is a function of the step and of the decisions; a pace foretells the end."""

import itertools
import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.checkpoint.state import Decision
from newleaf.errors import UsageError
from newleaf.training.clock import Budget, Pace, Stopwatch, enough, progress
from newleaf.training.loop import Loop


@st.composite
def decision_lists(draw: st.DrawFn) -> list[Decision]:
    decisions, step = [Decision(0, draw(st.integers(1, 500)))], 0
    for _ in range(draw(st.integers(0, 6))):
        step += draw(st.integers(0, 60))
        decisions.append(Decision(step, step + draw(st.integers(0, 300)), restart=draw(st.booleans())))
    return decisions


@given(decision_lists(), st.sampled_from([0.3, 0.6, 0.9]))
def test_progress_stays_in_zero_to_one_and_ends_at_one(decisions: list[Decision], decay_from: float) -> None:
    last = decisions[-1].last
    values = [progress(decisions, step, decay_from) for step in range(max(last, decisions[-1].step) + 2)]
    assert all(0 <= value <= 1 for value in values)
    assert values[max(last, decisions[-1].step)] == 1


@given(decision_lists(), st.sampled_from([0.3, 0.6, 0.9]))
def test_within_the_decay_progress_never_goes_back_unless_the_run_is_extended(decisions: list[Decision], decay_from: float) -> None:
    plain = [Decision(d.step, d.last) for d in decisions]
    values = [progress(plain, step, decay_from) for step in range(plain[-1].step + 50)]
    assert all(later >= earlier for earlier, later in itertools.pairwise(values) if earlier >= decay_from)


@given(decision_lists(), st.integers(0, 400))
def test_later_decisions_do_not_change_earlier_steps(decisions: list[Decision], step: int) -> None:
    known = [d for d in decisions if d.step <= step]
    assert progress(decisions, step, 0.6) == progress(known, step, 0.6)


def test_steps_alone_make_an_even_progress() -> None:
    assert [progress([Decision(0, 4)], step, 0.5) for step in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]


def test_an_extension_begins_the_constant_part_again() -> None:
    decisions = [Decision(0, 100), Decision(60, 200, restart=True)]
    assert progress(decisions, 59, 0.6) == 0.59
    assert progress(decisions, 60, 0.6) == pytest.approx(0.3)
    assert progress(decisions, 200, 0.6) == 1


@pytest.mark.parametrize(
    "given", [{}, {"minutes": 1.0, "steps": 2}, {"minutes": -1.0}, {"steps": 0}, {"minutes": float("nan")}, {"minutes": float("inf")}]
)
def test_a_budget_that_cannot_be_is_refused(given: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Budget(**given)  # type: ignore[arg-type]


class Clocked:
    """A task by the clock, whose examples are worth `most` steps."""

    def __init__(self, most: int) -> None:
        self.most, self.decided = most, list[Decision]()

    def most_steps(self) -> int:
        return self.most

    def tail_seconds(self, _: float) -> float:
        return 0.0


def checked(decisions: list[Decision], fitting: int, most: int) -> Decision:
    """The decision in force after the clock has found that so many steps fit."""
    loop: Any = Loop.__new__(Loop)
    task = Clocked(most)
    loop.task, loop.pauses = task, {"evaluation": 0.0}
    loop.state = SimpleNamespace(decisions=decisions, step=decisions[-1].step + 1)
    loop.plan = SimpleNamespace(decay_from=0.6)
    loop.pace = SimpleNamespace(
        budget=1.0, deadline=0.0, decided=0.0, fitting_last=lambda *_: fitting, calm=lambda _: False, misses=lambda *_: True
    )
    loop.stopwatch, loop._still_to_pause = lambda: 0.5, lambda *_: 0.0
    loop._decide = decisions.append
    loop._check_clock()
    return decisions[-1]


def test_a_slow_spell_is_made_good_as_far_as_the_text_has_something_to_give() -> None:
    decisions = [Decision(0, 90, enough=True)]
    assert (checked(decisions, 60, most=90).last, enough(decisions)) == (60, False)
    assert (checked(decisions, 80, most=90).last, enough(decisions)) == (80, False)
    assert (checked(decisions, 300, most=90).last, enough(decisions)) == (90, True)
    assert (checked(decisions, 400, most=120).last, len(decisions)) == (90, 4)  # what was once enough stays so
    assert (checked(decisions, 70, most=120).last, enough(decisions)) == (70, False)


def test_budgets_become_steps() -> None:
    assert Budget(steps=7).in_steps(100, 1000) == 7
    assert Budget(tokens=1000).in_steps(100, 999) == 10
    assert Budget(epochs=2.5).in_steps(100, 1000) == 25
    assert Budget(minutes=1).in_steps(100, 1000) is None


def test_a_pace_ends_on_time_whatever_the_pauses() -> None:
    pace = Pace(budget=100.0, deadline=90.0)
    for step in range(1, 11):
        pace.mark(step, step * 0.5)
    pace.pause(3.0)
    assert pace.seconds_per_step() == pytest.approx(0.5)
    assert pace.fitting_last(10, 8.0, still_to_pause=lambda last: 2.0) == 10 + 160
    assert pace.fitting_last(10, 8.0, still_to_pause=lambda last: (last - 10) // 10 * 5.0) == 10 + 84  # half of the time
    assert pace.fitting_last(10, 95.0, still_to_pause=lambda last: 0.0) == 11  # too late: one more step, so that what is last is judged
    assert pace.misses(170, 10, 8.0, 2.0) is False
    assert pace.misses(180, 10, 8.0, 2.0) is True


def test_a_stopwatch_counts_from_the_moment_that_its_command_began() -> None:
    began = time.monotonic()
    stopwatch = Stopwatch(before=5.0, zero=began - 10)
    assert 15 <= stopwatch() <= 15 + time.monotonic() - began
