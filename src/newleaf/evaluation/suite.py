"""A small TOML file in, tasks to measure a model by out.

[[task]]
name = "copa"
kind = "choice"                 # choice, pairs, cloze or search
files = "copa.jsonl"            # one or several, with * and ?; or: items = [{…}, …] here
prompt = "query"                # the columns; these are what they are called where nothing is said
choices = "choices"
answer = "gold"
delimiter = " "                 # between a prompt and how it goes on; of pairs before both sentences, "" where nothing is said
most = 500                      # items, the first of each file
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files as resources
from itertools import islice
from pathlib import Path
from typing import Any

from newleaf.errors import SettingError, TextError, UsageError
from newleaf.evaluation.choice import Item
from newleaf.settings import read_toml
from newleaf.text.decode import NotText
from newleaf.text.examples import questions
from newleaf.text.files import find, shown
from newleaf.text.lines import Broken
from newleaf.text.rows import rows_of

COLUMNS = {
    "choice": {"prompt": "query", "choices": "choices", "answer": "gold"},
    "pairs": {"good": "sentence_good", "bad": "sentence_bad"},
    "cloze": {"prompt": "context", "answer": "continuation"},
    "search": {"question": "question", "passage": "context"},
}
DELIMITER = {"choice": " ", "pairs": "", "cloze": " ", "search": ""}  # where nothing is said
OTHERS = {"name", "kind", "files", "items", "delimiter", "most"}


@dataclass(frozen=True)
class SuiteTask:
    """One [[task]] of a suite."""

    name: str
    kind: str
    said: Mapping[str, Any]
    folder: Path

    def items(self) -> list[Item]:
        """TextError where there is none, or where a row has not the columns."""
        if "items" in self.said:
            return [self.item(row, f"{self.name}, item {number}") for number, row in enumerate(self.said["items"], start=1)]
        found: list[Item] = []
        for name in names_in(self.said):
            for path in find(str(self.folder / name)):
                if isinstance(path, Path):
                    found += islice(self.of_file(path), self.said.get("most"))
        if not found:
            raise TextError(f"the suite's task {self.name} has no items in {shown(self.folder)}", where=shown(self.folder))
        return found

    def of_file(self, path: Path) -> Iterator[Item]:
        try:
            for row in (row for row in rows_of(path, questions) if row.value != Broken("")):  # an empty line
                yield self.item(row.value, f"{shown(path)}:{row.number}")
        except NotText as error:
            raise TextError(
                f"{shown(path)} cannot be read: {error}", where=shown(path), expected="rows with the items of a suite"
            ) from None

    def item(self, row: Any, where: str) -> Item:
        names = {role: self.said.get(role, name) for role, name in COLUMNS[self.kind].items()}
        if not isinstance(row, Mapping):
            raise TextError(f"{where} is no row with columns", where=where, expected=", ".join(names.values()))
        missing = [name for name in names.values() if name not in row]
        if missing:
            raise TextError(f"{where} has no column {missing[0]!r}", where=where, expected=", ".join(names.values()))
        values, delimiter = {role: row[name] for role, name in names.items()}, str(self.said.get("delimiter", DELIMITER[self.kind]))
        if self.kind == "pairs":
            return Item("", (str(values["good"]), str(values["bad"])), delimiter=delimiter)
        if self.kind == "search":
            return Item(str(values["question"]), (str(values["passage"]),))
        if self.kind == "cloze":
            return Item(str(values["prompt"]), (str(values["answer"]),), delimiter=delimiter)
        if not isinstance(values["choices"], list):
            raise TextError(f"{where} has no list of choices", where=where, expected="a list")
        choices, right = tuple(map(str, values["choices"])), values["answer"]
        if not isinstance(right, int) or not 0 <= right < len(choices):
            raise TextError(f"{where} has the answer {right!r}", where=where, expected=f"0 to {len(choices) - 1}")
        return Item(str(values["prompt"]), choices, right, delimiter)


def read_suite(name: str, folder: Path | None) -> list[SuiteTask]:
    """Of a file, or of a suite that comes with newleaf. `folder` is where the files of its items are: by default beside the suite."""
    path = Path(name) if name.endswith(".toml") else Path(str(resources("newleaf.evaluation"))) / "suites" / f"{name}.toml"
    if not path.exists():
        raise UsageError(f"there is no suite {name}", where="--suite", expected=f"a .toml file or one of {', '.join(shipped())}")
    tasks = read_toml(path).get("task")
    if not isinstance(tasks, list) or not tasks:
        raise SettingError(f"{path} has no [[task]]", where=str(path), expected="one or more")
    return [task_of(said, folder or path.parent, path) for said in tasks]


def shipped() -> list[str]:
    """The names of the suites that come with newleaf."""
    paths = (resources("newleaf.evaluation") / "suites").iterdir()
    return sorted(path.name.removesuffix(".toml") for path in paths if path.name.endswith(".toml"))


def task_of(said: Any, folder: Path, path: Path) -> SuiteTask:
    """SettingError for what a task cannot say."""
    if not isinstance(said, Mapping):
        raise SettingError(f"{path} has no [[task]]", where=str(path), expected="one or more")
    name, kind = str(said.get("name", "")), str(said.get("kind", ""))
    if not name or kind not in COLUMNS:
        raise SettingError(f"a task of {path} has the name {name!r} and the kind {kind!r}", where=str(path), expected=" or ".join(COLUMNS))
    unknown = set(said) - OTHERS - set(COLUMNS[kind])
    if unknown or ("files" in said) == ("items" in said):
        what = f"says {min(unknown)}" if unknown else "says neither files nor items, or both"
        raise SettingError(f"the task {name} of {path} {what}", where=str(path), expected=", ".join([*sorted(OTHERS), *COLUMNS[kind]]))
    for key, expected, good in (
        ("items", "a list", isinstance(said.get("items", []), list)),
        ("files", "a name, or a list of names", all(isinstance(each, str) for each in names_in(said))),
        ("most", "a whole number from 1 on", is_count(said.get("most", 1))),
    ):
        if not good:
            raise SettingError(f"the task {name} of {path} has {key} = {said[key]!r}", where=str(path), expected=expected)
    return SuiteTask(name, kind, said, folder)


def names_in(said: Mapping[str, Any]) -> list[Any]:
    """Of files."""
    names = said.get("files", [])
    return names if isinstance(names, list) else [names]


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
