"""A setup and a subject in, a finished run directory out: the loop's surroundings, the same whatever is trained.

The subject (subject.py) has the weights, the batches, the loss and the judgement. Here the best model is kept, the view is told,
and what a person looks at is written.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from newleaf import fsio, runs, runtime
from newleaf.checkpoint.state import Best, Decision, State
from newleaf.errors import DivergedError, Interrupted
from newleaf.jobs.ending import write_ending
from newleaf.jobs.setup import MATMULS, Setup, append_decision
from newleaf.jobs.subject import Subject
from newleaf.jobs.view import View
from newleaf.memory import Shortage, attempt
from newleaf.model import size
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout
from newleaf.model.lora import load_trained, trained
from newleaf.optim.optimizer import Optimizer
from newleaf.training.clock import Pace, enough
from newleaf.training.gradients import Batch
from newleaf.training.loop import Loop
from newleaf.training.metrics import Metrics
from newleaf.training.planfile import write_plan
from newleaf.training.signals import Stop
from newleaf.training.task import Evaluation
from newleaf.version import __version__

EXIT_SECONDS = 0.25  # for report, card, sums and the last lines


@dataclass
class Job:
    """One run. A signal before `run` finds nothing to save and ends the process at once."""

    setup: Setup[Any]
    subject: Subject[Any]
    view: View
    stop: Stop = field(default_factory=Stop)
    final: Evaluation | None = None  # of the last weights; `best` of the best ones
    best: Evaluation | None = None
    last: Evaluation | None = None  # on the sample
    rate: float = 1.0  # FLOP/s of matrix products, as far as measured

    def __post_init__(self) -> None:
        self.rate = runtime.matmul_rate(self.setup.state.matmul_seconds)

    def run(self) -> dict[str, Any]:
        """From the setup's state to the end of the budget, then the final figures."""
        setup = self.setup
        self.subject.settle_memory()
        model, optimizer = self.build()
        if setup.found is not None:
            load_trained(model, setup.found.weights)
            optimizer.load(setup.found.optimizer, setup.state.step)
        metrics = Metrics(setup.run.metrics, setup.state.step)
        pace = Pace(setup.plan.budget.seconds) if setup.plan.budget.seconds is not None else None
        self.view.plan(str(setup.run.path), setup.plan, setup.data.manifest, optimizer.describe())
        loop = Loop(
            plan=setup.plan,
            task=self,
            model=model,
            optimizer=optimizer,
            state=setup.state,
            folder=setup.run.checkpoints,
            metrics=metrics,
            stop=self.stop,
            stopwatch=setup.stopwatch,
            device=setup.machine.device,
            workers=setup.workers,
            pace=pace,
        )
        self.loop = loop
        if setup.run.read_summary().get("stopped_by"):  # of an earlier process, or of the run that is extended
            fsio.write_json(setup.run.summary, self.summary(None))
        if setup.found is None:
            self.subject.begin(model)
            if not self.subject.text:  # what it has measured is not measured again
                fsio.write_json(setup.run.summary, self.summary(None))
        try:
            loop.run()
            return self._finish(loop)
        except Exception as error:
            stopped_by = "signal" if isinstance(error, Interrupted) else "nan" if isinstance(error, DivergedError) else "error"
            with suppress(Exception):  # what is told is what went wrong first
                summary = self._write(stopped_by)
                if isinstance(error, Interrupted):
                    error.found = summary
            raise
        finally:
            metrics.close()

    # what the loop asks for -----------------------------------------------------------------------------------------

    def build(self) -> tuple[Decoder, Optimizer]:
        model = self.subject.build().to(self.setup.machine.device)
        return model, Optimizer(model.named_parameters(), self.setup.plan.optim, self.subject.precision, self.setup.workers)

    def batches(self, state: State) -> Callable[[int], Batch]:
        return self.subject.batches(state)

    def count(self, batch: Batch) -> int:
        return self.subject.count(batch)

    def loss(self, model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None) -> Tensor:
        return self.subject.loss(model, batch, dropout)

    def epochs(self, state: State) -> float:
        return self.subject.epochs(state)

    def most_steps(self) -> float:
        return self.subject.most_steps()

    def evaluate(self, model: Decoder) -> Evaluation:
        return self.subject.evaluate(model)

    def keep(self, model: Decoder, step: int, evaluation: Evaluation, best: Best | None = None) -> str:
        """`best`: what the model was chosen by, where `evaluation` is the final one."""
        sample = best or evaluation
        metadata = {"step": str(step), "val_bpb": repr(evaluation.val_bpb), "val_loss": repr(evaluation.val_loss)}
        metadata |= {"sample_bpb": repr(sample.val_bpb), "sample_loss": repr(sample.val_loss)}  # for a process that resumes
        return self.subject.write(model, metadata)

    def decide(self, decision: Decision) -> None:
        append_decision(self.setup.run, decision)

    def tail_seconds(self, evaluation_seconds: float) -> float:
        """The last evaluation and checkpoint, the final figures, the second half of the matrix rate, the end."""
        state, pauses = self.loop.state, self.loop.pauses
        older = state.best is not None and (state.lowest is None or state.best.val_loss < state.lowest)  # from before an extension
        figures = 2 if older or state.stale else 1  # the last weights and, where they are others, the best ones
        sample, final, others = self.subject.final_seconds(state)
        saving = 2 * pauses["checkpoint"] + pauses["sample"]
        return (evaluation_seconds or sample) + figures * final + others + saving + sum(state.matmul_seconds) + EXIT_SECONDS

    def on_step(self, state: State, row: dict[str, Any], progress: float) -> None:
        self.view.step(
            row, {"progress": progress, "mfu": self._mfu(row["tokens_per_second"]), "seconds_left": self._seconds_left(row, progress)}
        )

    def on_evaluation(self, state: State, evaluation: Evaluation) -> None:
        self.last = evaluation
        best = state.best is not None and state.best.step == state.step
        if self.subject.text:
            self.view.evaluation(state.step, evaluation.val_bpb, best)
        else:
            self.view.loss(state.step, evaluation.val_loss, best)
        fsio.write_json(self.setup.run.summary, self.summary(None))

    def on_sample(self, state: State, model: Decoder) -> None:
        rows = [row for row in runs.read_lines(self.setup.run.samples) if row["step"] < state.step]
        for prompt, text in self.subject.samples(model):
            rows.append({"step": state.step, "seconds": round(state.seconds, 1), "prompt": prompt, "text": text})
            self.view.sample(state.step, prompt, text)
        runs.rewrite_lines(self.setup.run.samples, rows)

    def on_event(self, en: str, zh: str) -> None:
        self.view.event(en, zh)

    # the figures ----------------------------------------------------------------------------------------------------

    def _mfu(self, tokens_per_second: float) -> float:
        return float(tokens_per_second * size.flops_per_token(self.setup.plan.as_trained) / self.rate)

    def _seconds_left(self, row: dict[str, Any], progress: float) -> float:
        plan = self.setup.plan
        if plan.budget.seconds is not None:
            return max(0.0, plan.budget.seconds - float(row["seconds"]))
        last = self.setup.state.decisions[-1].last
        return float((last - row["step"]) * self.loop.state.train_seconds / max(1, self.loop.state.step))

    def _finish(self, loop: Loop) -> dict[str, Any]:
        """Score everything that is held out, with the final weights and with the best ones."""
        setup, state = self.setup, loop.state
        with suppress(Shortage):  # the first half says it, too
            more = attempt(runtime.matmul_seconds, setup.machine.device, self.subject.precision, MATMULS - MATMULS // 2)
            self.rate = runtime.matmul_rate(state.matmul_seconds + more)
        assert state.best is not None
        self.best = self.final = self.subject.judge(loop.model, self._leave_if_asked)
        if state.best.step != state.step:
            self._choose(loop.model, state.best)
        self.keep(loop.model, state.best.step, self.best, state.best)
        if state.step % setup.plan.every["sample"]:
            self.on_sample(state, loop.model)
        write_plan(setup.run, setup.plan, setup.inputs, taken=state.decisions)
        self.subject.finish(loop.model, self.best, self._leave_if_asked)
        state.seconds = setup.stopwatch()
        return self._write("text" if enough(state.decisions) else "budget")

    def _choose(self, model: Decoder, best: Best) -> None:
        """Leave in the model the weights that are better on everything that is held out: the last ones, or those that were best on the
        sample of it, where chance has a part."""
        state, last = self.loop.state, {name: tensor.detach().clone() for name, tensor in trained(model).items()}
        load_trained(model, self.subject.read_best())
        sampled = self.subject.judge(model, self._leave_if_asked)
        assert self.final is not None
        if sampled.val_loss < self.final.val_loss:
            self.best = sampled
            return
        load_trained(model, last)
        found = self.last or self.subject.evaluate(model)
        state.best = replace(best, val_loss=found.val_loss, val_bpb=found.val_bpb, step=state.step)

    def _leave_if_asked(self, share: float) -> None:
        """Training is done and saved: a resumed run computes the final figures anew."""
        if self.stop.exit_code is not None:
            raise Interrupted("stopped by a signal during the final evaluation, everything is saved", exit_code=self.stop.exit_code)

    def _write(self, stopped_by: str) -> dict[str, Any]:
        """summary.json, report, card and sums, as the last thing of this process."""
        summary = self.summary(stopped_by)
        fsio.write_json(self.setup.run.summary, summary)
        write_ending(self.setup.run, self.view.event)
        return summary

    def summary(self, stopped_by: str | None) -> dict[str, Any]:
        """summary.json's object; figures that are not known yet are null."""
        setup, state = self.setup, self.loop.state
        manifest, config = setup.data.manifest, setup.plan.config
        shown = self.best or self.last
        sampled = self.subject.sample_size if state.best else (None, None)
        val_bytes, val_tokens = (shown.num_bytes, shown.num_tokens) if shown else sampled
        tokens_per_second = state.tokens / state.train_seconds if state.train_seconds else None
        flops = tokens_per_second * size.flops_per_token(setup.plan.as_trained) if tokens_per_second else None
        best = state.best
        return {
            "val_bpb": self.best.val_bpb if self.best else best.val_bpb if best else None,
            "val_loss": self.best.val_loss if self.best else best.val_loss if best else None,
            "val_bytes": val_bytes,
            "val_tokens": val_tokens,
            "final_val_bpb": self.final.val_bpb if self.final else None,
            "best_step": best.step if best else None,
            "train_bytes": manifest["train_bytes"],
            "train_tokens": self.subject.train_tokens,
            "tokens_trained": state.tokens,
            "epochs": self.subject.epochs(state),
            "steps": state.step,
            "seconds": setup.stopwatch(),
            "train_seconds": state.train_seconds,
            "tokens_per_second": tokens_per_second,
            "flops_per_second": flops,
            "matmul_flops_per_second": self.rate,
            "mfu": flops / self.rate if flops else None,
            "parameters": size.parameters(config),
            "vocab_size": config.vocab_size,
            "context": config.context,
            "micro_batch": state.micro_batch,
            "stopped_by": stopped_by,
            "seed": setup.plan.seed,
            "fingerprint": state.fingerprint,
            "exact": state.exact,
            "clock_decisions": len(state.decisions) if setup.plan.budget.seconds is not None else 0,
            **self.subject.figures(),
            "version": __version__,
        }
