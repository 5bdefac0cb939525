"""Text and a budget in, a finished run directory out."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from newleaf import fsio, runs, runtime
from newleaf.checkpoint.state import Best, Decision, State
from newleaf.conversion.huggingface import read_model, write_model
from newleaf.errors import DivergedError, Interrupted, NewleafError
from newleaf.evaluation import bits
from newleaf.evaluation.baselines import baseline_bytes, baselines
from newleaf.generation.engine import Engine
from newleaf.generation.settings import Sampling
from newleaf.jobs.ending import write_ending
from newleaf.jobs.setup import MATMULS, Setup, append_decision, begin, extend, resume
from newleaf.jobs.view import View
from newleaf.loss.language import next_token
from newleaf.memory import Shortage, attempt
from newleaf.model import size
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout
from newleaf.optim.optimizer import Optimizer
from newleaf.training.clock import Pace, Stopwatch, enough
from newleaf.training.loop import Loop
from newleaf.training.metrics import Metrics
from newleaf.training.planfile import write_plan
from newleaf.training.request import Request
from newleaf.training.signals import Stop, listening
from newleaf.training.task import Evaluation
from newleaf.version import __version__

EXIT_SECONDS = 0.25  # for report, card, sums and the last lines
SAMPLE_TOKENS = 80
VAL_SHARE = 0.1  # of a budget in minutes that the final figure of a --val file may take


def pretrain(request: Request, view: View, zero: float) -> dict[str, Any]:
    """Run the whole job; the caller holds the run's lock. `zero`: when its command began. Returns summary.json's object."""
    if request.extend:
        with unfinished(request.run):
            setup = extend(request, view, zero)
    elif request.run.begun:
        setup = resume(request, view, zero)
    else:
        setup = begin(request, view, Stopwatch(0.0, zero))
    job = Pretraining(setup, view)  # a signal up to here finds nothing to save and ends the job at once
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


@dataclass
class Pretraining:
    """The loop's surroundings: judges by held-out text, keeps the best model, tells the view, writes what a person looks at."""

    setup: Setup
    view: View
    stop: Stop = field(default_factory=Stop)
    baselines: dict[str, float] = field(default_factory=dict)
    prompts: list[str] = field(default_factory=list)
    final: Evaluation | None = None
    rate: float = 1.0  # FLOP/s of matrix products, as far as measured
    score_seconds: float = 0.0  # a held-out token, as far as measured

    def __post_init__(self) -> None:
        data, plan = self.setup.data, self.setup.plan
        self.rate = runtime.matmul_rate(self.setup.state.matmul_seconds)
        self.sample_ids = data.val[: min(len(data.val), plan.evaluation_tokens + 1)]
        self.sample_bytes = data.num_bytes(self.sample_ids[1:])
        self.room = bits.Room(tell=self.view.event)
        self.prompts = fixed_prompts(self.setup)
        self.baselines = self.setup.run.read_summary().get("baselines") or self._baselines()

    def _baselines(self) -> dict[str, float]:
        data = self.setup.data
        plan = self.setup.plan
        held_out = data.text(data.val[: self.final_tokens])[: int(plan.foreseen["baseline_bytes"])]
        most = baseline_bytes(plan.budget.minutes, len(held_out))
        return baselines(data.text(data.train[max(0, len(data.train) - most) :])[-most:], held_out, most)

    def run(self) -> dict[str, Any]:
        """From the setup's state to the end of the budget, then the final figures."""
        setup = self.setup
        runtime.keep_freed_memory()
        model, optimizer = self.build()
        if setup.found is not None:
            model.load_state_dict(setup.found.weights)
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
            ids=setup.data.train,
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
        if setup.plan.base is not None and setup.found is None:
            before = self.evaluate(model)
            self.view.event(
                f"before training, {setup.plan.base.name} scores {before.val_bpb:.4f} bits per byte on the held-out text",
                f"训练之前，{setup.plan.base.name} 在留出文本上是每字节 {before.val_bpb:.4f} 比特",
            )
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
        plan = self.setup.plan
        if plan.base is not None and self.setup.found is None:
            model = read_model(plan.base.folder)
        else:
            model = Decoder(plan.config, torch.Generator().manual_seed(plan.seed), initialised=self.setup.found is None)
        model = model.to(self.setup.machine.device)
        return model, Optimizer(model.named_parameters(), plan.optim, self.precision, self.setup.workers)

    @property
    def precision(self) -> runtime.Precision:
        return self.setup.plan.recipe.train.precision or "float32"

    def loss(self, model: Decoder, inputs: Tensor, targets: Tensor, dropout: Dropout | None) -> Tensor:
        return next_token(model, inputs, targets, dropout, self.precision)

    def evaluate(self, model: Decoder) -> Evaluation:
        began = self.setup.stopwatch()
        result = bits.score(model, self.sample_ids, bits.window(self.setup.plan.config), self.setup.workers, room=self.room)
        self.score_seconds = (self.setup.stopwatch() - began) / result.tokens
        return Evaluation(result.loss, result.bits_per_byte(self.sample_bytes), result.tokens, self.sample_bytes)

    def keep(self, model: Decoder, step: int, evaluation: Evaluation, best: Best | None = None) -> str:
        """`best`: what the model was chosen by, where `evaluation` is the final one."""
        sample = best or evaluation
        metadata = {"step": str(step), "val_bpb": repr(evaluation.val_bpb), "val_loss": repr(evaluation.val_loss)}
        metadata |= {"sample_bpb": repr(sample.val_bpb), "sample_loss": repr(sample.val_loss)}  # for a process that resumes
        said = self.setup.plan.base.said if self.setup.plan.base else {}
        return write_model(self.setup.run.path, model, metadata, self.setup.data.tokenizer.end_of_text, said)

    def decide(self, decision: Decision) -> None:
        append_decision(self.setup.run, decision)

    def tail_seconds(self, evaluation_seconds: float) -> float:
        """The last evaluation and checkpoint, the final figures, the second half of the matrix rate, the end."""
        state, pauses = self.loop.state, self.loop.pauses
        trained = state.train_seconds / max(1, state.tokens)
        a_token = self.score_seconds or 2 / 3 * trained  # forward is a third of a step, and windows overlap by half
        older = state.best is not None and (state.lowest is None or state.best.val_loss < state.lowest)  # from before an extension
        figures = 2 if older or state.stale else 1  # the last weights and, where they are others, the best ones
        sample = evaluation_seconds or a_token * len(self.sample_ids)
        final = figures * a_token * self.final_tokens
        return sample + final + 2 * pauses["checkpoint"] + pauses["sample"] + sum(state.matmul_seconds) + EXIT_SECONDS

    @property
    def final_tokens(self) -> int:
        """How much of the held-out text the final figure scores: all, or of a long --val file what a tenth of the budget allows."""
        plan, num_tokens = self.setup.plan, len(self.setup.data.val)
        if plan.budget.seconds is None or not self.setup.inputs.get("val"):
            return num_tokens
        token_seconds = 2 * size.flops_per_token(plan.as_trained) / 3 / (self.rate if self.precision == "float32" else self.rate / 4)
        return min(num_tokens, max(plan.evaluation_tokens, int(VAL_SHARE * plan.budget.seconds / token_seconds / 2)))

    def on_step(self, state: State, row: dict[str, Any], progress: float) -> None:
        self.view.step(
            row, {"progress": progress, "mfu": self._mfu(row["tokens_per_second"]), "seconds_left": self._seconds_left(row, progress)}
        )

    def on_evaluation(self, state: State, evaluation: Evaluation) -> None:
        self.last_evaluation = evaluation
        self.view.evaluation(state.step, evaluation.val_bpb, state.best is not None and state.best.step == state.step)
        fsio.write_json(self.setup.run.summary, self.summary(None))

    def on_sample(self, state: State, model: Decoder) -> None:
        """What the model writes now, at the same prompts and seed each time."""
        engine = Engine(model, self.setup.data.tokenizer)
        rows = [row for row in runs.read_lines(self.setup.run.samples) if row["step"] < state.step]
        for prompt in self.prompts:
            text = engine.generate(prompt, Sampling(max_tokens=SAMPLE_TOKENS, seed=0))[0].text.rstrip("\ufffd")  # a cut character
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
            more = attempt(runtime.matmul_seconds, setup.machine.device, self.precision, MATMULS - MATMULS // 2)
            self.rate = runtime.matmul_rate(state.matmul_seconds + more)
        assert state.best is not None
        self.final = self._whole(loop.model)
        self.best = self.final
        if state.best.step != state.step:
            loop.model.load_state_dict(read_model(setup.run.path).state_dict())
            self.best = self._whole(loop.model)
        self.keep(loop.model, state.best.step, self.best, state.best)
        if state.step % setup.plan.every["sample"]:
            self.on_sample(state, loop.model)
        write_plan(setup.run, setup.plan, setup.inputs, taken=state.decisions)
        scored, whole = self.best.num_bytes, setup.data.manifest["val_bytes"]
        if scored < whole:
            self.view.event(
                f"to stay in time, only the first {scored:,} of {whole:,} held-out bytes were scored",
                f"为了按时结束，{whole:,} 字节的留出文本只评了前 {scored:,} 字节",
            )
        state.seconds = setup.stopwatch()
        return self._write("text" if enough(state.decisions) else "budget")

    def _whole(self, model: Decoder) -> Evaluation:
        data = self.setup.data
        ids = data.val[: self.final_tokens]
        result = bits.score(model, ids, bits.window(self.setup.plan.config), self.setup.workers, self._leave_if_asked, self.room)
        num_bytes = data.num_bytes(ids[1:])
        return Evaluation(result.loss, result.bits_per_byte(num_bytes), result.tokens, num_bytes)

    def _leave_if_asked(self) -> None:
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
        shown = getattr(self, "best", None) or getattr(self, "last_evaluation", None)
        sampled = (self.sample_bytes, len(self.sample_ids) - 1) if state.best else (None, None)
        val_bytes, val_tokens = (shown.num_bytes, shown.num_tokens) if shown else sampled
        tokens_per_second = state.tokens / state.train_seconds if state.train_seconds else None
        flops = tokens_per_second * size.flops_per_token(setup.plan.as_trained) if tokens_per_second else None
        best = state.best
        return {
            "val_bpb": self.best.val_bpb if self.final else best.val_bpb if best else None,
            "val_loss": self.best.val_loss if self.final else best.val_loss if best else None,
            "val_bytes": val_bytes,
            "val_tokens": val_tokens,
            "final_val_bpb": self.final.val_bpb if self.final else None,
            "best_step": best.step if best else None,
            "train_bytes": manifest["train_bytes"],
            "train_tokens": len(setup.data.train),
            "tokens_trained": state.tokens,
            "epochs": state.tokens / max(1, len(setup.data.train)),
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
            "baselines": self.baselines,
            "version": __version__,
        }


def fixed_prompts(setup: Setup) -> list[str]:
    """Nothing at all, and the beginning of the held-out text: the same all through the run."""
    beginning = setup.data.tokenizer.decode([int(i) for i in setup.data.val[1:13]])
    words = beginning.replace("\ufffd", "").strip()
    return ["", words] if words else [""]
