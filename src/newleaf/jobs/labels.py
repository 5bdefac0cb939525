"""The subjects of classification: a head reads the last token of a text and says which of some labels it has, or the model answers with the
label, and the likeliest of them counts."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from newleaf.checkpoint.state import State
from newleaf.conversion.configs import SPELLED
from newleaf.evaluation import rivals
from newleaf.evaluation.between import Between, unheard
from newleaf.evaluation.examples import score_labels
from newleaf.evaluation.labels import confusion, label_figures
from newleaf.evaluation.spelled import score_spelled
from newleaf.jobs.answers import Answers
from newleaf.jobs.setup import Setup
from newleaf.jobs.tuning import NO_BITS, NUM_SAMPLES, Tuning
from newleaf.jobs.view import View
from newleaf.loss.labels import label_loss
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout
from newleaf.text.examples import Labelled
from newleaf.tokens.tokenizer import PADDING
from newleaf.training.encode import Encoder
from newleaf.training.example_data import ExampleData
from newleaf.training.gradients import Batch
from newleaf.training.task import Evaluation
from newleaf.training.tasks import Task

TFIDF_SHARE = 0.25  # of a budget in minutes that it may take
SHOWN = 200  # characters of a text in a sample


class Classifying(Tuning):
    """Learns to say which of some labels a text has."""

    def __init__(self, setup: Setup[ExampleData], view: View, task: Task) -> None:
        super().__init__(setup, view, task)
        self.judged: np.ndarray | None = None  # (N, labels) of everything that is held out, by the model that was judged last
        self.known: dict[Evaluation, np.ndarray] = {}  # the same, of each that was judged

    @abstractmethod
    def likely(self, model: Decoder, some: list[int], between: Between) -> np.ndarray:
        """(N, labels) log-probabilities for some of the held-out texts."""

    @property
    def names(self) -> list[str]:
        """Of the labels, by their ids."""
        return [str(name) for name in self.data.manifest["labels"]]

    def said(self) -> dict[str, Any]:
        names = self.names
        return {**super().said(), "id2label": dict(enumerate(names)), "label2id": {name: id for id, name in enumerate(names)}}

    def figure(self, model: Decoder) -> dict[str, Any]:
        found = self.likely(model, list(range(len(self.data.val))), unheard) if self.judged is None else self.judged
        self.confused = confusion(self.data.val.labels, found.argmax(1), len(self.names))
        return label_figures(self.data.val.labels, found)

    def compared(self, model: Decoder) -> dict[str, Any]:
        return self.figure(model)

    def rivals(self) -> dict[str, Any]:
        train, val = self.labelled("train"), self.labelled("val")
        labels, wanted = [row.label for row in train], self.data.val.labels
        ids = {name: id for id, name in enumerate(self.names)}
        most = rivals.majority(labels)
        found = {"majority": label_figures(wanted, rivals.certain([ids[most]] * len(val), len(ids)))}
        seconds = tfidf_seconds(train)
        if rivals.installed() and seconds > self.most_seconds:
            self.view.event(
                f"TF-IDF with logistic regression is left out: it would take {seconds:.0f} s of this budget",
                f"不测 TF-IDF 加逻辑回归：要用去预算中的 {seconds:.0f} 秒",
            )
        elif rivals.installed():
            self.view.event("measuring TF-IDF with logistic regression", "测量 TF-IDF 加逻辑回归")
            said = rivals.tfidf([joined(row) for row in train], labels, self.names, [joined(row) for row in val])
            found["tfidf"] = label_figures(wanted, said)
        return found

    @property
    def most_seconds(self) -> float:
        """That TF-IDF may take."""
        return TFIDF_SHARE * (self.plan.budget.seconds or math.inf)

    def rival_seconds(self) -> float:
        seconds = tfidf_seconds([row for row in self.data.rows("train") if isinstance(row, Labelled)])
        return seconds if self.settings.baselines is not False and rivals.installed() and seconds <= self.most_seconds else 0.0

    def finish(self, model: Decoder, judged: Evaluation, between: Between) -> None:
        self.judged = self.known.get(judged)  # the model that is kept need not be the one that was judged last
        super().finish(model, judged, between)

    def figures(self) -> dict[str, Any]:
        more = {"labels": self.names, "confusion": self.confused.tolist()} if self.metrics else {"labels": self.names}
        return super().figures() | more | NO_BITS

    def samples(self, model: Decoder) -> Iterator[tuple[str, str]]:
        some = list(range(min(NUM_SAMPLES, len(self.data.val))))
        found = self.likely(model, some, unheard)
        for row, scores in zip(self.labelled("val"), found, strict=False):
            yield joined(row)[:SHOWN] + "\n", f"{self.names[int(scores.argmax())]} ({math.exp(scores.max()):.0%})"

    def labelled(self, part: str) -> list[Labelled]:
        return [row for row in self.data.rows(part) if isinstance(row, Labelled)]


class Labels(Classifying):
    """By a head on the last token."""

    def batches(self, state: State) -> Callable[[int], Batch]:
        order, examples = self.order(state), self.data.train
        return lambda step: examples.labelled(order(step))

    def loss(self, model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None) -> Tensor:
        return label_loss(model, batch, dropout, self.precision)

    def said(self) -> dict[str, Any]:
        """transformers looks for the last token that is no padding."""
        tokenizer = self.data.tokenizer
        return {"pad_token_id": tokenizer.special_tokens.get(PADDING, tokenizer.end_of_text), **super().said()}

    def likely(self, model: Decoder, some: list[int], between: Between) -> np.ndarray:
        return score_labels(model, self.data.val, some, self.setup.workers, between)

    def score(self, model: Decoder, some: list[int], between: Between) -> Evaluation:
        labels, found = self.data.val.labels[some], self.likely(model, some, between)
        nats = -found[np.arange(len(some)), labels]
        num_bytes = sum(len(self.names[label].encode()) for label in labels)
        judged = Evaluation(float(nats.mean()), float(nats.sum()) / math.log(2) / num_bytes, len(some), num_bytes)
        if len(some) == len(self.data.val):
            self.judged = self.known[judged] = found
        return judged


class SpelledLabels(Classifying, Answers):
    """By the answer: trained as any answers are, judged by which label is the likeliest."""

    def likely(self, model: Decoder, some: list[int], between: Between) -> np.ndarray:
        encoder, rows = Encoder(self.task, self.data.tokenizer), self.labelled("val")
        context = self.data.manifest["context"]
        return score_spelled(model, encoder, [rows[number] for number in some], self.names, self.setup.workers, between, context)

    def said(self) -> dict[str, Any]:
        return {**super().said(), SPELLED: True}


def tfidf_seconds(train: Sequence[Labelled]) -> float:
    """What TF-IDF with logistic regression takes to learn from them."""
    return sum(len(joined(row).encode()) for row in train) / rivals.BYTES_A_SECOND


def joined(row: Labelled) -> str:
    return "\n".join(row.texts)
