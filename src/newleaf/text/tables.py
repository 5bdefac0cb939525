"""Lines of a .csv or .tsv in, rows out: dicts by the names in the header, or by number where there is none."""

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from newleaf.text.lines import MAX_LINE_BYTES, Broken, Row, sampled
from newleaf.text.shapes import is_number

SAMPLE_ROWS = 100  # decide whether there is a header
MAX_NAME = 60  # characters of a column's name


def table_rows(lines: Iterator[Row], kind: str, given: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a table as dicts. Without a header the columns are called "1", "2", …, or as they were `given`, the first of them."""
    sample, cells = sampled(cell_rows(lines, kind), SAMPLE_ROWS)
    good = [row.value for row in sample if not isinstance(row.value, Broken)]
    header = not given and has_header(good)
    numbers = [str(index + 1) for index in range(max(map(len, good), default=0))]
    names = named(good[0]) if header else [*given, *numbers[len(given) :]]
    for row in cells:
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
    if "text" in first:
        return True
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
