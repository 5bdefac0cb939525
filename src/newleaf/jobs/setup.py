"""Three ways into a run: begin (read, split, encode, plan), resume (read what is there, measure nothing) and extend (go back to
the trunk with a new budget). They end in the same Setup."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np

from newleaf import fsio, runs, runtime
from newleaf.checkpoint import store
from newleaf.checkpoint.seal import seal_problem
from newleaf.checkpoint.state import Best, Decision, State
from newleaf.conversion.huggingface import read_metadata
from newleaf.errors import CheckpointError, RunError, UsageError
from newleaf.evaluation.baselines import baseline_bytes
from newleaf.jobs.pilot import HELD_OUT_BYTES, WORTH_ITS_TIME, foretold_bits, pilot
from newleaf.jobs.view import View
from newleaf.runs import Run
from newleaf.training.base import StartingPoint, find_base, tokens_per_character
from newleaf.training.choices import make_plan
from newleaf.training.clock import Budget, Stopwatch
from newleaf.training.plan import Plan, TextFacts
from newleaf.training.planfile import read_plan, require_agreeing, write_plan
from newleaf.training.prepare import Data, add_text, corpora, open_data, prepare, write_manifest
from newleaf.training.reading import choose_data, choose_vocabulary
from newleaf.training.request import DEFAULT_MINUTES, Request, require_same
from newleaf.training.settings import Recipe
from newleaf.workers import Workers, workers_for

HAN_TOKENS = 20_000  # of the text, to find Chinese characters in
MATMULS = 10  # products that the machine's rate is the median of: half before step 0, half after the last


D = TypeVar("D")  # Data of a text, ExampleData of a task


@dataclass
class Setup(Generic[D]):
    """What the loop begins with."""

    run: Run
    plan: Plan
    inputs: dict[str, Any]  # where the text came from
    data: D
    machine: runtime.Machine
    state: State
    stopwatch: Stopwatch
    found: store.Checkpoint | None = None  # whose weights to go on from
    workers: Workers = field(init=False)

    def __post_init__(self) -> None:
        self.workers = workers_for(self.machine.device, self.machine.threads)


@dataclass(frozen=True)
class Asked:
    """What a new run is to do: by a plan that stands in its directory, which is taken as it is, else by the request."""

    planned: Plan | None
    inputs: dict[str, Any]
    recipe: Recipe
    budget: Budget

    def keep(self, run: Run, manifest: dict[str, Any]) -> None:
        """Write the manifest, and the plan anew: a person may have edited it; once there is a manifest, nobody may."""
        if self.planned is not None:
            write_plan(run, self.planned, self.inputs)
        write_manifest(run, manifest)

    def require_fitting(self, run: Run, fits: bool) -> None:
        """RunError where the plan does not fit what was read."""
        if not fits:
            raise RunError(f"{run.plan} was made for other text", where=str(run.plan), hint="plan again with the text as it is now")


def asked_of(request: Request) -> Asked:
    """UsageError or RunError where the request and a plan that stands there differ."""
    run = request.run
    if not run.plan.exists():
        return Asked(None, request.inputs, request.recipe, request.budget or Budget(minutes=DEFAULT_MINUTES))
    planned, inputs = read_plan(run)
    require_agreeing(run, planned)
    require_same(request, planned, inputs)
    return Asked(planned, inputs, planned.recipe, planned.budget)


def begin(request: Request, view: View, stopwatch: Stopwatch) -> Setup[Data]:
    """Everything before step 0 of a new run."""
    run, asked = request.run, asked_of(request)
    planned, inputs, recipe, budget = asked.planned, asked.inputs, asked.recipe, asked.budget
    seed = planned.seed if planned else request.seed or 0
    corpus, val = corpora(inputs, run)
    recipe = replace(recipe, data=choose_data(recipe.data, budget))
    threads = recipe.train.threads or runtime.available_cores()
    base = base_for(request, planned)
    manifest = prepare(run, corpus, val, recipe.data, base.tokenizer if base else partial(choose_vocabulary, budget), threads, view.event)
    asked.keep(run, manifest)
    data = open_data(run, verify=False)
    machine, seconds = probe(recipe, budget)
    asked.require_fitting(run, planned is None or base is not None or planned.config.vocab_size == data.tokenizer.vocab_size)
    plan = planned or make_plan(text_facts(data), budget, machine, recipe, seed, stopwatch(), base)
    if planned is None and base is None and (budget.minutes or 0) >= WORTH_ITS_TIME:
        plan = replace(plan, foreseen=plan.foreseen | foretold(plan, data, machine.threads))
    judged = {"baseline_bytes": float(baseline_bytes(plan.budget.minutes, 0))}  # of the held-out text, by the baselines
    plan = replace(plan, decisions=request.decisions or plan.decisions, foreseen=plan.foreseen | judged)
    return settle(run, plan, inputs, data, machine, seconds, stopwatch)


def probe(recipe: Recipe, budget: Budget) -> tuple[runtime.Machine, list[float]]:
    """The machine, and the seconds of large products on it. Without a clock no choice depends on a measurement."""
    machine = runtime.machine(recipe.train.threads, recipe.train.precision)
    runtime.settle(machine)
    if budget.seconds is not None and recipe.train.precision is None:
        machine = runtime.faster(machine)
    seconds = runtime.matmul_seconds(machine.device, machine.precision, MATMULS // 2)
    return replace(machine, matmul_flops_per_second=runtime.matmul_rate(seconds)) if budget.seconds is not None else machine, seconds


def settle(
    run: Run, plan: Plan, inputs: dict[str, Any], data: D, machine: runtime.Machine, seconds: list[float], stopwatch: Stopwatch
) -> Setup[D]:
    """Write the plan of a new run: from here on it resumes."""
    decisions = list(plan.decisions) or [Decision(0, plan.last_step)]
    if plan.budget.seconds is not None:
        write_decisions(run, decisions)
    write_plan(run, plan, inputs)
    fsio.remove_tree(run.asked)
    state = State(micro_batch=plan.micro_batch, decisions=decisions, matmul_seconds=seconds, fingerprint=fingerprint(machine))
    return Setup(run, plan, inputs, data, machine, state, stopwatch)


def base_for(request: Request, planned: Plan | None) -> StartingPoint | None:
    """The model to go on from, as the plan has it or as it was named just now."""
    if planned is not None:
        return StartingPoint(planned.base, planned.config) if planned.base else None
    return StartingPoint(*find_base(request.inputs["from"])) if request.base else None


def resume(request: Request, view: View, zero: float, open_it: Callable[[Run], D]) -> Setup[D]:
    """Go on where an earlier process stopped. CheckpointError if there are checkpoints but none to trust."""
    run = request.run
    plan, inputs = read_plan(run)
    require_same(request, plan, inputs)
    return reopen(run, plan, inputs, view, zero, open_it)


def reopen(run: Run, plan: Plan, inputs: dict[str, Any], view: View, zero: float, open_it: Callable[[Run], D]) -> Setup[D]:
    """The newest state that verifies, on this machine."""
    data = open_it(run)
    machine = runtime.machine(plan.recipe.train.threads, plan.recipe.train.precision)
    runtime.settle(machine)
    found, damaged = store.latest(run.checkpoints)
    for sentence in damaged:
        view.event(*sentence)
    if found is None and damaged:
        raise CheckpointError(
            f"no checkpoint in {run.checkpoints} can be trusted", where=str(run.checkpoints), hint="start anew with another --out"
        )
    state = found.state if found else first_state(run, plan, machine)
    state.seconds = spent(run, state)
    try:
        taken = [Decision(**row) for row in runs.read_lines(run.clock)]
    except TypeError as error:
        raise RunError(f"{run.clock} is damaged: {error}", where=str(run.clock), hint="restore it, or extend the run") from None
    if not taken or any(d.restart and d not in taken for d in state.decisions):  # stopped before clock.jsonl was written (anew)
        taken = state.decisions
    fsio.remove_tree(run.sums)  # nothing at the top has changed up to here
    if plan.budget.seconds is not None:
        write_decisions(run, taken)  # without what a crash has left of a line
    state.decisions = taken
    lost = seal_problem(run.model)
    if not lost:
        state.best = best_of(run) or state.best
    elif state.best:
        view.event(
            f"{run.model} {lost}: the next evaluation writes it anew, not to the same bits",
            f"{run.model} 已损坏：下次评估时重写，但不再逐位相同",
        )
        state.best, state.exact = None, False
    here = fingerprint(machine)
    if state.fingerprint != here:
        view.event(
            f"this machine is not the one before ({state.fingerprint} there, {here} here): training goes on, but not to the same bits",
            f"这台机器与之前的不同（之前 {state.fingerprint}，现在 {here}）：训练继续，但结果不再逐位相同",
        )
        state.fingerprint, state.exact = here, False
    view.event(f"resuming {run.path} at step {state.step:,}", f"{run.path} 从第 {state.step:,} 步继续")
    return Setup(run, plan, inputs, data, machine, state, Stopwatch(state.seconds, zero), found)


def best_of(run: Run) -> Best | None:
    """What the model at the top says of itself: a process that was killed may have written it after its last checkpoint."""
    said = read_metadata(run.path)
    if "sample_loss" not in said:  # another one than training writes
        return None
    return Best(float(said["sample_loss"]), float(said["sample_bpb"]), int(said["step"]), fsio.sha256(run.model))


def spent(run: Run, state: State) -> float:
    """Seconds of the earlier processes, also of what came after the last checkpoint of one that was killed."""
    rows = runs.read_lines(run.metrics)
    return max(state.seconds, float(run.read_summary().get("seconds") or 0.0), float(rows[-1].get("seconds", 0.0)) if rows else 0.0)


def first_state(run: Run, plan: Plan, machine: runtime.Machine) -> State:
    """Of a run that was stopped before its first checkpoint."""
    seconds = runtime.matmul_seconds(machine.device, machine.precision, MATMULS // 2)
    decisions = list(plan.decisions) or [Decision(0, plan.last_step)]
    return State(micro_batch=plan.micro_batch, decisions=decisions, matmul_seconds=seconds, fingerprint=fingerprint(machine))


def extend(request: Request, view: View, zero: float) -> Setup[Data]:
    """Make the trunk of a finished run its newest state, with a decision that the constant part begins again."""
    run = request.run
    plan, inputs = read_plan(run)
    if request.budget is None:
        raise UsageError("--extend needs to know by how much", expected="--minutes, --steps, --tokens or --epochs")
    require_same(replace(request, budget=None, data=(), column=None), plan, inputs)
    setup = reopen(run, plan, inputs, view, zero, partial(open_data, verify=True))
    trunk = store.load(run.checkpoints / store.TRUNK)
    state = trunk.state
    if request.data:
        setup.data = with_more(run, request, setup, view)
        state.generation, state.generation_step = setup.state.generation + 1, state.step
    more = request.budget.in_steps(plan.batch_tokens, len(setup.data.train)) or guess_steps(request.budget, setup.state)
    before = setup.state.seconds
    total = before + (request.budget.seconds or 0.0)
    state.decisions = [*(d for d in setup.state.decisions if d.step < state.step), Decision(state.step, state.step + more, restart=True)]
    state.trunk_step, state.seconds = None, before  # train_seconds are the trunk's, as its tokens are
    state.micro_batch = setup.state.micro_batch  # as many rows as memory held last
    state.best = setup.state.best  # the model at the top stays the best so far …
    state.lowest, state.stale = None, 0  # … but a constant rate is not to be compared with what had cooled down
    budget = Budget(minutes=total / 60) if request.budget.seconds is not None else Budget(steps=state.step + more)
    longer = replace(plan, budget=budget, last_step=state.step + more)
    store.save(run.checkpoints, trunk.weights, trunk.optimizer, state)
    for path in reversed(store.by_step(run.checkpoints)):  # a kill here leaves the end of the old run, or the new beginning
        if path.name > f"step-{state.step:08d}":
            fsio.remove_tree(path)
    if budget.seconds is not None or run.clock.exists():
        write_decisions(run, state.decisions)
    added = [name for source in setup.data.manifest.get("added", []) for name in source["data"]]
    inputs |= {"added": added} if added else {}
    write_plan(run, longer, inputs)
    view.event(f"going on from the trunk at step {state.step:,}", f"回到主干，从第 {state.step:,} 步继续")
    return Setup(run, longer, inputs, setup.data, setup.machine, state, setup.stopwatch, trunk)


def with_more(run: Run, request: Request, setup: Setup[Data], view: View) -> Data:
    """The run's text and the DATA of --extend behind it; text that an interrupted --extend has added already is not added twice."""
    added, names = setup.data.manifest.get("added", []), list(request.data)
    if len(added) <= setup.state.generation or added[-1]["data"] != names:
        corpus, _ = corpora({"data": names, "val": None, "column": request.column}, run)
        add_text(run, corpus, setup.data, {"data": names, "column": request.column}, setup.machine.threads, view.event)
    return open_data(run, verify=False)


def guess_steps(budget: Budget, state: State) -> int:
    """Steps that fit into more minutes, by the pace so far; the clock corrects it."""
    assert budget.seconds is not None
    return max(1, int(budget.seconds * state.step / max(1e-3, state.train_seconds)))


def text_facts(data: Data) -> TextFacts:
    manifest = data.manifest
    beginning = data.text(data.train[: min(len(data.train), HAN_TOKENS)]).decode(errors="replace")
    return TextFacts(
        manifest["train_bytes"],
        len(data.train),
        manifest["val_bytes"],
        len(data.val),
        data.tokenizer.vocab_size,
        tokens_per_character(data.tokenizer, beginning),
    )


def foretold(plan: Plan, data: Data, threads: int) -> dict[str, float]:
    """The bits per byte to come, by a pilot on the run's own tokens."""
    pieces = 16
    size = max(2, min(len(data.val) // pieces, HELD_OUT_BYTES // pieces // 3))  # a token has some three bytes
    held_out = np.concatenate([data.val[first : first + size] for first in range(0, len(data.val), max(1, len(data.val) // pieces))])
    curve = pilot(data.train, held_out, data.num_bytes(held_out[1:]), data.tokenizer.vocab_size, workers_for("cpu", threads))
    return foretold_bits(curve, plan, len(data.train))


def fingerprint(machine: runtime.Machine) -> str:
    return runtime.fingerprint(machine.threads, machine.device, machine.instruction_set)


def write_decisions(run: Run, decisions: list[Decision]) -> None:
    """clock.jsonl as a whole, for a beginning."""
    runs.rewrite_lines(run.clock, [vars(decision) for decision in decisions])


def append_decision(run: Run, decision: Decision) -> None:
    """One more line of clock.jsonl, durable before it acts."""
    fsio.append_line(run.clock, json.dumps(vars(decision)))
