"""The subject of chat and of every task whose answer is text: a model learns the answers of conversations."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from newleaf.batches.pretrain import PretrainBatches
from newleaf.checkpoint.state import State
from newleaf.evaluation import metrics
from newleaf.evaluation.between import Between
from newleaf.evaluation.examples import score_answers
from newleaf.evaluation.written import Answer, answer_bytes, answer_figures, answers_of_its_own, right_answers, write_answers
from newleaf.jobs.setup import Setup
from newleaf.jobs.tuning import NUM_SAMPLES, Tuning
from newleaf.jobs.view import View
from newleaf.loss import IGNORED
from newleaf.loss.answers import answers
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout
from newleaf.text.examples import Conversation
from newleaf.tokens.templates import end_of_turn
from newleaf.training.example_data import ExampleData
from newleaf.training.gradients import Batch
from newleaf.training.task import Evaluation
from newleaf.training.tasks import Task

NUM_WRITTEN, FIRST_WRITTEN = 100, 8  # answers that are written to be judged, and those by which the time of one is known
WRITING_SHARE = 0.03  # of a budget in minutes that they may take at a time


class Answers(Tuning):
    """Learns the answers of conversations."""

    def __init__(self, setup: Setup[ExampleData], view: View, task: Task) -> None:
        super().__init__(setup, view, task)
        self.written: list[Answer] = []  # the answers that were judged last
        self.originality: dict[str, Any] | None = None
        self.num_written: int = setup.run.read_summary().get("written") or NUM_WRITTEN

    def batches(self, state: State) -> Callable[[int], Batch]:
        order, examples, text = self.order(state), self.data.train, self.replayed(state)
        return lambda step: together(examples.language(order(step)), text(step)) if text else examples.language(order(step))

    def replayed(self, state: State) -> PretrainBatches | None:
        """Windows of the model's own text, as many as a share of the batch asks for."""
        share = self.settings.replay or 0.0
        if not share or self.own is None:
            return None
        rows = max(1, round(share / (1 - share) * self.plan.batch_rows))
        return PretrainBatches(self.own.train, self.plan.context, rows, self.plan.seed, state.retry)

    def loss(self, model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None) -> Tensor:
        return answers(model, batch, dropout, self.precision)

    def score(self, model: Decoder, some: list[int], between: Between) -> Evaluation:
        found = score_answers(model, self.data.val, some, self.setup.workers, between)
        num_bytes = answer_bytes(self.data.val, some, self.data.tokenizer)
        return Evaluation(found.loss, float(found.nats.sum()) / math.log(2) / max(1, num_bytes), int(found.tokens.sum()), num_bytes)

    def begin(self, model: Decoder) -> None:
        if self.task.kind == "answers" and self.plan.budget.seconds is not None:
            began, some = self.setup.stopwatch(), range(min(FIRST_WRITTEN, len(self.data.val)))
            write_answers(model, self.data.tokenizer, self.data.val, some)  # who has not learned to stop takes longest
            each = (self.setup.stopwatch() - began) / len(some)
            self.num_written = max(len(some), min(NUM_WRITTEN, int(WRITING_SHARE * self.plan.budget.seconds / each)))
            self.seconds_more += each * len(self.some)
        super().begin(model)

    def compared(self, model: Decoder) -> dict[str, Any]:
        """How many answers stop is no metric to beat: where a task has no other, the loss is compared."""
        return self.figure(model) if self.task.metrics else {}

    def figure(self, model: Decoder) -> dict[str, Any]:
        self.written = write_answers(model, self.data.tokenizer, self.data.val, self.some)
        found = answer_figures(self.written, self.data.tokenizer, self.data.val, self.data.rows("val"), self.some, self.task.metrics)
        return {name: each.as_json() for name, each in found.items()}

    def finish(self, model: Decoder, judged: Evaluation, between: Between) -> None:
        super().finish(model, judged, between)
        if self.written:  # by the model that is kept, which was judged last
            self.originality = answers_of_its_own(self.written, self.data.tokenizer, self.data.val, self.some, self.data.train)

    @property
    def some(self) -> range:
        """The held-out examples whose answers are written."""
        return range(min(self.num_written, len(self.data.val)))

    def figures(self) -> dict[str, Any]:
        return super().figures() | {"written": self.num_written, "originality": self.originality}

    def rivals(self) -> dict[str, Any]:
        if not self.task.metrics:
            return {}
        rows, examples = self.data.rows("val"), self.data.val
        asked = [turns_of(rows[number])[-2][1] for number in self.some]
        wanted = [right_answers(self.data.tokenizer, examples, rows[number], number) for number in self.some]
        names = [name for name in self.task.metrics if metrics.installed(name)]
        return {"copy the input": {name: metrics.figure(name, asked, wanted).as_json() for name in names}}

    def said(self) -> dict[str, Any]:
        """Answers end with a token that a text may not have."""
        ends = [self.data.tokenizer.end_of_text, end_of_turn(self.data.tokenizer)]
        return {**self.base.said, "eos_token_id": ends if ends[0] != ends[1] else ends[0]}

    def samples(self, model: Decoder) -> Iterator[tuple[str, str]]:
        rows = self.data.rows("val")
        some = list(range(min(NUM_SAMPLES, len(rows))))
        for number, answer in zip(some, write_answers(model, self.data.tokenizer, self.data.val, some), strict=True):
            yield turns_of(rows[number])[-2][1] + "\n", answer.text


def together(examples: tuple[np.ndarray, np.ndarray], windows: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Rows of examples and windows of text, padded to one width."""
    width = max(examples[0].shape[1], windows[0].shape[1])
    return tuple(
        np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=filling) for part in parts])
        for parts, filling in zip(zip(examples, windows, strict=True), (0, IGNORED), strict=True)
    )


def turns_of(row: object) -> tuple[tuple[str, str], ...]:
    assert isinstance(row, Conversation)
    return row.turns
