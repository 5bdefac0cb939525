"""What a person asked for, checked before any work begins: text, budget, place, settings. Imports no torch."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from newleaf import fsio
from newleaf.checkpoint.state import Decision
from newleaf.conversion.hub import folder_of
from newleaf.errors import RunError, UsageError
from newleaf.runs import Run, in_shell, read_json
from newleaf.settings import from_environment, leaves, merge, read_toml
from newleaf.text.read import Corpus, default_name
from newleaf.training.clock import Budget
from newleaf.training.plan import Plan
from newleaf.training.planfile import NO_INPUTS, read_plan, recipe_layer
from newleaf.training.settings import Recipe

DEFAULT_MINUTES = 10.0
NO_TASK: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Request:
    """One command to train or to plan, its layers merged."""

    data: tuple[str, ...]
    out: Path
    budget: Budget | None  # None: not given
    val: str | None
    column: str | None
    base: str | None  # of --from: a model to go on from
    seed: int | None
    recipe: Recipe
    given: frozenset[str]  # the settings that were named in some layer
    decisions: tuple[Decision, ...]  # of a finished run that the recipe repeats
    resume: bool
    extend: bool
    task: Mapping[str, Any] = field(default_factory=dict)  # of tune: its name, and the columns that were named

    @property
    def run(self) -> Run:
        return Run(self.out)

    @property
    def inputs(self) -> dict[str, Any]:
        """What the plan remembers of where the text came from."""
        return {
            "data": same_paths(self.data),
            "val": self.val and same_paths([self.val])[0],
            "column": self.column,
            "from": self.base and (same_paths([self.base])[0] if Path(self.base).is_dir() else self.base),
            **self.task,
        }


def make_request(
    data: Sequence[str] | str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None,
    budget: Mapping[str, Any],
    val: str | os.PathLike[str] | None,
    column: str | None,
    base: str | os.PathLike[str] | None,
    seed: int | None,
    recipe: str | os.PathLike[str] | None,
    settings: Mapping[str, Any],
    resume: bool,
    extend: bool,
    task: Mapping[str, Any] = NO_TASK,
) -> Request:
    """Merge recipe, environment and what was typed. UsageError for what cannot be."""
    if resume and extend:
        raise UsageError(
            "--resume and --extend were given together", expected="one of them", hint="--resume finishes a run, --extend goes on after it"
        )
    inputs = (os.fspath(data),) if isinstance(data, str | os.PathLike) else tuple(os.fspath(item) for item in data)
    table = read_toml(Path(recipe)) if recipe else {}
    said, other = recipe_layer(table, os.fspath(recipe)) if recipe else ({}, {})
    if not inputs and not (resume or extend):  # a run's own plan knows its text
        known = NO_INPUTS | other.get("inputs", {})
        inputs, val, column = tuple(known["data"]), val or known["val"], column or known["column"]
        base = base or known["from"]
        task = {name: value or known.get(name) for name, value in task.items()}
    given = {name: value for name, value in budget.items() if value is not None}
    if not given:
        given = {each.name: other[each.name] for each in fields(Budget) if other.get(each.name) is not None}
    seed = seed if seed is not None else other.get("seed")
    if seed is not None and not 0 <= seed < 2**63:
        raise UsageError(f"--seed is {seed}", where="--seed", expected="a whole number from 0 up")
    decisions = other.get("decisions", ()) if not budget_given(budget) else ()
    layers = said, from_environment(Recipe), settings
    given_settings = frozenset(name for layer in layers for name in layer)
    foreign = sorted(name for name in given_settings if name.startswith("tune."))
    if foreign and not task:
        raise UsageError(f"{foreign[0]} is a setting of newleaf tune", where=foreign[0], hint="leave it out")
    path = Path(out) if out is not None else Path("runs") / default_name(inputs)
    return Request(
        data=inputs,
        out=path,
        budget=Budget(**given) if given else None,
        val=os.fspath(val) if val else None,
        column=column,
        base=os.fspath(base) if base else None,
        seed=seed,
        recipe=merge(Recipe, *layers),
        given=given_settings,
        decisions=decisions,
        resume=resume,
        extend=extend,
        task=task,
    )


def budget_given(budget: Mapping[str, Any]) -> bool:
    return any(value is not None for value in budget.values())


def require_same(request: Request, plan: Plan, inputs: Mapping[str, Any]) -> None:
    """UsageError, naming both, if a command to resume asks for something else than the run was begun with."""
    pairs: list[tuple[str, Any, Any]] = []
    if request.budget is not None:
        pairs.append(("the budget", plan.budget, request.budget))
    if request.data:
        pairs.append(("DATA", same_paths(inputs.get("data", [])), same_paths(request.data)))
    asked = request.inputs
    pairs += [(f"--{name}", inputs.get(name), asked[name]) for name in ("val", "column", "from", *request.task) if asked[name]]
    if request.seed is not None:
        pairs.append(("--seed", plan.seed, request.seed))
    planned = dict(leaves(plan.recipe))
    pairs += [(name, planned.get(name), value) for name, value in leaves(request.recipe) if name in request.given]
    for name, recorded, asked in pairs:
        if recorded != asked:
            raise UsageError(
                f"{name} is {shown(asked)} here, but {request.out} was begun with {shown(recorded)}",
                where=name,
                hint="leave it out to go on with this run, or choose another --out",
            )


def require_state(request: Request) -> dict[str, Any] | None:
    """The summary of a run that is already finished and has nothing to do; RunError if the command does not fit what stands there."""
    run = request.run
    finished = run.read_summary().get("stopped_by") in ("budget", "text")
    begun = run.manifest.exists() and run.plan.exists()
    if request.extend and begun and read_plan(run)[1].get("task"):
        raise UsageError(
            "--extend goes on with a text, and this run was tuned", where=str(run.path), hint="tune its model again: newleaf tune"
        )
    if request.extend and not finished:
        raise RunError(
            f"{run.path} is not a finished run", where=str(run.path), hint="--extend goes on after a finished run; --resume finishes one"
        )
    if begun and not (request.resume or request.extend):
        line = f"newleaf train --resume --out {in_shell(run.path)}"
        raise RunError(f"a run stands in {run.path}", where=str(run.path), hint=f"go on with: {line} (or choose another --out)")
    if not begun and (run.checkpoints.exists() or run.model.exists()):
        raise RunError(f"{run.manifest} is missing", where=str(run.manifest), hint="restore data/, or choose another --out")
    if request.resume and not begun and not request.data and run.data.exists() and not run.plan.exists() and not run.asked.exists():
        raise RunError(f"{run.path} was stopped before its text was read", where=str(run.path), hint="name DATA again to start it")
    if request.resume and finished and begun:
        plan, inputs = read_plan(run)
        require_same(request, plan, inputs)
        return run.read_summary()
    return None


def require_text(request: Request) -> None:
    """TextError or ModelError if a file that will be read does not exist: answered before torch is imported."""
    if request.run.begun and not request.extend:
        return
    if request.base:
        folder_of(request.base)
    for names in (request.data, [request.val] if request.val else []):
        if names:
            Corpus(names, stdin=b"")


def remember(request: Request) -> Request:
    """Write down what a new run is asked for, until its plan says it: a bare --resume after a kill means the same again."""
    run = request.run
    if run.begun:
        fsio.remove_tree(run.asked)
        return request
    if request.resume and not request.data and run.asked.exists() and not run.plan.exists():
        request = recalled(request, read_json(run.asked))
    budget = {} if request.budget is None else {name: value for name, value in vars(request.budget).items() if value is not None}
    settings = {name: value for name, value in leaves(request.recipe) if name in request.given}
    decisions = [[d.step, d.last, d.restart, d.enough] for d in request.decisions]
    fsio.write_json(run.asked, request.inputs | {"budget": budget, "seed": request.seed, "settings": settings, "decisions": decisions})
    return request


def recalled(request: Request, asked: Mapping[str, Any]) -> Request:
    """The request, and what was asked for before wherever it says nothing."""
    if "-" in asked["data"]:
        raise RunError(f"{request.out} was stopped before stdin was read to its end", where=str(request.out), hint="pipe the text in again")
    said_now = {name: value for name, value in leaves(request.recipe) if name in request.given}
    return replace(
        request,
        data=tuple(asked["data"]),
        val=request.val or asked["val"],
        column=request.column or asked["column"],
        base=request.base or asked.get("from"),
        task={name: value or asked.get(name) for name, value in request.task.items()},
        budget=request.budget or (Budget(**asked["budget"]) if asked["budget"] else None),
        seed=asked["seed"] if request.seed is None else request.seed,
        recipe=merge(Recipe, asked["settings"], said_now),
        given=request.given | frozenset(asked["settings"]),
        decisions=request.decisions or tuple(Decision(*d) for d in asked["decisions"]),
    )


def same_paths(paths: Sequence[str]) -> list[str]:
    return [path if path == "-" else str(Path(path).absolute()) for path in paths]


def shown(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)
