"""`newleaf tune`."""

import json
from typing import Any

from newleaf import api
from newleaf.cli.console import Console
from newleaf.cli.words import (
    Epochs,
    Flag,
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
from newleaf.runtime import seconds_since_exec
from newleaf.training.settings import Recipe


def tune(
    model: str | None = None,
    *data: str,
    task: str | None = None,
    out: Out = None,
    minutes: Minutes = None,
    steps: Steps = None,
    tokens: Tokens = None,
    epochs: Epochs = None,
    val: Val = None,
    column: str | None = None,
    input_: Input = None,
    second_input: str | None = None,
    output: str | None = None,
    label: str | None = None,
    columns: str | None = None,
    lora: Flag = False,
    seed: Seed = None,
    recipe: RecipeFile = None,
    resume: Flag = False,
    json_: Json = False,
    settings: Settings = Recipe(),  # noqa: B008 (frozen)
) -> None:
    """Teach a model a task by examples: .jsonl, .json, .csv or .tsv.

    Parameters
    ----------
    model
        A run, a model's folder or a hub name.
    data
        Files of examples, folders, globs.
    task
        chat, instruct, classify, translate, summarize, qa, rewrite, complete or prefer.
    column
        The column that is asked; the same as --input.
    input_
        The column that is asked.
    second_input
        A second column that is asked: the paragraph of a question, the other sentence of a pair.
    output
        The column that answers.
    label
        The column of labels.
    columns
        Names for the columns of a table without a header, between commas.
    lora
        Learn by low-rank adapters beside the frozen model (--tune.rank 8).
    resume
        Bring an unfinished run to its budget; start it where there is none.
    """
    console = Console()
    named: dict[str, Any] = {"input": input_ or column, "second_input": second_input, "output": output, "label": label}
    budget: dict[str, Any] = {"minutes": minutes, "steps": steps, "tokens": tokens, "epochs": epochs}
    words: dict[str, Any] = {"task": task, "out": out, "val": val, "seed": seed, "recipe": recipe, "resume": resume, "lora": lora}
    words |= {"columns": column_names(columns)}
    try:
        summary = api.tune(
            model, inputs(data), **words, **named, **budget, settings=typed(settings), view=console, seconds_before=seconds_since_exec()
        )
    except BaseException:
        console.close()
        raise
    console.done(summary)
    if json_:
        print(json.dumps(summary, ensure_ascii=False))
