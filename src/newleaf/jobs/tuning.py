"""What all subjects of tuning have in common: the weights that they begin with, adapters, what the model forgets, what has to be beaten."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from newleaf import runs
from newleaf.batches.examples import ExampleOrder
from newleaf.checkpoint.state import State
from newleaf.conversion.adapter import read_adapter, write_adapter
from newleaf.conversion.huggingface import read_into, read_model, write_model
from newleaf.evaluation import bits
from newleaf.evaluation.between import Between, unheard
from newleaf.jobs.proof import difference, prompts_for
from newleaf.jobs.setup import Setup
from newleaf.jobs.subject import Subject
from newleaf.jobs.tune_setup import most_steps, num_judged
from newleaf.jobs.view import View
from newleaf.loss import IGNORED
from newleaf.model.decoder import Decoder
from newleaf.model.lora import adapt
from newleaf.optim.schedule import multiplier
from newleaf.optim.settings import NEW_RATES
from newleaf.training.base import Base
from newleaf.training.example_data import ExampleData
from newleaf.training.gradients import Batch
from newleaf.training.prepare import Data, learned_text, open_data
from newleaf.training.stepper import Stepper
from newleaf.training.task import Evaluation
from newleaf.training.tasks import Task

NUM_SAMPLES = 3
NO_BITS = {"val_bpb": None, "final_val_bpb": None}  # of what is learned in other units than text
GUARD_TOKENS, GUARD_TOKENS_A_MINUTE = 20_000, 5_000  # of the text that the model itself held out, before and after
SCRATCH_SHARE, MOST_SCRATCH_SHARE = 0.1, 0.25  # of a budget in minutes that the same model from nothing may take …
SCRATCH_SHARE_A_MINUTE = 0.025  # … the second from ten minutes on: of a short budget, training needs every second
SCRATCH_WARMUP = 5  # steps of it, at most


class Tuning(Subject[ExampleData]):
    """A subject whose data are examples."""

    def __init__(self, setup: Setup[ExampleData], view: View, task: Task) -> None:
        super().__init__(setup, view)
        self.task, self.settings = task, setup.plan.recipe.tune
        assert setup.plan.base is not None
        self.base: Base = setup.plan.base
        self.sample = list(range(num_judged(self.data.val, self.plan.evaluation_tokens)))
        self.train_tokens = int(self.data.manifest["train"]["num_tokens"])
        self.sample_size = 0, 0
        self.seconds_each = 0.0  # of an example that is judged, as far as measured
        self.seconds_more = 0.0  # of the figures at the end, as far as measured
        known = setup.run.read_summary()
        self.metrics: dict[str, Any] = {}
        self.baselines: dict[str, Any] = known.get("baselines") or {}
        self.forgotten: dict[str, float] = known.get("forgotten") or {}
        self.merged_difference: float | None = None  # between log-probabilities with adapters beside the model, and merged into it
        self.own = None if self.plan.config.num_labels else own_text(self.base)

    # weights --------------------------------------------------------------------------------------------------------

    def build(self) -> Decoder:
        generator = torch.Generator().manual_seed(self.plan.seed)
        model = Decoder(self.plan.config, generator)
        read_into(model, self.base.folder)
        rank = self.settings.rank
        if rank:
            adapt(model, rank, self.settings.alpha or 2.0 * rank, self.settings.products, generator, bool(self.settings.int8))
        return model

    def write(self, model: Decoder, metadata: dict[str, str]) -> str:
        """The whole model, adapters merged into it, and beside it the adapters alone."""
        if self.settings.rank:
            write_adapter(self.setup.run.adapter, model, self.base.name)  # no path: it would tell of the machine
        return write_model(self.setup.run.path, model, metadata, self.data.tokenizer.end_of_text, self.said())

    def said(self) -> dict[str, Any]:
        """What config.json says besides the shape."""
        return dict(self.base.said)

    def read_best(self) -> Mapping[str, Tensor]:
        return read_adapter(self.setup.run.adapter) if self.settings.rank else super().read_best()

    # batches --------------------------------------------------------------------------------------------------------

    def order(self, state: State) -> ExampleOrder:
        """Which examples each step sees."""
        lengths = self.data.train.lengths.tolist()
        return ExampleOrder(lengths, self.plan.batch_rows, self.plan.seed, state.retry, state.generation)

    def epochs(self, state: State) -> float:
        return state.step * self.plan.batch_rows / len(self.data.train)

    def most_steps(self) -> float:
        return most_steps(self.data.manifest["kind"], len(self.data.train), self.plan.batch_rows)

    def count(self, batch: Batch) -> int:
        return int((batch[1] != IGNORED).sum())

    # judgement ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def score(self, model: Decoder, some: list[int], between: Between) -> Evaluation:
        """On some of the held-out examples."""

    @abstractmethod
    def figure(self, model: Decoder) -> dict[str, Any]:
        """What people ask of this task, {name: {value, stderr}}, on held-out examples."""

    def rivals(self) -> dict[str, Any]:
        """{name: figures} of what needs no model, on the same examples."""
        return {}

    def rival_seconds(self) -> float:
        """What these will take, where it is known beforehand."""
        return 0.0

    def pretend(self) -> None:
        """For a trial: whatever `begin` would find out, at any value."""

    def evaluate(self, model: Decoder) -> Evaluation:
        began = self.setup.stopwatch()
        found = self.score(model, self.sample, unheard)
        self.seconds_each = (self.setup.stopwatch() - began) / len(self.sample)
        self.sample_size = found.num_bytes, found.num_tokens
        return found

    def judge(self, model: Decoder, between: Between) -> Evaluation:
        return self.score(model, list(range(len(self.data.val))), between)

    def final_seconds(self, state: State) -> tuple[float, float, float]:
        each = self.seconds_each or state.train_seconds / max(1, state.step * self.plan.batch_rows) / 3
        return each * len(self.sample), each * len(self.data.val), self.seconds_more

    def begin(self, model: Decoder) -> None:
        """How the model does before it is tuned, and what has to be beaten: measured first, so that the clock knows what is left."""
        began = self.setup.stopwatch()
        if self.own is not None:
            self.forgotten = {"before": self.own_bits(model)}
        self.seconds_more += self.setup.stopwatch() - began
        everything = list(range(len(self.data.val)))
        before = self.score(model, everything, unheard)
        self.baselines = {"untuned": {"val_loss": before.val_loss}}
        if self.settings.baselines is False:
            return
        self.baselines["untuned"] |= self.compared(model)
        self.baselines |= self.rivals()
        scratch, steps = self.from_scratch()
        found = self.score(scratch, everything, unheard)
        self.baselines["from scratch"] = {"val_loss": found.val_loss, "steps": steps, **self.compared(scratch)}

    def compared(self, model: Decoder) -> dict[str, Any]:
        """What of its figure has to be beaten."""
        return self.figure(model)

    def finish(self, model: Decoder, judged: Evaluation, between: Between) -> None:
        self.metrics = self.figure(model)
        if self.own is not None:
            self.forgotten |= {"after": self.own_bits(model)}
        if self.settings.rank:
            self.merged_difference = self.as_merged(model)

    def as_merged(self, model: Decoder) -> float:
        """How far the model in the run directory is from the one with its adapters beside it: rounding, if all is well."""
        prompts = prompts_for(self.data.tokenizer, self.plan.config.vocab_size, self.plan.config.context)
        found = difference(model, read_model(self.setup.run.path).to(model.device), prompts)
        self.view.event(
            f"merged into the model, the adapters give the same log-probabilities to within {found:.1g}",
            f"适配器并入模型后，对数概率的差别不超过 {found:.1g}",
        )
        return found

    def own_bits(self, model: Decoder) -> float:
        """Bits per byte of the text that the model held out when it was trained."""
        assert self.own is not None
        minutes = self.plan.budget.minutes
        ids = self.own.val[: (GUARD_TOKENS if minutes is None else min(GUARD_TOKENS, round(GUARD_TOKENS_A_MINUTE * minutes))) + 1]
        found = bits.score(model, ids, bits.window(self.plan.config), self.setup.workers)
        return found.bits_per_byte(self.own.num_bytes(ids[1:]))

    def from_scratch(self) -> tuple[Decoder, int]:
        """A model of the same shape that never saw a text, after as many steps on the examples as the budget allows, at most all; and how
        many these were. By the clock its rates fall with the seconds, so that it is done in time on a machine that others use, too."""
        plan, watch, began = self.plan, self.setup.stopwatch, self.setup.stopwatch()
        stepper, batches, step = self.beginner(), self.batches(State()), 0
        minutes, share = plan.budget.minutes, 0.0
        while step < plan.last_step and share < 1:
            stepper.move_batch(batches(step), multiplier(step, min(1.0, max(step / plan.last_step, share)), stepper.settings))
            step += 1
            if minutes is not None:
                share = (watch() - began) / (60 * minutes * min(MOST_SCRATCH_SHARE, max(SCRATCH_SHARE, SCRATCH_SHARE_A_MINUTE * minutes)))
        return stepper.model, step

    def beginner(self) -> Stepper:
        """A new model of the same shape, and what moves it."""
        plan, settings = self.plan, replace(self.plan.optim, kind="muon", **NEW_RATES)
        if plan.budget.minutes is not None:  # it takes far fewer steps than the warm-up was planned for
            settings = replace(settings, warmup_steps=min(SCRATCH_WARMUP, settings.warmup_steps or 0))
        rows, workers, device = plan.micro_batch, self.setup.workers, self.setup.machine.device
        return Stepper(plan.config, settings, self.precision, workers, rows, device, plan.seed, self.loss, self.count, plan.context)

    def figures(self) -> dict[str, Any]:
        return {"task": self.task.name, "metrics": self.metrics, "baselines": self.baselines, "forgotten": self.forgotten} | (
            {"merged_difference": self.merged_difference} if self.settings.rank else {}
        )


def own_text(base: Base) -> Data | None:
    """The text of the run that a model came from, where it is one of ours."""
    run = runs.Run(base.folder)
    return open_data(run, verify=False) if learned_text(run) else None
