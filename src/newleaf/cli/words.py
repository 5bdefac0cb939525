"""Words of the command line that several verbs share."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from newleaf.errors import UsageError
from newleaf.training.settings import Recipe

STDIN = "\0stdin"  # what "-" becomes while the options are parsed: a bare dash looks like an option there
Flag = Annotated[bool, Parameter(negative=())]
Json = Annotated[bool, Parameter(name="--json", negative=())]
From = Annotated[str | None, Parameter(name="--from")]
Settings = Annotated[Recipe, Parameter(name="*", name_transform=lambda name: name, negative=())]


def inputs(words: Sequence[str]) -> list[str]:
    """DATA as it was typed."""
    return ["-" if word == STDIN else word for word in words]


def refuse_from(model: str | None) -> None:
    """--from is part of the contract; the version that brings it is a later one."""
    if model is not None:
        raise UsageError("--from is not there yet", where="--from", hint="train from your own text")
