"""The training loop: batch, loss, backward, step; and around it the guard, the clock, evaluations and checkpoints.

What is trained on, how it is judged and what a person sees are passed in: the loop imports no evaluation and no generation.
After each step the state holds everything that the next one depends on, so stopping and going on changes no bit. What happens when a
step goes wrong is told in recovery.py.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from newleaf.batches.pretrain import step_seed
from newleaf.checkpoint import store
from newleaf.checkpoint.state import Best, Decision, State
from newleaf.errors import Interrupted, ShardError
from newleaf.memory import Shortage, attempt
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout
from newleaf.model.lora import trained
from newleaf.optim.optimizer import Optimizer
from newleaf.optim.schedule import multiplier
from newleaf.training import clock, guard
from newleaf.training.clock import Pace, Stopwatch
from newleaf.training.gradients import Gradients
from newleaf.training.guard import BadStep
from newleaf.training.metrics import Metrics
from newleaf.training.plan import Plan
from newleaf.training.recovery import go_back, make_room
from newleaf.training.signals import Stop
from newleaf.training.task import Task
from newleaf.workers import Workers

PATIENCE = 3  # evaluations in a row that are worse than the best one say that the text has no more to give


@dataclass
class Loop:
    """One process's training of one model."""

    plan: Plan
    task: Task
    model: Decoder
    optimizer: Optimizer
    state: State
    folder: Path  # checkpoints/
    metrics: Metrics
    stop: Stop
    stopwatch: Stopwatch
    device: str
    workers: Workers
    pace: Pace | None = None  # where there is a clock
    pauses: dict[str, float] = field(default_factory=lambda: {"evaluation": 0.0, "checkpoint": 0.0, "sample": 0.0})
    work: Gradients | None = None

    def run(self) -> None:
        """Train to the end of the budget. Interrupted after a signal, with everything saved; DivergedError after two tries;
        OutOfMemoryError where one row is too many."""
        while not self.finished:
            try:
                self._enter_decay()
                if self._step():
                    self._after_step()
            except BadStep as reason:
                go_back(self, str(reason))
            if self.stop.requested:
                self._leave()
        if self.state.best is None:  # its file was damaged after the last evaluation
            self._evaluate()
        if self.state.trunk_step is None:  # too short for a decay: the end is the trunk
            self.state.trunk_step = self.state.step
            self.save(store.TRUNK)
        self.save()

    @property
    def finished(self) -> bool:
        return clock.progress(self.state.decisions, self.state.step, self.plan.decay_from) >= 1

    # one step -------------------------------------------------------------------------------------------------------

    def _step(self) -> bool:
        """One update of the weights; False if a signal or too little memory came before it: the state is that of an earlier step."""
        began = self.stopwatch()
        progress = clock.progress(self.state.decisions, self.state.step, self.plan.decay_from)
        scale = multiplier(self.state.step, progress, self.plan.optim)
        try:
            found = attempt(self._gradients)
            if found is None:
                return False
            loss, grad_norm, num_tokens = found
            guard.judge(self.state, loss, grad_norm)
            attempt(self.optimizer.step, scale)
        except Shortage:
            make_room(self)
            return False
        self.model.zero_grad(set_to_none=True)  # room for what comes between two steps
        seconds = self.stopwatch()
        self.state.step += 1
        self.state.tokens += num_tokens
        self.state.seconds = seconds
        self.state.train_seconds += seconds - began
        if self.pace is not None:
            self.pace.mark(self.state.step, seconds)
        row = {"step": self.state.step, "tokens": self.state.tokens, "seconds": round(seconds, 4), "loss": loss}
        row |= {
            "lr": (self.plan.optim.lr or 0.0) * scale,
            "grad_norm": grad_norm,
            "tokens_per_second": round(num_tokens / max(1e-9, seconds - began), 1),
        }
        if self.state.micro_batch < self.plan.micro_batch:
            row["micro_batch"] = self.state.micro_batch
        self.metrics.begin(row)
        self.task.on_step(self.state, row, progress)
        return True

    def _gradients(self) -> tuple[float, float, int] | None:
        """Mean loss of the batch, the norm of its gradients, which are left in the model, and its tokens; None if a signal came in
        the middle."""
        try:
            batch = self.task.batches(self.state)(self.state.step)
        except ShardError as damage:  # verified before step 0, so it came later: perhaps other data is sound
            raise BadStep(damage.message) from damage
        if self.work is None or (self.work.model, self.work.rows) != (self.model, self.state.micro_batch):
            rows, width = self.state.micro_batch, self.plan.context
            self.work = Gradients(self.model, self.task.loss, self.device, self.workers, rows, self.task.count, width)
        loss = self.work(batch, self._dropout, lambda: self.stop.requested)
        return None if loss is None else (loss, self.optimizer.clip(), batch[0].size)

    def _dropout(self, part: int) -> Dropout | None:
        """For one part of the batch, drawn from a generator of its own, seeded by what the batch is a function of."""
        if not self.plan.dropout:
            return None
        seed = step_seed(self.plan.seed, (self.state.retry, self.state.generation, self.state.step, part))
        return Dropout(self.plan.dropout, torch.Generator(self.device).manual_seed(seed))

    # after a step ---------------------------------------------------------------------------------------------------

    def _after_step(self) -> None:
        step = self.state.step
        due = {name: step % every == 0 for name, every in self.plan.every.items()}
        if due["evaluation"] or self.finished:
            self.paused("evaluation", self._evaluate)
        if due["sample"]:
            self.require_finite()  # nothing can be drawn from NaN
            self.paused("sample", lambda: self.task.on_sample(self.state, self.model))
        self.metrics.end()
        if due["checkpoint"] and not self.finished:
            self.paused("checkpoint", lambda: self.save(further=True))
        self._check_clock()
        if due["evaluation"]:
            self._cool_down_if_stale()

    def _evaluate(self) -> None:
        evaluation = self.task.evaluate(self.model)
        if not math.isfinite(evaluation.val_loss):
            raise BadStep(f"the held-out loss is {evaluation.val_loss}")
        self.require_finite()
        state = self.state
        lower = state.lowest is None or evaluation.val_loss < state.lowest
        state.lowest, state.stale = (evaluation.val_loss, 0) if lower else (state.lowest, state.stale + 1)
        if state.best is None or evaluation.val_loss < state.best.val_loss:
            sha256 = self.task.keep(self.model, state.step, evaluation)
            state.best = Best(evaluation.val_loss, evaluation.val_bpb, state.step, sha256)
        self.metrics.add(val_loss=evaluation.val_loss, val_bpb=evaluation.val_bpb)
        self.task.on_evaluation(self.state, evaluation)

    def paused(self, what: str, action: Callable[[], object]) -> None:
        """Do something that is not a step, and remember how long it took."""
        began = self.stopwatch()
        action()
        self.pauses[what] = self.stopwatch() - began
        if self.pace is not None:
            self.pace.pause(self.pauses[what])

    def require_finite(self) -> None:
        """Raise BadStep if a weight or an optimizer value is NaN or infinite: such a state is never written."""
        tensors = [*self.model.parameters(), *(t for t in self.optimizer.state().values() if t.is_floating_point())]
        if not bool(torch.stack([torch.isfinite(norm) for norm in torch._foreach_norm([t.detach() for t in tensors])]).all()):
            raise BadStep("a weight or an optimizer value is no longer finite")

    def save(self, name: str | None = None, further: bool = False) -> None:
        """Write a checkpoint of this moment and keep only the newest ones. `further`: no run has been here before this one."""
        self.require_finite()
        self.metrics.sync()  # a resume from here writes none of its lines again
        self.state.seconds = self.stopwatch()
        self.state.tries = 0 if further else self.state.tries
        store.save(self.folder, trained(self.model), self.optimizer.state(), self.state, name)
        if name is None:
            store.prune(self.folder, self.scheduled)

    def scheduled(self, step: int) -> bool:
        """Whether a run that no signal ever stopped has a checkpoint at `step`: only there training goes back, to the same bits."""
        return step % self.plan.every["checkpoint"] == 0 or any(d.restart and d.step == step for d in self.state.decisions)

    # the clock ------------------------------------------------------------------------------------------------------

    def _enter_decay(self) -> None:
        """Once, when the decay is about to begin: keep the trunk, and say when the run will end."""
        state = self.state
        if state.trunk_step is not None or clock.progress(state.decisions, state.step, self.plan.decay_from) < self.plan.decay_from:
            return
        state.trunk_step = state.step
        self.paused("checkpoint", lambda: self.save(store.TRUNK))
        self._check_clock(force=True)

    def _check_clock(self, force: bool = False) -> None:
        """Take and write a new decision if the one in force would end early or late, or if `force` asks for one."""
        state, last = self.state, self.state.decisions[-1].last
        if self.pace is None or self.finished or state.step < state.decisions[-1].step:
            return  # no clock, or a resumed run on its way to decisions already taken
        self.pace.deadline = self.pace.budget - self.task.tail_seconds(self.pauses["evaluation"])
        now = self.stopwatch()
        fitting = self.pace.fitting_last(state.step, now, self._still_to_pause)
        if fitting is None or (
            not force and (self.pace.calm(now) or not self.pace.misses(last, state.step, now, self._still_to_pause(last)))
        ):
            return
        self.pace.decided = now
        most = min(self.task.most_steps(), clock.worth(state.decisions))
        if not clock.enough(state.decisions) or fitting < last:
            self._decide(Decision(state.step, int(min(fitting, most)), enough=fitting >= most))

    def _cool_down_if_stale(self) -> None:
        """Where there is a clock and the text has no more to give: begin the decay, as if the run had been planned this short."""
        state = self.state
        before_decay = clock.progress(state.decisions, state.step, self.plan.decay_from) < self.plan.decay_from
        if self.pace is None or state.stale < PATIENCE or not before_decay or state.step < state.decisions[-1].step:
            return
        if self.task.epochs(state) < 1:  # what was never read twice is not learned by heart: the figures only waver
            return
        self._decide(Decision(state.step, round(state.step / self.plan.decay_from), enough=True))
        self.task.on_event(
            f"step {state.step}: the held-out text gets no better, so the run cools down now and ends early",
            f"第 {state.step} 步：留出文本不再变好，现在开始降温，提前结束",
        )

    def _decide(self, decision: Decision) -> None:
        self.task.decide(decision)
        self.state.decisions.append(decision)

    def _still_to_pause(self, last: int) -> float:
        """Seconds of evaluations, samples and checkpoints that are still to come before the last step."""
        return sum((last // every - self.state.step // every) * self.pauses[name] for name, every in self.plan.every.items())

    def _leave(self) -> None:
        """Save and raise Interrupted."""
        assert self.stop.exit_code is not None
        saved = "everything is saved"
        try:
            self.save()
        except BadStep as reason:
            saved = "the checkpoint before it stands"
            self.task.on_event(
                f"not saved at step {self.state.step}, because {reason}; the checkpoint before it stands",
                f"第 {self.state.step} 步没有保存（{reason}）；之前的检查点仍在",
            )
        raise Interrupted(f"stopped by a signal at step {self.state.step:,}, {saved}", exit_code=self.stop.exit_code)
