"""The fields of a JSON file that somebody else wrote, read with care: every error names the field and the file."""

from collections.abc import Mapping
from typing import Any, TypeVar

from newleaf.errors import ModelError

T = TypeVar("T")


class Fields:
    """A JSON object; null counts as absent.

    >>> Fields({"width": 64, "bias": None}, "config.json").get("width", int)
    64
    >>> Fields({}, "config.json").get("width", int)
    Traceback (most recent call last):
        ...
    newleaf.errors.ModelError: config.json: 'width' is missing.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values, self.where = values, where

    def get(self, name: str, kind: type[T], default: T | None = None) -> T:
        """The value, which must be of type `kind`, or the default; ModelError if it is missing and there is none."""
        value = self.values.get(name)
        if value is None:
            if default is None:
                raise ModelError(f"{name!r} is missing", where=self.where)
            return default
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            names = {int: "a whole number", float: "a number", bool: "true or false", str: "a string", dict: "an object", list: "a list"}
            raise ModelError(f"{name!r} is {value!r}", where=self.where, expected=names[kind])
        return value

    def ratio(self, above: str, below: str) -> int:
        """The quotient of two fields, which must be whole."""
        first, second = self.get(above, int), self.get(below, int)
        if second < 1 or first % second:
            raise ModelError(f"{below!r} {second} does not divide {above!r} {first}", where=self.where)
        return first // second

    def require(self, name: str, *supported: Any) -> None:
        """ModelError if the field is there and its value is none of those that the decoder can do."""
        value = self.values.get(name)
        if value is not None and value not in supported:
            raise ModelError(f"{name!r} is {value!r}, which is not supported", where=self.where, expected=" or ".join(map(repr, supported)))
