"""How far training is, and when it ends: a function of the step and of a short list of written decisions.

A budget in steps needs one decision: (step 0, last step N). A budget in minutes takes more, because only the clock knows how
fast the machine is: each is appended to clock.jsonl and made durable before it acts, and a resumed run repeats those taken.
"""

import math
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from newleaf.checkpoint.state import Decision
from newleaf.errors import UsageError

DECISION_SHARE = 0.01  # of the budget: a projected end farther off than this is a reason to decide again …
REMAINING_SHARE = 0.05  # … if it is also more than this share of what remains: early on, the pace itself is not known better
CALM_SHARE = 0.03  # of the budget: so long a decision stands, but in the last part of about twice that length
RECENT_SECONDS = 5.0  # the step rate is measured over about this long, so that a busy neighbour is noticed soon


@dataclass(frozen=True)
class Budget:
    """What was asked for: exactly one of the four."""

    minutes: float | None = None
    steps: int | None = None
    tokens: int | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) != 1:
            flags = " and ".join(f"--{name}" for name in given) or "none"
            raise UsageError(f"the budget is given by {flags}", expected="one of --minutes, --steps, --tokens, --epochs")
        name, value = next(iter(given.items()))
        if not 0 < value < 1e15:
            raise UsageError(f"--{name} is {value}", where=f"--{name}", expected="a number above 0")

    @property
    def seconds(self) -> float | None:
        """Of the whole command, or None where the clock does not matter."""
        return None if self.minutes is None else self.minutes * 60

    def __str__(self) -> str:
        name, value = next((name, value) for name, value in vars(self).items() if value is not None)
        return f"{value:g} {name}" if isinstance(value, float) else f"{value:,} {name}"

    def in_steps(self, batch_tokens: int, epoch_tokens: int) -> int | None:
        """The number of steps, where it does not depend on the clock."""
        if self.minutes is not None:
            return None
        if self.steps is not None:
            return self.steps
        tokens = self.tokens if self.tokens is not None else (self.epochs or 0) * epoch_tokens
        return max(1, round(tokens / batch_tokens))


def progress(decisions: Sequence[Decision], step: int, decay_from: float) -> float:
    """How far training is at `step`, in [0, 1]: 1 at the last step.

    Before the decay it is step / last. From `decay_from` on it never goes back: a new last step only changes the pace, so
    the learning rate has no jumps.

    >>> decisions = [Decision(0, 100), Decision(80, 90)]
    >>> [progress(decisions, step, decay_from=0.6) for step in (25, 80, 85, 90)]
    [0.25, 0.8, 0.9, 1.0]
    """
    value, since = 0.0, Decision(0, 1)
    for index, decision in enumerate(decisions):
        if decision.step > step:
            break
        reached = advance(value, since, decision.step) if index else 0.0
        even = decision.step / max(1, decision.last)
        value = min(even, decay_from) if decision.restart or reached < decay_from else reached
        since = decision
    return advance(value, since, step)


def enough(decisions: Sequence[Decision]) -> bool:
    """Whether the run ends for want of text, by the newest decision: one that the clock took later may have made it shorter still."""
    return bool(decisions) and decisions[-1].enough


def worth(decisions: Sequence[Decision]) -> float:
    """The last step that the text is worth, by the decisions since the run was last extended; infinite where none says so.

    >>> worth([Decision(0, 90, enough=True), Decision(40, 70)]), worth([Decision(0, 90)])
    (90, inf)
    """
    since = max((index for index, decision in enumerate(decisions) if decision.restart), default=0)
    return min((decision.last for decision in decisions[since:] if decision.enough), default=math.inf)


def advance(value: float, since: Decision, step: int) -> float:
    """From `value` at a decision straight to 1 at its last step."""
    if step >= since.last:
        return 1.0
    return value + (1 - value) * (step - since.step) / (since.last - since.step)


@dataclass
class Pace:
    """Measures how long a step takes, and says when the decision taken no longer fits the budget."""

    budget: float  # seconds of the whole command
    deadline: float = 0.0  # seconds of the run at which the last step should be done
    decided: float = 0.0  # seconds of the run at the last decision
    marks: list[tuple[int, float]] = field(default_factory=list)  # (step, seconds of the run)

    def mark(self, step: int, seconds: float) -> None:
        """A step has ended. Only the last few seconds are kept, and at least four steps."""
        self.marks.append((step, seconds))
        while len(self.marks) > 5 and self.marks[1][1] < seconds - RECENT_SECONDS:
            self.marks.pop(0)

    def pause(self, seconds: float) -> None:
        """Time that no step took (an evaluation, a checkpoint): it must not count as slowness."""
        self.marks = [(step, at + seconds) for step, at in self.marks]

    def seconds_per_step(self) -> float | None:
        """Over the recent past, or None before there is enough of it."""
        if len(self.marks) < 3:
            return None
        (first, began), (last, ended) = self.marks[0], self.marks[-1]
        return max(1e-6, (ended - began) / (last - first))

    def fitting_last(self, step: int, seconds: float, still_to_pause: Callable[[int], float]) -> int | None:
        """The last step that ends on time from here, or None if it cannot be told yet. `still_to_pause` depends on that step."""
        pace = self.seconds_per_step()
        if pace is None:
            return None
        left = self.deadline - seconds
        candidates = range(step + 1, step + max(0, int(left / pace)) + 1)
        return step + max(1, bisect_right(candidates, left, key=lambda last: (last - step) * pace + still_to_pause(last)))

    def calm(self, seconds: float) -> bool:
        """Whether the last decision still stands: a shared machine is fast and slow by turns, and most of it evens out."""
        near_the_end = self.deadline - seconds < 2 * CALM_SHARE * self.budget
        return not near_the_end and seconds - self.decided < CALM_SHARE * self.budget

    def misses(self, last: int, step: int, seconds: float, still_to_pause: float) -> bool:
        """Whether ending at `last` would leave the budget by more than DECISION_SHARE of it."""
        pace = self.seconds_per_step()
        if pace is None:
            return False
        end = seconds + still_to_pause + (last - step) * pace
        tolerance = max(DECISION_SHARE * self.budget, REMAINING_SHARE * (self.deadline - seconds), 0.5 * pace)
        return abs(end - self.deadline) > tolerance


class Stopwatch:
    """Seconds of this run: those of earlier processes, and of this one since `zero`, when time.monotonic() saw its command begin."""

    def __init__(self, before: float, zero: float) -> None:
        self._before, self._zero = before, zero

    def __call__(self) -> float:
        return self._before + time.monotonic() - self._zero
