"""`newleaf train`."""

import json
from typing import Any

from newleaf import api
from newleaf.cli.console import Console
from newleaf.cli.words import (
    Column,
    Data,
    Epochs,
    Flag,
    From,
    Json,
    Minutes,
    Out,
    RecipeFile,
    Seed,
    Settings,
    Steps,
    Tokens,
    Val,
    inputs,
    typed,
)
from newleaf.runtime import seconds_since_exec
from newleaf.training.settings import Recipe


def train(
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
    resume: Flag = False,
    extend: Flag = False,
    json_: Json = False,
    settings: Settings = Recipe(),  # noqa: B008 (frozen)
) -> None:
    """Train a GPT on your text.

    Parameters
    ----------
    resume
        Bring an unfinished run to its budget; start it where there is none.
    extend
        Go on from the trunk of a finished run, by the budget given, with more DATA if named.
    """
    console = Console()
    words: dict[str, Any] = {"out": out, "val": val, "column": column, "base": from_, "seed": seed, "recipe": recipe}
    words |= {"resume": resume, "extend": extend}
    budget: dict[str, Any] = {"minutes": minutes, "steps": steps, "tokens": tokens, "epochs": epochs}
    try:
        summary = api.train(inputs(data), **words, **budget, settings=typed(settings), view=console, seconds_before=seconds_since_exec())
    except BaseException:
        console.close()
        raise
    console.done(summary)
    if json_:
        print(json.dumps(summary, ensure_ascii=False))
