"""Text and a budget in, a finished run directory out: the subject is text, and bits per byte judge it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor

from newleaf import fsio, runs
from newleaf.batches.pretrain import PretrainBatches, Stream, spread
from newleaf.checkpoint.state import State
from newleaf.conversion.huggingface import read_model, write_model
from newleaf.errors import NewleafError
from newleaf.evaluation import bits
from newleaf.evaluation.baselines import baseline_bytes, baselines
from newleaf.evaluation.between import Between
from newleaf.generation.engine import Engine
from newleaf.generation.settings import Sampling
from newleaf.jobs.job import Job
from newleaf.jobs.setup import Setup, begin, extend, resume
from newleaf.jobs.subject import Subject
from newleaf.jobs.view import View
from newleaf.jobs.writing import Writing
from newleaf.loss.language import next_token
from newleaf.memory import Shortage, attempt
from newleaf.model import size
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout, Precision
from newleaf.model.pairs import COUNTED, PIECE, begin_with_pairs
from newleaf.runtime import matmul_rate
from newleaf.training.clock import Stopwatch
from newleaf.training.gradients import Batch, num_targets
from newleaf.training.prepare import Data, open_data
from newleaf.training.request import Request
from newleaf.training.signals import listening
from newleaf.training.task import Evaluation

SAMPLE_TOKENS = 80
CONTEXTS = 4  # in a piece of the held-out text, whose first tokens are predicted from the piece before
VAL_SHARE = 0.1  # of a budget in minutes that the final figure of a --val file may take


def pretrain(request: Request, view: View, zero: float) -> dict[str, Any]:
    """Run the whole job; the caller holds the run's lock. `zero`: when its command began. Returns summary.json's object."""
    if request.extend:
        with unfinished(request.run):
            setup = extend(request, view, zero)
    elif request.run.begun:
        setup = resume(request, view, zero, partial(open_data, verify=True))
    else:
        setup = begin(request, view, Stopwatch(0.0, zero))
    job = Job(setup, Pretraining(setup, view), view)  # a signal up to here finds nothing to save and ends the job at once
    with listening() as job.stop:
        return job.run()


@contextmanager
def unfinished(run: runs.Run) -> Iterator[None]:
    """While a finished run becomes a longer one, its summary must not say finished: a kill here is for --resume to repair."""
    before, sums = run.read_summary(), run.sums.read_bytes() if run.sums.exists() else None
    fsio.remove_tree(run.sums)
    fsio.write_json(run.summary, before | {"stopped_by": None})
    try:
        yield
    except NewleafError:  # refused: it stays what it was
        fsio.write_json(run.summary, before)
        if sums is not None:
            fsio.write_bytes(run.sums, sums)
        raise


class Pretraining(Subject[Data]):
    """Predicts the next token of a text."""

    text = True

    def __init__(self, setup: Setup[Data], view: View) -> None:
        super().__init__(setup, view)
        self.ids = spread(self.data.val, self.plan.evaluation_tokens, CONTEXTS * bits.window(self.plan.config))  # the sample
        self.sample_size = self.data.num_bytes(self.ids[1:]), len(self.ids) - 1
        self.train_tokens = len(self.data.train)
        self.room = bits.Room(tell=view.event)
        self.prompts = fixed_prompts(self.data)
        self.score_seconds = 0.0  # a token of the sample, as far as measured
        self.dearer = 0.0  # how many times as long it takes in float32, as far as measured
        self.writing = Writing(self.data, self.plan.budget.seconds, setup.stopwatch)
        self.originality: dict[str, Any] | None = None
        self.baselines = setup.run.read_summary().get("baselines") or self._baselines()

    def _baselines(self) -> dict[str, float]:
        data = self.data
        held_out = data.text(data.val[: self.final_tokens])[: int(self.plan.foreseen["baseline_bytes"])]
        most = baseline_bytes(self.plan.budget.minutes, len(held_out))
        return baselines(data.text(data.train[max(0, len(data.train) - most) :])[-most:], held_out, most)

    def build(self) -> Decoder:
        if self.plan.base is not None and self.setup.found is None:
            return read_model(self.plan.base.folder)
        generator, new = torch.Generator().manual_seed(self.plan.seed), self.setup.found is None
        model = Decoder(self.plan.config, generator, initialised=new)
        if new:
            begin_with_pairs(model, spread(self.data.train, COUNTED, PIECE), generator)
        return model

    def begin(self, model: Decoder) -> None:
        if self.plan.base is not None:
            before, name = self.evaluate(model), self.plan.base.name
            self.view.event(
                f"before training, {name} scores {before.val_bpb:.4f} bits per byte on the held-out text",
                f"训练之前，{name} 在留出文本上是每字节 {before.val_bpb:.4f} 比特",
            )

    def batches(self, state: State) -> Callable[[int], Batch]:
        plan = self.plan
        return PretrainBatches(
            self.data.train, plan.context, plan.batch_rows, plan.seed, state.retry, state.generation, state.generation_step
        )

    def count(self, batch: Batch) -> int:
        return num_targets(batch)

    def loss(self, model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None) -> Tensor:
        return next_token(model, batch, dropout, self.precision)

    def evaluate(self, model: Decoder) -> Evaluation:
        """In the precision of training, which is quick; the figures at the end are float32's."""
        result, self.score_seconds = self._scored(model, self.ids, self.precision)
        if not self.dearer:
            part = self.ids[: len(self.ids) // 4 + 2]
            self.dearer = 1.0 if self.precision == "float32" else self._scored(model, part, "float32")[1] / self.score_seconds
        return Evaluation(result.loss, result.bits_per_byte(self.sample_size[0]), result.tokens, self.sample_size[0])

    def _scored(self, model: Decoder, ids: Stream, precision: Precision) -> tuple[bits.Score, float]:
        """And the seconds that a token took."""
        began = self.setup.stopwatch()
        found = bits.score(model, ids, bits.window(self.plan.config), self.setup.workers, room=self.room, precision=precision)
        return found, (self.setup.stopwatch() - began) / found.tokens

    def judge(self, model: Decoder, between: Between) -> Evaluation:
        ids = self.data.val[: self.final_tokens]
        result = bits.score(model, ids, bits.window(self.plan.config), self.setup.workers, between, self.room)
        num_bytes = self.data.num_bytes(ids[1:])
        return Evaluation(result.loss, result.bits_per_byte(num_bytes), result.tokens, num_bytes)

    def final_seconds(self, state: State) -> tuple[float, float, float]:
        trained = state.train_seconds / max(1, state.tokens)
        a_token = self.score_seconds or 2 / 3 * trained  # forward is a third of a step, and windows overlap by half
        return a_token * len(self.ids), max(1.0, self.dearer) * a_token * self.final_tokens, self.writing.seconds()

    @property
    def final_tokens(self) -> int:
        """How much of the held-out text the final figure scores: all, or of a long --val file what a tenth of the budget allows."""
        plan, num_tokens = self.plan, len(self.data.val)
        if plan.budget.seconds is None or not self.setup.inputs.get("val"):
            return num_tokens
        rate = matmul_rate(self.setup.state.matmul_seconds)
        token_seconds = 2 * size.flops_per_token(plan.as_trained) / 3 / (rate if self.precision == "float32" else rate / 4)
        return min(num_tokens, max(plan.evaluation_tokens, int(VAL_SHARE * plan.budget.seconds / token_seconds / 2)))

    def finish(self, model: Decoder, judged: Evaluation, between: Between) -> None:
        scored, whole = judged.num_bytes, self.data.manifest["val_bytes"]
        if scored < whole:
            self.view.event(
                f"to stay in time, only the first {scored:,} of {whole:,} held-out bytes were scored",
                f"为了按时结束，{whole:,} 字节的留出文本只评了前 {scored:,} 字节",
            )
        with suppress(Shortage):  # the model is kept: no figure is worth a run
            self.originality = attempt(self.writing.compared, model, between)

    def write(self, model: Decoder, metadata: dict[str, str]) -> str:
        said = self.plan.base.said if self.plan.base else {}
        return write_model(self.setup.run.path, model, metadata, self.data.tokenizer.end_of_text, said)

    def samples(self, model: Decoder) -> Iterator[tuple[str, str]]:
        engine = Engine(model, self.data.tokenizer)
        for prompt in self.prompts:
            began = self.setup.stopwatch()
            sample = engine.generate(prompt, Sampling(max_tokens=SAMPLE_TOKENS, seed=0))[0]
            self.writing.token_seconds = (self.setup.stopwatch() - began) / (1 + len(sample.ids))
            yield prompt, sample.text.rstrip("\ufffd")  # a cut character

    def figures(self) -> dict[str, Any]:
        return {"baselines": self.baselines, "originality": self.originality}


def fixed_prompts(data: Data) -> list[str]:
    """Nothing at all, and the beginning of the held-out text: the same all through the run."""
    beginning = data.tokenizer.decode([int(i) for i in data.val[1:13]])
    words = beginning.replace("\ufffd", "").strip()
    return ["", words] if words else [""]
