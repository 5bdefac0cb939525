"""What tuning would do, without tuning: the run is begun in a folder that vanishes, and some of its steps are tried.

So every choice is that of `begin_tuning`, and time and memory are those of the model itself on its own examples, with what is measured
before step 0 counted in: a model from nothing, answers that are written, the text that it may forget.
"""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from newleaf import runtime
from newleaf.checkpoint.state import State
from newleaf.evaluation.between import unheard
from newleaf.evaluation.examples import TOKENS
from newleaf.evaluation.written import write_answers
from newleaf.jobs.answers import FIRST_WRITTEN, NUM_WRITTEN
from newleaf.jobs.setup import Setup
from newleaf.jobs.tune import subject_of
from newleaf.jobs.tune_setup import begin_tuning
from newleaf.jobs.tuning import NUM_SAMPLES, Tuning
from newleaf.jobs.view import View
from newleaf.model import size
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout
from newleaf.optim.optimizer import Optimizer
from newleaf.training.clock import Stopwatch, enough
from newleaf.training.costs import BYTES_WRITTEN, PROCESS_SECONDS, SCORING, step_seconds
from newleaf.training.example_data import ExampleData
from newleaf.training.gradients import Batch, Gradients
from newleaf.training.plan import Plan
from newleaf.training.request import Request

STEPS, SEEN = 5, 200  # that are tried, the longest batch of the second number first; its time does not count
MOST_SECONDS = 8.0  # of a step, by the formula: where one takes longer, time and memory are computed


@dataclass(frozen=True)
class Pace:
    """Seconds of a step, of a held-out example that is judged, of an answer that is written, of the text that may be forgotten."""

    step: float
    judged: float
    written: float = 0.0
    own: float = 0.0


def plan_of_tuning(request: Request) -> Plan:
    """As `begin_tuning` makes it, with what is foreseen of time, memory and disk."""
    with TemporaryDirectory(prefix="newleaf-plan-") as folder:
        setup = begin_tuning(replace(request, out=Path(folder)), View(), Stopwatch(0.0, time.monotonic()))
        reading = setup.stopwatch()
        trial = Trial(setup, subject_of(setup, View()))
        examples = sum(path.stat().st_size for path in setup.run.data.iterdir())
        return replace(setup.plan, foreseen=setup.plan.foreseen | trial.foreseen(reading, examples))


class Trial:
    """Of one subject of tuning."""

    def __init__(self, setup: Setup[ExampleData], subject: Tuning) -> None:
        self.setup, self.subject, self.plan, self.data = setup, subject, setup.plan, setup.data
        subject.pretend()
        lengths = self.data.train.lengths * self.data.train.rows_each
        order, num_batches = subject.order(State()), min(SEEN, -(-len(self.data.train) // self.plan.batch_rows))
        self.tokens = [max(lengths[order(step)]) * self.plan.batch_rows for step in range(num_batches)]  # of each, padding counted

    @property
    def rivals(self) -> bool:
        """Whether what has to be beaten is measured."""
        return self.subject.settings.baselines is not False

    def foreseen(self, reading: float, examples: int) -> dict[str, float]:
        """Of a run whose examples took so many seconds to read and so many bytes to keep."""
        plan, machine = self.plan, self.setup.machine
        model = self.subject.build().to(machine.device)
        learned = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        formula = step_seconds(plan.as_trained, machine, int(np.mean(self.tokens)))
        tried = formula < MOST_SECONDS
        pace = self.tried(model) if tried else Pace(formula, SCORING * formula / plan.batch_rows)
        seconds, most = self.seconds(pace, learned) + reading, plan.budget.seconds
        states = size.parameter_bytes(plan.config) + 4 * 12 * learned  # the model, and four checkpoints with two moments
        found = {
            "learned_parameters": float(learned),
            "seconds": seconds if most is None else min(most, seconds) if enough(plan.decisions) else most,
            "disk_bytes": float(states + examples),
        }
        return found | ({"peak_memory_bytes": float(runtime.peak_memory())} if tried and machine.device == "cpu" else {})

    # trying -----------------------------------------------------------------------------------------------------------

    def tried(self, model: Decoder) -> Pace:
        """Everything that a run does, in its order, as little of it as tells how long it takes and how much memory."""
        longest, watch = int(np.argmax(self.tokens)), self.setup.stopwatch
        self.subject.settle_memory()  # as a run does: it counts
        optimizer = Optimizer(model.named_parameters(), self.plan.optim, self.subject.precision, self.setup.workers)
        batches = self.subject.batches(State())
        if self.rivals:
            beginner = self.subject.beginner()
            beginner.move_batch(batches(longest))
            beginner.move_batch(batches(longest))
            self.judge(beginner.model)
            del beginner
        rows, width = self.plan.micro_batch, self.plan.context
        work = Gradients(model, self.subject.loss, self.setup.machine.device, self.setup.workers, rows, self.subject.count, width)
        steps = [longest, *(step for step in range(len(self.tokens)) if step != longest)][:STEPS]
        marks = [watch()]
        for step in steps:
            self.move(work, optimizer, batches(step))
            marks.append(watch())
        of = slice(1, None) if len(steps) > 1 else slice(None)
        a_token = float(np.diff(marks)[of].sum() / np.take(self.tokens, steps)[of].sum())
        model.zero_grad(set_to_none=True)
        return Pace(a_token * float(np.mean(self.tokens)), self.judge(model), self.write(model), self.remember(model))

    def move(self, work: Gradients, optimizer: Optimizer, batch: Batch) -> None:
        """One step, as the loop makes it."""
        dropout = Dropout(self.plan.dropout, torch.Generator(self.setup.machine.device)) if self.plan.dropout else None
        work(batch, dropout=lambda part: dropout, stopped=lambda: False)
        optimizer.clip()
        optimizer.step(0.0)

    def judge(self, model: Decoder) -> float:
        """Seconds of an example, of as many of the longest ones as fill what is in work at a time."""
        lengths, watch = self.data.val.lengths * self.data.val.rows_each, self.setup.stopwatch
        order = np.argsort(-lengths)
        some = order[: max(1, int(np.searchsorted(np.cumsum(lengths[order]), 2 * self.setup.workers.count * TOKENS)))].tolist()
        began = watch()
        self.subject.score(model, some, unheard)
        return (watch() - began) / float(lengths[some].sum()) * float(lengths.mean())

    def write(self, model: Decoder) -> float:
        """Seconds of an answer."""
        began = self.setup.stopwatch()
        if self.subject.task.kind != "answers":
            return 0.0
        some = range(min(FIRST_WRITTEN, len(self.data.val)))
        write_answers(model, self.data.tokenizer, self.data.val, some)
        return (self.setup.stopwatch() - began) / len(some)

    def remember(self, model: Decoder) -> float:
        """Seconds of what the model's own text costs it."""
        began = self.setup.stopwatch()
        if self.subject.own is not None:
            self.subject.own_bits(model)
        return self.setup.stopwatch() - began

    # reckoning --------------------------------------------------------------------------------------------------------

    def seconds(self, pace: Pace, learned: int) -> float:
        """Of the whole command but for reading, where no clock ends it."""
        plan, val, task = self.plan, len(self.data.val), self.subject.task
        times = {name: plan.last_step // every + 1 for name, every in plan.every.items()}
        judged = times["evaluation"] * len(self.subject.sample) + val * (3 if self.rivals else 2)
        judged += len(self.data.train) + val if task.kind == "preference" else 0  # by the model before
        judged += val * len(self.data.manifest["labels"]) * (3 if self.rivals else 1) if task.kind == "spelled" else 0  # each in turn
        written = min(NUM_WRITTEN, val) * (3 if self.rivals and task.metrics else 1) if task.kind == "answers" else 0
        stored = 4 * (3 * times["checkpoint"] * learned + times["evaluation"] * size.parameters(plan.config))
        return (
            PROCESS_SECONDS
            + plan.last_step * pace.step * (2 if self.rivals else 1)
            + judged * pace.judged
            + 2 * pace.own
            + (written + NUM_SAMPLES * times["sample"]) * pace.written
            + self.subject.rival_seconds()
            + stored / BYTES_WRITTEN
        )
