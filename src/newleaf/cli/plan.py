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
    resume: Flag = False,
    extend: Flag = False,
    json_: Json = False,
    settings: Settings = Recipe(),  # noqa: B008 (frozen)
) -> None:
    """Show what `train` would do with the same arguments. Trains nothing; with --out the plan is written there for `train` to use.

    Parameters
    ----------
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
        resume=resume or extend,
        settings=typed(settings),
    )
    if json_:
        print(json.dumps(result, ensure_ascii=False))
        return
    reasons = result.pop("reasons")
    widest = max(map(len, result))
    for name, value in result.items():
        print(f"{name:{widest}} {f'{value:,.4g}' if isinstance(value, float) else f'{value:,}' if isinstance(value, int) else value}")
    print()
    for name, reason in reasons.items():
        print(f"{name}{'：' if language() == 'zh' else ': '}{reason}")
