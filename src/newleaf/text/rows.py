"""A file of rows in, its rows out: JSON lines, JSON, CSV, TSV, each also packed with gzip.

JSON lines and tables are read line by line, whatever their size. A broken row is passed on as `Broken`, and the rest is read; a whole
file that cannot be read raises NotText. Sizes have limits, because a file from elsewhere may have been made to exhaust us: gzip may
not unpack to more than 200 times its size, a line may not be longer than 32 MB, JSON too deep for the parser is broken.
"""

import csv
import gzip
import io
import itertools
import json
import zlib
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newleaf.text.decode import NotText, recognise
from newleaf.text.shapes import is_number, unfolded

TABLES = {".csv": ",", ".tsv": "\t"}
JSON_LINES = {".jsonl", ".ndjson"}
ROWS = {*TABLES, *JSON_LINES, ".json"}
MAX_RATIO, SMALL_BYTES = 200, 4 << 20  # of gzip: below the second number the first does not matter
MAX_LINE_BYTES = 32 << 20
HEAD_BYTES = 1 << 20  # of a file decide about its encoding
SAMPLE_ROWS = 100  # of a table decide whether it has a header
MAX_NAME = 60  # characters of a column's name


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that cannot be read."""

    reason: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row (a line, to begin with) and where it begins, counted from 1."""

    number: int
    value: Any
    repair: str = ""


def kind_of(path: Path) -> str:
    """What a file's name says it is: one of ROWS, or "" for plain text.

    >>> kind_of(Path("a/poems.JSONL.gz")), kind_of(Path("poems.txt.gz")), kind_of(Path("notes"))
    ('.jsonl', '', '')
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    last = suffixes[-2:-1] if suffixes[-1:] == [".gz"] else suffixes[-1:]
    return last[0] if last and last[0] in ROWS else ""


def rows_of(path: Path, column: str | None) -> Iterator[Row]:
    """Every row of a file of rows: objects as dicts, other JSON values as they are."""
    kind = kind_of(path)
    with opened(path) as file:
        head = file.read(HEAD_BYTES)
    if kind == ".json" or (kind in JSON_LINES and is_whole_json(head)):
        yield from json_rows(path, column)
    elif kind in JSON_LINES:
        yield from map(parsed, lines_of(path, head, skip_blank=True))
    else:
        yield from table_rows(lines_of(path, head, skip_blank=False), kind)


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """A file to read bytes from, unpacked if its name ends in .gz."""
    if path.suffix.lower() != ".gz":
        with path.open("rb") as file:
            yield file
        return
    with gzip.open(path) as packed:
        most = max(SMALL_BYTES, MAX_RATIO * path.stat().st_size)
        yield io.BufferedReader(Unpacking(packed, most), HEAD_BYTES)


class Unpacking(io.RawIOBase):
    """A reader that refuses to give more than `most` bytes, and what is left of a broken file before it says so."""

    def __init__(self, file: gzip.GzipFile, most: int) -> None:
        self.file, self.left = file, most
        self.broken = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self.broken:
            raise NotText("broken gzip")
        try:
            data = self.file.read1(len(buffer))  # readinto would lose what it has when the file turns out to be broken
        except (EOFError, zlib.error, gzip.BadGzipFile):
            self.broken = True
            return 0  # the end, for now: whoever asks for more is told
        self.left -= len(data)
        if self.left < 0:
            raise NotText(f"broken gzip: it unpacks to more than {MAX_RATIO} times its size")
        buffer[: len(data)] = data
        return len(data)


def read_all(file: io.BufferedReader) -> bytes:
    """Everything, or NotText: what is broken gives what it has at the first attempt."""
    return file.read() + file.read()


def lines_of(path: Path, head: bytes, skip_blank: bool) -> Iterator[Row]:
    """The lines of a file as text, each without its line end."""
    encoding = encoding_of(head[: head.rfind(b"\n") + 1] or head)
    if encoding.startswith(("utf-16", "utf-32")):  # where a line end is no single byte
        with opened(path) as file:
            decoded = recognise(read_all(file))
        yield from (Row(number, line) for number, line in enumerate(decoded.text.split("\n"), start=1))
        return
    with opened(path) as file:
        for number in itertools.count(1):
            line = file.readline(MAX_LINE_BYTES)
            if not line:
                return
            if line == b"\n" and skip_blank:
                continue
            if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES)
                yield Row(number, Broken(f"a line of more than {MAX_LINE_BYTES >> 20} MB"))
            else:
                yield decoded_line(number, line.removesuffix(b"\n").removesuffix(b"\r"), encoding)


def encoding_of(head: bytes) -> str:
    """The encoding of a file's first lines; of its first line, if not all of them are text."""
    try:
        return recognise(head).encoding
    except NotText:
        return recognise(head.partition(b"\n")[0]).encoding


def decoded_line(number: int, line: bytes, encoding: str) -> Row:
    """One line, in the encoding of the file or, failing that, in whatever it is in."""
    if number == 1:
        line = line.removeprefix(b"\xef\xbb\xbf")
    if b"\0" in line:
        return Row(number, Broken("not text"))
    try:
        return Row(number, line.decode(encoding))
    except UnicodeDecodeError:
        pass
    try:
        decoded = recognise(line)
    except NotText as error:
        return Row(number, Broken(str(error)))
    return Row(number, decoded.text, decoded.repair)


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


def json_rows(path: Path, column: str | None) -> Iterator[Row]:
    """The rows of a whole JSON value, counted from 1; of a .json that is really JSON lines, its lines."""
    with opened(path) as file:
        decoded = recognise(read_all(file))
    try:
        values = unfolded(json.loads(decoded.text), column)
        yield from (Row(number, value, decoded.repair if number == 1 else "") for number, value in enumerate(values, start=1))
    except RecursionError:
        raise NotText("JSON nested too deeply") from None
    except ValueError as error:
        lines = [Row(number, line) for number, line in enumerate(decoded.text.split("\n"), start=1) if line.strip()]
        if len(lines) < 2 or isinstance(parsed(lines[0]).value, Broken):
            raise NotText(f"broken JSON: {str(error)[:80]}") from None
        yield from map(parsed, lines)


def table_rows(lines: Iterator[Row], kind: str) -> Iterator[Row]:
    """The rows of a table as dicts. Without a header the columns are called "1", "2", …"""
    cells = cell_rows(lines, kind)
    sample = list(itertools.islice(cells, SAMPLE_ROWS))
    good = [row.value for row in sample if not isinstance(row.value, Broken)]
    header = has_header(good)
    names = named(good[0]) if header else [str(index + 1) for index in range(max(map(len, good), default=0))]
    for row in itertools.chain(sample, cells):
        if isinstance(row.value, Broken):
            yield row
        elif header:
            header = False
        elif len(row.value) > len(names):
            yield Row(row.number, Broken("more cells than the table has columns"))
        else:
            yield Row(row.number, dict(zip(names, row.value, strict=False)), row.repair)


def named(header: list[str]) -> list[str]:
    """Column names; an empty one (the index that pandas writes) is called by its position."""
    return [cell.strip() or str(index + 1) for index, cell in enumerate(header)]


def has_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns: short, different, no numbers, and nothing that comes again further down.

    >>> has_header([["label", "text"], ["1", "fine"]]), has_header([["fine", "World"], ["good", "World"]])
    (True, False)
    """
    if not rows:
        return False
    first = [cell for cell in rows[0] if cell]
    if len(set(first)) < len(first) or any(is_number(cell) or len(cell) > MAX_NAME for cell in first):
        return False
    return not any(cell and cell in (row[index] for row in rows[1:] if index < len(row)) for index, cell in enumerate(rows[0]))


def cell_rows(lines: Iterator[Row], kind: str) -> Iterator[Row]:
    """Rows of cells. In .tsv quotes are ordinary characters, as in the data sets that come so; in .csv a cell may hold line ends."""
    if kind == ".csv":
        yield from quoted_rows(lines)
        return
    for line in lines:
        if isinstance(line.value, Broken):
            yield line
        elif line.value:
            yield Row(line.number, line.value.split("\t"), line.repair)


def quoted_rows(lines: Iterator[Row]) -> Iterator[Row]:
    """Rows of a .csv, between commas or, where its first line has none, between semicolons, tabs or bars."""
    csv.field_size_limit(MAX_LINE_BYTES)  # its default would break every long text, and there is no other place to set it
    feed = Feed(lines)
    first = feed.peek()
    delimiter = "," if "," in first else max(",;\t|", key=first.count)
    reader = csv.reader(feed, delimiter=delimiter)
    while True:
        feed.begin()
        try:
            cells: Any = next(reader, None)
        except csv.Error:
            cells = Broken("broken row of a table")
        yield from feed.broken
        if cells is None:
            return
        if len(feed.taken) > 1 and (isinstance(cells, Broken) or (feed.ended and is_open(feed.taken, delimiter))):
            cells = Broken("a quote that is never closed")
            feed.give_back()
        if cells:
            yield Row(feed.taken[0].number, cells, feed.taken[0].repair)


def is_open(lines: list[Row], delimiter: str) -> bool:
    """Whether a row's last cell begins with a quote and never ends."""
    try:
        list(csv.reader((line.value + "\n" for line in lines), delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


class Feed:
    """Lines for csv.reader, which remembers those of the present row, so that they can be given back and read once more."""

    def __init__(self, lines: Iterator[Row]) -> None:
        self.lines, self.again = lines, deque[Row]()
        self.taken: list[Row] = []
        self.broken: list[Row] = []
        self.ended = False

    def peek(self) -> str:
        """The first line that can be read, or "" if there is none."""
        text = next(self, "")
        self.again.extend(self.taken)
        return text

    def begin(self) -> None:
        """A new row."""
        self.taken, self.broken = [], []

    def give_back(self) -> None:
        """All lines of this row but the first."""
        self.again.extendleft(reversed(self.taken[1:]))
        self.ended = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while True:
            line = self.again.popleft() if self.again else next(self.lines, None)
            if line is None:
                self.ended = True
                raise StopIteration
            if not isinstance(line.value, Broken):
                self.taken.append(line)
                return f"{line.value}\n"
            self.broken.append(line)
