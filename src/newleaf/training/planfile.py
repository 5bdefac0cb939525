"""newleaf.toml: the plan as a file. Resume reads it and measures nothing; as a recipe it repeats the run in steps.

Its last line is a hash of everything before. A plan that `newleaf plan` wrote may be edited before training begins; from then on what
the run does hangs on it, and a change is refused.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from newleaf import fsio
from newleaf.checkpoint.state import Decision
from newleaf.conversion.configs import SAID
from newleaf.errors import RunError, SettingError
from newleaf.model.config import ModelConfig
from newleaf.runs import Run
from newleaf.settings import build, convert, flatten, leaves, names, read_toml, to_toml, unknown_setting
from newleaf.training.base import Base
from newleaf.training.clock import Budget
from newleaf.training.plan import Plan
from newleaf.training.settings import Recipe
from newleaf.version import __version__

NO_INPUTS: dict[str, Any] = {"data": [], "val": None, "column": None, "from": None}
SEAL = b"# sha256: "
GROUPS = ("model", "data", "optim", "train", "tune")
OUR_SECTIONS = ("config", "base", "taken", "foreseen", "reasons_en", "reasons_zh", "inputs")  # not for a recipe to set


def write_plan(run: Run, plan: Plan, inputs: Mapping[str, Any], taken: Sequence[Decision] = ()) -> None:
    """Write the plan; `taken` are the decisions of the clock once the run is finished, so that a recipe can repeat it in steps."""
    budget = {field.name: value for field in fields(plan.budget) if (value := getattr(plan.budget, field.name)) is not None}
    settings = dict(leaves(plan.recipe))
    sections: dict[str, Mapping[str, Any]] = {"": {"newleaf": __version__, "seed": plan.seed}, "budget": budget}
    for group in GROUPS:
        these = {name.removeprefix(f"{group}."): value for name, value in settings.items() if name.startswith(f"{group}.")}
        if these or group != "tune":
            sections[group] = these
    decisions = taken or plan.decisions
    sections["taken"] = {"last_step": plan.last_step} | (
        {"decisions": [[d.step, d.last, d.restart, d.enough] for d in decisions]} if decisions else {}
    )
    sections["config"] = vars(plan.config)
    if plan.base is not None:
        sections["base"] = {"model": plan.base.model, "sha256": plan.base.sha256, **plan.base.said}
    sections["foreseen"] = plan.foreseen
    sections["inputs"] = inputs
    sections["reasons_en"] = {f'"{name}"': reason[0] for name, reason in plan.reasons.items()}
    sections["reasons_zh"] = {f'"{name}"': reason[1] for name, reason in plan.reasons.items()}
    repeats = "As a recipe (--recipe) it repeats the run in steps." if not inputs.get("added") else "More text was added to it later."
    text = f"# The plan of this run. {repeats}\n" + to_toml(sections)
    fsio.write_text(run.plan, text + last_line(text.encode()).decode())


def last_line(before: bytes) -> bytes:
    """The line that seals what stands before it."""
    return SEAL + hashlib.sha256(before).hexdigest().encode() + b"\n"


def is_sealed(plan: bytes) -> bool:
    """Whether the file is as it was written."""
    before = plan[: plan.rfind(SEAL)]
    return plan == before + last_line(before)


def read_plan(run: Run) -> tuple[Plan, dict[str, Any]]:
    """The plan of a run and its inputs; RunError in one sentence if the file was damaged, or changed since training began."""
    if run.begun and not is_sealed(run.plan.read_bytes()):
        raise RunError(
            f"{run.plan} has changed since it was written", where=str(run.plan), hint="restore it; the checkpoints are untouched"
        )
    table = read_toml(run.plan)
    try:
        recipe = build(Recipe, flatten({group: table[group] for group in GROUPS if group in table or group != "tune"}))
        taken = table["taken"]
        reasons = {name: (table["reasons_en"][name], table["reasons_zh"][name]) for name in table["reasons_en"]}
        plan = Plan(
            seed=table["seed"],
            budget=Budget(**table["budget"]),
            recipe=recipe,
            config=ModelConfig(**table["config"]),
            last_step=taken["last_step"],
            reasons=reasons,
            foreseen=table["foreseen"],
            decisions=tuple(Decision(*decision) for decision in taken.get("decisions", [])),
            base=base_of(table["base"]) if "base" in table else None,
        )
        inputs = NO_INPUTS | table["inputs"]
    except (KeyError, TypeError) as error:
        raise RunError(f"{run.plan} is damaged: {error}", where=str(run.plan), hint="restore it; the checkpoints are untouched") from None
    return plan, inputs


def require_agreeing(run: Run, plan: Plan) -> None:
    """SettingError where a person edited one of two places that say the same: sizes and steps were worked out when the plan was made."""
    worked_out: dict[str, Any] = {} if plan.base else {f"model.{name}": value for name, value in vars(plan.config).items()}
    if not plan.decisions:
        worked_out["budget.steps"] = plan.last_step
    written = [*leaves(plan.recipe), ("budget.steps", plan.budget.steps)]
    for name, value in written:
        if value is not None and worked_out.get(name, value) != value:
            raise SettingError(
                f"{name} is {value} in {run.plan}, which was worked out for {worked_out[name]}",
                where=str(run.plan),
                hint=f"plan again with {'--steps' if name == 'budget.steps' else f'--{name}'} {value}",
            )


def base_of(table: Mapping[str, Any]) -> Base:
    return Base(table["model"], table["sha256"], {name: table[name] for name in SAID if name in table})


def recipe_layer(table: Mapping[str, Any], path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """({dotted setting: value}, what else a recipe may say: budget, seed, decisions, inputs) of a recipe or of a run's newleaf.toml."""
    known = [*names(Recipe), *(f"budget.{field.name}" for field in fields(Budget)), "seed", "newleaf"]
    for name, value in table.items():
        if name in ("seed", "newleaf"):
            continue
        if name not in (*GROUPS, *OUR_SECTIONS, "budget"):
            inner = next(iter(value), "") if isinstance(value, Mapping) else ""
            raise unknown_setting(f"{name}.{inner}" if inner else name, known)
        if not isinstance(value, Mapping):
            raise SettingError(f"{name} is {value!r} in {path}", where=path, expected=f"a table [{name}]")
    if table.get("inputs", {}).get("added"):
        raise SettingError(
            f"{path} is the plan of a run that was extended with more text, which no recipe can repeat",
            where=path,
            hint="name all of the text, and what you want of these settings",
        )
    settings = flatten({group: table[group] for group in GROUPS if group in table})
    other: dict[str, Any] = {"seed": convert("seed", table["seed"], int) if "seed" in table else None, "inputs": table.get("inputs", {})}
    kinds = {"minutes": float, "steps": int, "tokens": int, "epochs": float}
    for name, value in table.get("budget", {}).items():
        if name not in kinds:
            raise unknown_setting(f"budget.{name}", known)
        other[name] = convert(f"budget.{name}", value, kinds[name])
    decisions = table.get("taken", {}).get("decisions")
    if decisions:
        try:
            other = {name: other[name] for name in ("seed", "inputs")} | {"steps": int(decisions[-1][1])}
            other["decisions"] = tuple(Decision(*decision) for decision in decisions)
        except (TypeError, IndexError, ValueError):
            raise SettingError(f"{path} has decisions that cannot be read", where=path, hint="take it from a finished run again") from None
    return settings, other
