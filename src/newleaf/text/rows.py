"""A file of rows in, its rows out: JSON lines, JSON, CSV, TSV, each also packed with gzip.

JSON lines and tables are read line by line, whatever their size. A broken row is passed on as `Broken`, and the rest is read; a whole
file that cannot be read raises NotText.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from newleaf.text.decode import NotText, recognise
from newleaf.text.lines import HEAD_BYTES, Broken, Row, lines_of, opened, read_all
from newleaf.text.tables import table_rows

TABLES = {".csv", ".tsv"}
JSON_LINES = {".jsonl", ".ndjson"}
ROWS = {*TABLES, *JSON_LINES, ".json"}


def kind_of(path: Path) -> str:
    """What a file's name says it is: one of ROWS, or "" for plain text.

    >>> kind_of(Path("a/poems.JSONL.gz")), kind_of(Path("poems.txt.gz")), kind_of(Path("notes"))
    ('.jsonl', '', '')
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = suffixes[-2:-1] if suffixes[-1:] == [".gz"] else suffixes[-1:]
    return last[0] if last and last[0] in ROWS else ""


def rows_of(path: Path, unfold: Callable[[Any], Iterator[Any]], names: Sequence[str] = ()) -> Iterator[Row]:
    """Every row of a file of rows: objects as dicts, other JSON values as they are. `unfold` finds the rows in a whole JSON value;
    `names` are those of a table's columns, where a person has said them. A file that is nothing else is a table between tabs."""
    kind = kind_of(path) or ".tsv"
    with opened(path) as file:
        head = file.read(HEAD_BYTES)
    if kind == ".json" or (kind in JSON_LINES and is_whole_json(head)):
        yield from json_rows(path, unfold)
    elif kind in JSON_LINES:
        yield from map(parsed, lines_of(path, head, skip_blank=True))
    else:
        yield from table_rows(lines_of(path, head, skip_blank=False), kind, names)


def parsed(line: Row) -> Row:
    """A line of JSON lines; an empty one is Broken("")."""
    if isinstance(line.value, Broken):
        return line
    try:
        return Row(line.number, json.loads(line.value) if line.value.strip() else Broken(""), line.repair)
    except ValueError:
        return Row(line.number, Broken("broken JSON"))
    except RecursionError:
        return Row(line.number, Broken("JSON nested too deeply"))


def is_whole_json(head: bytes) -> bool:
    """Whether a file of "JSON lines" is really one JSON value over several lines."""
    first = head.lstrip().removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].strip()
    return first in (b"[", b"{")


def json_rows(path: Path, unfold: Callable[[Any], Iterator[Any]]) -> Iterator[Row]:
    """The rows of a whole JSON value, counted from 1; of a .json that is really JSON lines, its lines."""
    with opened(path) as file:
        decoded = recognise(read_all(file))
    try:
        values = unfold(json.loads(decoded.text))
        yield from (Row(number, value, decoded.repair if number == 1 else "") for number, value in enumerate(values, start=1))
    except RecursionError:
        raise NotText("JSON nested too deeply") from None
    except ValueError as error:
        lines = [Row(number, line) for number, line in enumerate(decoded.text.split("\n"), start=1) if line.strip()]
        if len(lines) < 2 or isinstance(parsed(lines[0]).value, Broken):
            raise NotText(f"broken JSON: {str(error)[:80]}") from None
        yield from map(parsed, lines)
