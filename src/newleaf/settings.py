"""Settings from a TOML recipe, the environment and the command line, merged into any tree of dataclasses.

Later layers win: recipe, then NEWLEAF_GROUP__SETTING or NEWLEAF_GROUP_SETTING, then what was typed. The tree is made of frozen
dataclasses whose leaves may be None: absent, for the plan to fill. A name that does not exist is answered with the nearest one.
"""

import difflib
import os
import tomllib
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from newleaf.errors import SettingError

Tree = TypeVar("Tree")
PREFIX = "NEWLEAF_"
NOT_SETTINGS = frozenset({"NEWLEAF_DATA", "NEWLEAF_LANG"})


def names(tree: type) -> dict[str, Any]:
    """Every leaf of a tree of dataclasses by its dotted name, with its type.

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Optim:
    ...     lr: float | None = None
    >>> names(Optim)
    {'lr': float | None}
    """
    leaves: dict[str, Any] = {}
    hints = get_type_hints(tree)
    for field in fields(tree):
        kind = hints[field.name]
        if isinstance(kind, type) and is_dataclass(kind):
            leaves |= {f"{field.name}.{name}": leaf for name, leaf in names(kind).items()}
        else:
            leaves[field.name] = kind
    return leaves


def leaves(value: object) -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of everything in `value` that is set."""
    for field in fields(value):  # type: ignore[arg-type]
        inner = getattr(value, field.name)
        if is_dataclass(inner) and not isinstance(inner, type):
            yield from ((f"{field.name}.{name}", leaf) for name, leaf in leaves(inner))
        elif inner is not None:
            yield field.name, inner


def merge(tree: type[Tree], *layers: Mapping[str, Any]) -> Tree:
    """One `tree` from layers of {dotted name: value}, the last one winning. SettingError for a name or value that cannot be."""
    kinds = names(tree)
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            if name not in kinds:
                raise unknown_setting(name, kinds)
            merged[name] = convert(name, value, kinds[name])
    return build(tree, merged)


def build(tree: type[Tree], values: Mapping[str, Any]) -> Tree:
    """`tree` from {dotted name: value}, trusting the values."""
    hints = get_type_hints(tree)
    arguments: dict[str, Any] = {}
    for field in fields(tree):  # type: ignore[arg-type]
        kind = hints[field.name]
        if isinstance(kind, type) and is_dataclass(kind):
            arguments[field.name] = build(kind, {n.split(".", 1)[1]: v for n, v in values.items() if n.startswith(f"{field.name}.")})
        elif field.name in values:
            arguments[field.name] = values[field.name]
    return tree(**arguments)


def unknown_setting(name: str, known: Iterable[str]) -> SettingError:
    """The sentence for a name that does not exist, with the nearest one that does."""
    nearest = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return SettingError(
        f"unknown setting '{name}'", where=name, hint=f"did you mean '{nearest[0]}'?" if nearest else "see newleaf train --help"
    )


def convert(name: str, value: Any, kind: Any) -> Any:
    """`value` as the type that the setting has; text, as the environment gives it, is read.

    >>> convert("optim.lr", "3e-4", float | None)
    0.0003
    """
    options = [option for option in get_args(kind) if option is not type(None)] if get_origin(kind) in (Union, types.UnionType) else [kind]
    for option in options:
        if get_origin(option) is Literal:
            if value in get_args(option):
                return value
        elif option is bool:
            text = str(value).lower()
            if text in ("true", "false", "1", "0", "yes", "no"):
                return text in ("true", "1", "yes")
        elif isinstance(value, bool):
            continue
        elif option is int and isinstance(value, int | str):
            try:
                return int(value)
            except ValueError:
                continue
        elif option is float and isinstance(value, int | float | str):
            try:
                return float(value)
            except ValueError:
                continue
        elif option is str and isinstance(value, str):
            return value
    expected = " or ".join(map(str, get_args(options[0]))) if get_origin(options[0]) is Literal else WORDS.get(options[0], str(options[0]))
    raise SettingError(f"{name} is {value!r}", where=name, expected=expected)


WORDS: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def from_environment(tree: type, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The layer that NEWLEAF_MODEL_WIDTH=256 and its like give. SettingError for a NEWLEAF_ name that is none."""
    by_variable = {PREFIX + name.upper().replace(".", "_"): name for name in names(tree)}
    layer: dict[str, Any] = {}
    for variable, value in environment.items():
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        name = by_variable.get(variable.replace("__", "_"))
        if name is None:
            nearest = difflib.get_close_matches(variable, by_variable, n=1, cutoff=0.5)
            raise SettingError(
                f"unknown setting {variable} in the environment",
                where=variable,
                hint=f"did you mean {nearest[0]}?" if nearest else "unset it",
            )
        layer[name] = value
    return layer


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as nested dicts; one sentence when it is missing or broken."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise SettingError(f"{path} does not exist", where=str(path), hint="name a TOML file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"{path} cannot be read as TOML: {error}", where=str(path), hint="mend the line") from None


def flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as {dotted name: value}.

    >>> flatten({"optim": {"lr": 0.1}, "seed": 1})
    {'optim.lr': 0.1, 'seed': 1}
    """
    flat: dict[str, Any] = {}
    for name, value in table.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def to_toml(sections: Mapping[str, Mapping[str, Any]]) -> str:
    """TOML text of {section: {name: number, text, bool or list of them}}; the section '' stands first, without a header.

    >>> print(to_toml({"": {"seed": 0}, "optim": {"lr": 0.5}}), end="")
    seed = 0
    <BLANKLINE>
    [optim]
    lr = 0.5
    """
    parts = []
    for section, values in sections.items():
        lines = [f"[{section}]"] if section else []
        lines += [f"{name} = {toml_value(value)}" for name, value in values.items() if value is not None]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def toml_value(value: Any) -> str:
    """One TOML value. Text becomes a basic string with everything unusual escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = repr(value)
        return text if any(mark in text for mark in ".en") else f"{text}.0"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    text = str(value).encode("utf-8", "backslashreplace").decode()  # a file's name may hold what is no character
    escaped = "".join(ESCAPES.get(c, c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}") for c in text)
    return f'"{escaped}"'


ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def check_range(name: str, value: float | None, low: float, high: float = float("inf"), *, above: bool = False) -> None:
    """SettingError unless low <= value <= high (or low < value, with `above`). None passes: it is not set."""
    if value is None:
        return
    if not (value > low if above else value >= low) or not value <= high or value in (float("inf"), float("-inf")):
        expected = f"more than {low:g}" if above else f"at least {low:g}"
        raise SettingError(f"{name} is {value}", where=name, expected=expected + (f" and at most {high:g}" if high != float("inf") else ""))
