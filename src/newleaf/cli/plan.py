"""`newleaf plan`."""

import json
from typing import Any

from newleaf import api
from newleaf.cli.words import (
    Column,
    Data,
    Epochs,
    Flag,
    From,
    Input,
    Json,
    Minutes,
    Out,
    RecipeFile,
    Seed,
    Settings,
    Steps,
    Tokens,
    Val,
    column_names,
    inputs,
    typed,
)
from newleaf.runtime import language
from newleaf.training.settings import Recipe


def plan(
    *data: Data,
    out: Out = None,
    minutes: Minutes = None,
    steps: Steps = None,
    tokens: Tokens = None,
    epochs: Epochs = None,
    val: Val = None,
    column: Column = None,
    from_: From = None,
    seed: Seed = None,
    recipe: RecipeFile = None,
    task: str | None = None,
    input_: Input = None,
    second_input: str | None = None,
    output: str | None = None,
    label: str | None = None,
    columns: str | None = None,
    lora: Flag = False,
    resume: Flag = False,
    extend: Flag = False,
    json_: Json = False,
    settings: Settings = Recipe(),  # noqa: B008 (frozen)
) -> None:
    """Show what `train` would do with the same arguments; with --task, what `tune` would do with the model of --from. Trains nothing; with
    --out the plan is written there for them to use.

    Parameters
    ----------
    task
        chat, instruct, classify, translate, summarize, qa, rewrite, complete or prefer.
    input_
        Of a task: the column that is asked.
    second_input
        Of a task: a second column that is asked.
    output
        Of a task: the column that answers.
    label
        Of a task: the column of labels.
    columns
        Of a task: names for the columns of a table without a header, between commas.
    lora
        Of a task: by low-rank adapters beside the frozen model.
    resume
        Show the plan of the run that stands in --out.
    extend
        The same.
    """
    budget: dict[str, Any] = {"minutes": minutes, "steps": steps, "tokens": tokens, "epochs": epochs}
    result = api.plan(
        inputs(data),
        **budget,
        out=out,
        val=val,
        column=column,
        base=from_,
        seed=seed,
        recipe=recipe,
        task=task,
        input=input_,
        second_input=second_input,
        output=output,
        label=label,
        columns=column_names(columns),
        lora=lora,
        resume=resume or extend,
        settings=typed(settings),
    )
    if json_:
        print(json.dumps(result, ensure_ascii=False))
    else:
        show(result)


def show(result: dict[str, Any]) -> None:
    """A line a figure that is known, then a line a reason."""
    reasons = result.pop("reasons")
    result = {name: value for name, value in result.items() if value is not None}
    widest = max(map(len, result))
    for name, value in result.items():
        print(f"{name:{widest}} {f'{value:,.4g}' if isinstance(value, float) else f'{value:,}' if isinstance(value, int) else value}")
    print()
    for name, reason in reasons.items():
        print(f"{name}{'：' if language() == 'zh' else ': '}{reason}")
