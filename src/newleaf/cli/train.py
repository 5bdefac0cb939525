"""`newleaf train`."""

import json

from newleaf import api
from newleaf.cli.console import Console
from newleaf.cli.words import Flag, From, Json, Settings, Whole, inputs, refuse_from, typed
from newleaf.runtime import seconds_since_exec
from newleaf.training.settings import Recipe


def train(
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
    resume: Flag = False,
    extend: Flag = False,
    json_: Json = False,
    settings: Settings = Recipe(),  # noqa: B008 (frozen)
) -> None:
    """Train a GPT on your text.

    Parameters
    ----------
    data
        Files, folders, globs, or - for stdin; none: the source of the Python standard library.
    out
        The run directory; runs/ and the name of the text by default.
    minutes
        Budget: minutes of the whole command (10 if no budget is given).
    steps
        Budget: updates of the weights.
    tokens
        Budget: tokens to train on.
    epochs
        Budget: passes over the text.
    val
        Held-out text; by default a part of DATA.
    column
        The column of .jsonl, .json, .csv and .tsv files that holds the text.
    from_
        A model to go on from (a later version).
    seed
        Everything random follows from it.
    recipe
        A TOML file with settings, such as the newleaf.toml of a run.
    resume
        Bring an unfinished run to its budget; start it where there is none.
    extend
        Go on from the trunk of a finished run, by the budget given.
    json_
        Print summary.json's object on stdout.
    """
    refuse_from(from_)
    console = Console()
    try:
        summary = api.train(
            inputs(data), out=out, minutes=minutes, steps=steps, tokens=tokens, epochs=epochs, val=val, column=column, seed=seed, recipe=recipe,
            resume=resume, extend=extend, settings=typed(settings), view=console, seconds_before=seconds_since_exec(),
        )  # fmt: skip
    except BaseException:
        console.close()
        raise
    console.done(summary)
    if json_:
        print(json.dumps(summary, ensure_ascii=False))
