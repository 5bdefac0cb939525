"""`newleaf plan`."""

import json

from newleaf import api
from newleaf.cli.words import From, Json, Settings, Whole, inputs, refuse_from, typed
from newleaf.training.settings import Recipe


def plan(
    *data: str,
    out: str | None = None,
    minutes: float | None = None,
    steps: Whole | None = None,
    tokens: Whole | None = None,
    epochs: float | None = None,
    val: str | None = None,
    column: str | None = None,
    from_: From = None,
    seed: Whole | None = None,
    recipe: str | None = None,
    json_: Json = False,
    settings: Settings = Recipe(),  # noqa: B008 (frozen)
) -> None:
    """Show what `train` would do with the same arguments. Trains nothing; with --out the plan is written there for `train` to use.

    Parameters
    ----------
    data
        Files, folders, globs, or - for stdin; none: the source of the Python standard library.
    json_
        Print one JSON object on stdout.
    """
    refuse_from(from_)
    result = api.plan(
        inputs(data), out=out, minutes=minutes, steps=steps, tokens=tokens, epochs=epochs, val=val, column=column, seed=seed, recipe=recipe,
        settings=typed(settings),
    )  # fmt: skip
    if json_:
        print(json.dumps(result, ensure_ascii=False))
        return
    reasons = result.pop("reasons")
    for name, value in result.items():
        print(f"{name:18} {f'{value:,.4g}' if isinstance(value, float) else f'{value:,}' if isinstance(value, int) else value}")
    print()
    for name, reason in reasons.items():
        print(f"{name}: {reason}")
