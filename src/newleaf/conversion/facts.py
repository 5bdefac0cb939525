"""What a run left behind, as plain data: files in, one frozen record out, for the report and the model card.

Both are pure functions of this record. Whatever is missing or cut off is simply absent from it: a run that was killed has a
report too.
"""

import json
import math
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newleaf.conversion.wording import Language
from newleaf.errors import RunError
from newleaf.runs import Run, read_json, read_lines
from newleaf.settings import flatten

Row = Mapping[str, Any]
SETTINGS_SECTIONS = ("seed", "budget", "model", "data", "optim", "train")  # of newleaf.toml; the others are not for a person to set


@dataclass(frozen=True)
class RunFacts:
    """One run. All fields but the name may be empty."""

    name: str
    path: str = ""  # of the run, as a command would name it; the name where it is not known
    lang: Language = "en"  # shown first
    summary: Row = field(default_factory=dict)
    metrics: Sequence[Row] = ()
    plan: Row = field(default_factory=dict)  # dotted setting -> value
    reasons: Row = field(default_factory=dict)  # setting -> {"en": sentence, "zh": sentence}, or one sentence for both
    foreseen: Row = field(default_factory=dict)  # val_bpb, val_bpb_low, val_bpb_high, seconds: what the plan expected
    manifest: Row = field(default_factory=dict)
    samples: Sequence[Row] = ()  # {step, seconds, prompt, text}
    base: str = ""  # the name of the model that it went on from; of a folder, no more than that
    spelled: bool = False  # of a model that classifies: it writes the label

    def figure(self, name: str) -> float | None:
        """A number of the summary, or None where it is absent, null or not finite."""
        return number(self.summary, name)

    @property
    def task(self) -> str:
        """What it was tuned for; "" for a model that learned from a text."""
        return str(self.summary.get("task") or "")

    @property
    def held_out(self) -> bool:
        """Whether its figures are of what it did not learn from: of a handful of examples nothing is held out."""
        return self.manifest.get("held_out") is not False

    @property
    def baselines(self) -> dict[str, float]:
        """The baselines that have a figure, in the order of the contract."""
        known = table(self.summary, "baselines")
        return {name: value for name in ("uniform", "unigram", "fivegram", "xz") if (value := number(known, name)) is not None}

    @property
    def baseline_bytes(self) -> float | None:
        """How much of the held-out text they were measured on, where that is only a part of what the model was."""
        part, scored = number(self.foreseen, "baseline_bytes"), self.figure("val_bytes")
        return part if part is not None and scored is not None and part < scored else None


def number(row: Row, name: str) -> float | None:
    """A finite number of a row, or None.

    >>> number({"loss": 2}, "loss"), number({"loss": float("nan")}, "loss"), number({}, "loss")
    (2.0, None, None)
    """
    value = row.get(name)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None  # type: ignore[arg-type]


def table(row: Row, name: str) -> Row:
    """An object inside a row, or an empty one."""
    value = row.get(name)
    return value if isinstance(value, Mapping) else {}


def read_facts(folder: Path, lang: Language) -> RunFacts:
    """The facts of the run in `folder`, as far as its files are there."""
    run = Run(folder)
    recipe = read_table(run.plan)
    english, chinese = table(recipe, "reasons_en"), table(recipe, "reasons_zh")
    base = base_name(str(table(recipe, "base").get("model", "")))
    return RunFacts(
        name=folder.resolve().name,
        path=os.fspath(folder),
        lang=lang,
        summary=read_object(run.summary),
        metrics=read_lines(run.metrics),
        plan=flatten({name: value for name, value in recipe.items() if name in SETTINGS_SECTIONS}) | ({"from": base} if base else {}),
        reasons={name: {"en": english[name], "zh": chinese.get(name, english[name])} for name in english},
        foreseen=table(recipe, "foreseen"),
        manifest=read_object(run.manifest),
        samples=read_lines(run.samples),
        base=base,
        spelled=table(recipe, "tune").get("labels") == "text",
    )


def base_name(model: str) -> str:
    """A hub name as it is; of a folder its name, because a path tells of the machine.

    >>> base_name("Qwen/Qwen3-0.6B"), base_name("/home/li/runs/poems"), base_name("runs/poems/a")
    ('Qwen/Qwen3-0.6B', 'poems', 'a')
    """
    return model if model.count("/") == 1 and not Path(model).exists() else Path(model).name


def read_object(path: Path) -> Row:
    """A JSON object, or nothing where the file is missing or damaged: the report must not fail where `verify` will tell."""
    try:
        return read_json(path)
    except (OSError, RunError):
        return {}


def read_table(path: Path) -> dict[str, Any]:
    """newleaf.toml as it is, or nothing."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def shown(value: object) -> str:
    """A setting's value as it would be typed, to six digits.

    >>> shown(0.4 * 0.003), shown(True), shown("bf16"), shown([1, 2]), shown(4096)
    ('0.0012', 'true', 'bf16', '[1, 2]', '4096')
    """
    if isinstance(value, float):
        value = float(f"{value:.6g}")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
