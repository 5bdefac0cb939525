"""The subject of preference: of two answers the better one becomes likelier than it was, against the worse one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from newleaf.batches.examples import Examples
from newleaf.checkpoint.state import State
from newleaf.checkpoint.store import read_tensors
from newleaf.checkpoint.tensors import save_tensors
from newleaf.evaluation.between import Between, unheard
from newleaf.evaluation.examples import score_answers, score_margins
from newleaf.evaluation.metrics import mean
from newleaf.evaluation.written import answer_bytes, write_answers
from newleaf.jobs.answers import Answers
from newleaf.jobs.tuning import NO_BITS, NUM_SAMPLES
from newleaf.loss.answers import preference
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout
from newleaf.text.examples import Preference
from newleaf.training.gradients import Batch
from newleaf.training.task import Evaluation

BETA = 0.1  # as in the paper
ROUNDING = 1e-5  # of an answer's nats, which are added in float32: what is less is no gain


class Preferences(Answers):
    """Direct preference optimisation; the reference is the model before."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.train, self.val = self.data.train, self.data.val
        if self.setup.run.reference.exists():
            self.know()

    def know(self) -> None:
        """The log-probabilities of all answers before step 0."""
        known = read_tensors(self.setup.run.reference)
        self.train, self.val = (replace(each, reference=known[name].numpy()) for name, each in (("train", self.train), ("val", self.val)))

    def pretend(self) -> None:
        nothing = (np.zeros((len(each), 2), np.float32) for each in (self.train, self.val))
        self.train, self.val = (replace(each, reference=none) for each, none in zip((self.train, self.val), nothing, strict=True))

    def begin(self, model: Decoder) -> None:
        found = {name: torch.from_numpy(self.reference(model, each)) for name, each in (("train", self.train), ("val", self.val))}
        save_tensors(self.setup.run.reference, found, {})
        self.know()
        super().begin(model)

    def reference(self, model: Decoder, examples: Examples) -> np.ndarray:
        """(examples, 2) log-probabilities of the answers."""
        alone = replace(examples, rows_each=1)
        nats = score_answers(model, alone, list(range(len(alone))), self.setup.workers, unheard).nats
        return -nats.reshape(-1, 2).astype(np.float32)

    def batches(self, state: State) -> Callable[[int], Batch]:
        order, examples = self.order(state), self.train
        return lambda step: examples.preferred(order(step))

    def count(self, batch: Batch) -> int:
        return len(batch[0])

    @property
    def beta(self) -> float:
        return BETA if self.settings.beta is None else self.settings.beta

    def loss(self, model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None) -> Tensor:
        return preference(model, batch, dropout, self.precision, self.beta)

    def score(self, model: Decoder, some: list[int], between: Between) -> Evaluation:
        margins = score_margins(model, self.val, some, self.setup.workers, between)[:, 0]
        loss = float(np.logaddexp(0, -self.beta * margins).mean())
        return Evaluation(loss, loss, len(some), answer_bytes(self.val, some, self.data.tokenizer))

    def figure(self, model: Decoder) -> dict[str, Any]:
        margins = score_margins(model, self.val, list(range(len(self.val))), self.setup.workers, unheard)[:, 0]
        rounding = ROUNDING * np.abs(self.val.reference).sum(1)
        better = np.where(np.abs(margins) <= rounding, 0.5, margins > 0)  # the model before has gained nothing: chance, not rounding
        return {
            "reward_accuracy": mean(better.tolist()).as_json(),
            "margin": mean((self.beta * margins).tolist()).as_json(),
        }

    def compared(self, model: Decoder) -> dict[str, Any]:
        return self.figure(model)

    def rivals(self) -> dict[str, Any]:
        likelier = self.val.reference[:, 0] > self.val.reference[:, 1]
        rows = [row for row in self.data.rows("val") if isinstance(row, Preference)]
        longer = [float(len(row.chosen) > len(row.rejected)) for row in rows]
        return {
            "the likelier answer": {"reward_accuracy": mean(likelier.astype(float).tolist()).as_json()},
            "the longer answer": {"reward_accuracy": mean(longer).as_json()},
        }

    def figures(self) -> dict[str, Any]:
        return super().figures() | NO_BITS

    def samples(self, model: Decoder) -> Iterator[tuple[str, str]]:
        rows = [row for row in self.data.rows("val") if isinstance(row, Preference)][:NUM_SAMPLES]
        written = write_answers(model, self.data.tokenizer, self.val, range(len(rows)))
        for row, answer in zip(rows, written, strict=True):
            yield row.turns[-1][1] + "\n", answer.text
