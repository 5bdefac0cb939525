"""A file in, its lines out, decoded; unpacked first if its name ends in .gz.

Sizes have limits, because a file from elsewhere may have been made to exhaust us: gzip may not unpack to more than 200 times its
size, and a line may not be longer than 32 MB.
"""

import gzip
import io
import itertools
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newleaf.text.decode import NotText, recognise

MAX_RATIO, SMALL_BYTES = 200, 4 << 20  # of gzip: below the second number the first does not matter
MAX_LINE_BYTES = 32 << 20
HEAD_BYTES = 1 << 20  # of a file decide about its encoding


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
                file.read(1)  # a packed file that is cut at a line end says so only to who asks for more
                return
            if line == b"\n" and skip_blank:
                continue
            if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                while line and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES)
                yield Row(number, Broken(f"a line of more than {MAX_LINE_BYTES >> 20} MB"))
            else:
                yield decoded_line(number, line.removesuffix(b"\n").removesuffix(b"\r"), encoding)


def sampled(rows: Iterator[Row], count: int) -> tuple[list[Row], Iterator[Row]]:
    """(the first rows, all rows): a file that breaks off among the first ones still gives those before, and says so behind them."""
    some, broken = list[Row](), list[NotText]()
    try:
        some.extend(itertools.islice(rows, count))
    except NotText as error:
        broken.append(error)

    def everything() -> Iterator[Row]:
        yield from some
        if broken:
            raise broken[0]
        yield from rows

    return some, everything()


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
