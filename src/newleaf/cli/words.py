"""Words of the command line that several verbs share."""

import sys
from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from newleaf.errors import UsageError
from newleaf.settings import leaves
from newleaf.training.settings import Recipe

STDIN = "\0stdin"  # what "-" becomes while the options are parsed: a bare dash looks like an option there
Flag = Annotated[bool, Parameter(negative=())]
Json = Annotated[bool, Parameter(name="--json", negative=())]
From = Annotated[str | None, Parameter(name="--from")]
Settings = Annotated[Recipe, Parameter(name="*", name_transform=lambda name: name, negative=())]


def inputs(words: Sequence[str]) -> list[str]:
    """DATA as it was typed."""
    return ["-" if word == STDIN else word for word in words]


def typed(settings: Recipe) -> dict[str, Any]:
    """The settings that were named on the command line, those among them that say what holds anyway."""
    defaults = dict(leaves(Recipe()))
    named = {word.split("=")[0].removeprefix("--").replace("-", "_") for word in sys.argv if word.startswith("--")}
    return {name: value for name, value in leaves(settings) if value != defaults.get(name) or name in named}


def refuse_from(model: str | None) -> None:
    """--from is part of the contract; the version that brings it is a later one."""
    if model is not None:
        raise UsageError("--from is not there yet", where="--from", hint="train from your own text")
