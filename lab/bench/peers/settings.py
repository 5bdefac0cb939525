"""peers.toml in, one Setting a table out: what is passed to a tool as it stands, and what its adaptor needs for the text."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

Value = str | int | float | bool
FILE = Path(__file__).parent.parent / "peers.toml"
FOR_THE_ADAPTOR = {"vocab", "why"}


@dataclass(frozen=True)
class Setting:
    """One way to run a peer. The first of a peer in the file is its own recipe."""

    tool: str
    name: str
    vocab: str | int  # "char", "gpt2", or how many tokens a tokenizer learned from the text has
    options: dict[str, Value]  # the tool's own names

    def number(self, name: str) -> int:
        """An option that is a whole number."""
        value = self.options[name]
        assert isinstance(value, int), f"{name} of {self.tool}.{self.name} is {value!r}"
        return value


def read_settings(path: Path = FILE) -> dict[str, list[Setting]]:
    """All settings, by tool."""
    tables = tomllib.loads(path.read_text("utf-8"))
    return {
        tool: [
            Setting(tool, name, table["vocab"], {key: value for key, value in table.items() if key not in FOR_THE_ADAPTOR})
            for name, table in settings.items()
        ]
        for tool, settings in tables.items()
    }
