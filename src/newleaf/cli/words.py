"""Words of the command line that several verbs share."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter, Token

from newleaf.cli import STDIN
from newleaf.errors import UsageError
from newleaf.settings import convert, leaves, names, unknown_setting
from newleaf.training.settings import Recipe


def whole(kind: type, tokens: Sequence[Token]) -> int:
    """A whole number as it is written: the parser's own reading would make 2 of 2.5."""
    try:
        return int(tokens[0].value)
    except ValueError:
        name = str(tokens[0].keyword)
        raise UsageError(f"{name} is {tokens[0].value}", where=name, expected="a whole number") from None


Data = Annotated[str, Parameter(help="Files, folders, globs, or - for stdin; none: the source of the Python standard library.")]
Out = Annotated[str | None, Parameter(help="The run directory; runs/ and the name of the text by default.")]
Minutes = Annotated[float | None, Parameter(help="Budget: minutes of the whole command (10 if no budget is given).")]
Steps = Annotated[int | None, Parameter(converter=whole, help="Budget: updates of the weights.")]
Tokens = Annotated[int | None, Parameter(converter=whole, help="Budget: tokens to train on.")]
Epochs = Annotated[float | None, Parameter(help="Budget: passes over the text.")]
Val = Annotated[str | None, Parameter(help="Held-out text; by default a part of DATA.")]
Column = Annotated[str | None, Parameter(help="The column of .jsonl, .json, .csv and .tsv files that holds the text.")]
Input = Annotated[str | None, Parameter(name="--input")]
Seed = Annotated[int | None, Parameter(converter=whole, help="Everything random follows from it (0).")]
RecipeFile = Annotated[str | None, Parameter(help="A TOML file with settings, such as the newleaf.toml of a run.")]
Flag = Annotated[bool, Parameter(negative=())]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print one JSON object on stdout.")]
From = Annotated[str | None, Parameter(name="--from", help="A model to go on from: a run, a model's folder or a hub name.")]
Settings = Annotated[Recipe, Parameter(name="*", name_transform=lambda name: name, negative=())]


Whole = Annotated[int, Parameter(converter=whole)]


def column_names(said: str | None) -> list[str]:
    """What --columns says, between commas.

    >>> column_names("label, text"), column_names(None)
    (['label', 'text'], [])
    """
    return [name.strip() for name in said.split(",")] if said else []


def check_settings(words: Sequence[str]) -> None:
    """SettingError for a --group.setting that does not exist or whose value cannot be: the same sentence as for a recipe."""
    for index, word in enumerate(words):
        name, equals, value = word.removeprefix("--").partition("=")
        if word == "--":
            return
        if word.startswith("--") and "." in name:
            following = words[index + 1] if index + 1 < len(words) else ""
            kind = names(Recipe).get(name := name.replace("-", "_"))
            if kind is None:
                raise unknown_setting(name, names(Recipe))
            convert(name, value if equals else "true" if kind == bool | None else following, kind)


def inputs(words: Sequence[str]) -> list[str]:
    """DATA as it was typed."""
    return ["-" if word == STDIN else word for word in words]


def typed(settings: Recipe) -> dict[str, Any]:
    """The settings that were named on the command line, those among them that say what holds anyway."""
    defaults = dict(leaves(Recipe()))
    named = {word.split("=")[0].removeprefix("--").replace("-", "_") for word in sys.argv if word.startswith("--")}
    return {name: value for name, value in leaves(settings) if value != defaults.get(name) or name in named}
