"""What a person asks for who tunes a model, or wants the plan of it: the same as for training, and a task. Imports no torch."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from newleaf.errors import UsageError
from newleaf.runs import Run
from newleaf.text.files import default_name
from newleaf.training.request import Request, make_request
from newleaf.training.tasks import task_named

LORA_RANK = 8  # of --lora, where tune.rank says no other


def tuning_request(
    model: str | os.PathLike[str] | None,
    data: Sequence[str] | str | os.PathLike[str],
    *,
    task: str | None,
    named: Mapping[str, Any],
    lora: bool,
    settings: Mapping[str, Any],
    out: str | os.PathLike[str] | None,
    recipe: str | os.PathLike[str] | None,
    resume: bool,
    **others: Any,
) -> Request:
    """What `tune`, or the plan of it, is asked for. UsageError where something is missing that no run, recipe or plan says."""
    if task is not None:
        task_named(task)
    given = [os.fspath(name) for name in ([data] if isinstance(data, str | os.PathLike) else data)]
    planned = out is not None and Run(Path(out)).plan.exists()
    if not (resume or recipe or planned) and (model is None or not given or task is None):
        missing = "MODEL" if model is None else "DATA" if not given else "--task"
        raise UsageError(f"{missing} is missing", where=missing, expected="newleaf tune MODEL DATA --task NAME")
    if out is None and (model is None or task is None):
        raise UsageError("--out is missing", where="--out", expected="the directory of a run")
    if task is not None:
        require_columns(task, named)
    if task not in ("classify", "prefer") and (named["input"] is None) != (named["output"] is None):
        raise UsageError("--input and --output go together", where="--input", expected="both or none")
    return make_request(
        given,
        out=out if out is not None else Path("runs", f"{default_name([os.fspath(model or '')])}-{task}"),
        column=None,
        base=model,
        recipe=recipe,
        settings=({"tune.rank": LORA_RANK} if lora else {}) | dict(settings),
        resume=resume,
        extend=False,
        task={"task": task, **named},
        **others,
    )


def require_columns(task: str, named: Mapping[str, Any]) -> None:
    """UsageError for a column that the task does not read."""
    read = {"classify": ("input", "second_input", "label"), "prefer": ("input",)}.get(task, ("input", "second_input", "output"))
    for name in ("input", "second_input", "output", "label"):
        if named.get(name) and name not in read:
            flag = f"--{name.replace('_', '-')}"
            raise UsageError(f"{flag} says nothing for --task {task}", where=flag, expected=" or ".join(f"--{each}" for each in read))


def require_task_for(named: Mapping[str, Any], task: str | None, base: object, known: bool) -> None:
    """UsageError for a plan that is asked what only a task has, or of a task without a model; `known`: a run or a recipe names one."""
    more = next((name for name, value in named.items() if value), None)
    if task is None and more is not None:
        flag = f"--{more.replace('_', '-')}"
        raise UsageError(f"{flag} is for a task", where=flag, expected="--task NAME beside it")
    if task is not None and base is None and not known:
        raise UsageError("--from is missing", where="--from", expected="newleaf plan DATA --from MODEL --task NAME")
