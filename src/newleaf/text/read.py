"""Files, folders, globs and stdin in, a stream of documents out, in the same order each time it is asked for.

One plain file is one document; of JSON lines, JSON, CSV and TSV each row is one. Only one document is in memory at a time. What
cannot be read is never an error while something else can: it is listed in `skipped`, each file by name, and of the rows of one file
that share a reason the first few. So is a file that changes, comes or vanishes between two readings of a text that is read several times.
"""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from newleaf.errors import TextError
from newleaf.text.decode import NotText, line_feeds, recognise
from newleaf.text.document import CHANGED, Document, Repaired, Skipped
from newleaf.text.files import STDIN, Noted, default_inputs, default_name, find, identities, reason, shown
from newleaf.text.lines import Broken, Row, opened, read_all, sampled
from newleaf.text.rows import kind_of, rows_of
from newleaf.text.shapes import choose_column, columns, named_columns, shaped, text_of, unfolded

__all__ = ["Corpus", "default_inputs", "default_name"]

SAMPLE_ROWS = 100  # of a file decide which column is its text
NAMED_ROWS = 20  # of one file, left out for one reason, are listed one by one
NAMED_REASONS = 3  # are told where there is nothing to learn from

Note = TypeVar("Note")


class Corpus:
    """The documents of some inputs; iterate as often as needed.

    `column` names the text of rows; `stdin` is what "-" stands for; `exclude` are files and folders that are passed over. TextError
    if an input does not exist or holds no file at all and, when iterated, if there is no document or no such column.
    """

    def __init__(
        self, inputs: Sequence[str], column: str | None = None, stdin: bytes | None = None, exclude: Collection[Path] = ()
    ) -> None:
        self.inputs, self.column, self.stdin = [os.fspath(given) for given in inputs], column, stdin
        self.excluded = identities(exclude)
        self.skipped: list[Skipped] = []  # these three are known after an iteration
        self.repaired: list[Repaired] = []
        self.num_files = 0
        self.at = Path()  # the file that is being read
        self.reading = ""  # what that is called, stdin among them
        self.left_out: dict[Path, None] = {}  # because they changed between two readings
        self._noted: Noted | None = None  # the files of the first of them
        self._settled = 0  # of those left out, how many were so by then
        if not self.inputs:
            raise TextError("no text was named", expected='files, folders, globs or "-" for stdin')
        for given in self.inputs:
            if given == STDIN and stdin is None:
                raise TextError('"-" stands for stdin, but nothing was piped in', where=STDIN)
            if given != STDIN and next(find(given, self.excluded), None) is None:
                hint = "what --val or --out names is not read here" if self.excluded else None
                raise TextError(
                    f"{shown(given)} holds no files to read", where=shown(given), expected="at least one file of text", hint=hint
                )

    def __iter__(self) -> Iterator[Document]:
        reading, num_documents, noted = Reading(self.column), 0, Noted()
        for found in self.found():
            if isinstance(found, Path):
                if found in self.left_out:
                    continue
                self.at, self.reading = found, shown(found)
                if self._noted is None:
                    noted.add(found)
            elif isinstance(found, bytes):
                self.reading = "stdin"
            for document in reading.documents(found):
                num_documents += 1
                yield document
        self._noted = self._noted or noted
        self.skipped = reading.skipped + [Skipped(shown(path), CHANGED) for path in self.left_out]
        self.repaired, self.num_files = reading.repaired, reading.num_files
        reading.require_column(self.inputs)
        if not num_documents:
            raise TextError(
                f"no text to learn from in {named_columns(list(map(shown, self.inputs)))}{listed(self.skipped)}",
                where=shown(self.inputs[0]),
            )

    def found(self) -> Iterator[Path | bytes | Skipped]:
        """The paths of all files, the bytes of stdin, and what was passed over on the way."""
        for given in self.inputs:
            if given == STDIN:
                yield self.stdin or b""
                continue
            try:
                paths = find(given, self.excluded)
            except TextError:  # it was there when it was named
                paths = iter([Skipped(shown(given), CHANGED)] if Path(given) not in self.left_out else [])
            yield from paths

    def settle(self) -> None:
        """Take the files as the next iteration finds them: later ones must find the same."""
        self._noted, self._settled = None, len(self.left_out)

    def leave_out_changed(self) -> bool:
        """Leave out of further iterations what is not as that one found it. Whether there was any."""
        before = len(self.left_out)
        self.left_out |= dict.fromkeys(self._noted.changed() if self._noted else ())
        return len(self.left_out) > before

    @property
    def changed(self) -> list[str]:
        """What is left out since the files were settled."""
        return [shown(path) for path in self.left_out][self._settled :]


def listed(skipped: Sequence[Skipped]) -> str:
    """The first few reasons, to stand after a sentence."""
    more = sum(each.count for each in skipped) - NAMED_REASONS
    reasons = [f"{each.source}: {each.reason}" for each in skipped[:NAMED_REASONS]] + [f"and {more:,} more"] * (more > 0)
    return f" ({'; '.join(reasons)})" if skipped else ""


class Notes(Generic[Note]):
    """What there is to say about the rows of one file: of those that say the same, the first few one by one, the others counted."""

    def __init__(self, name: str, note: Callable[[str, str, int], Note]) -> None:
        self.name, self.note = name, note
        self.first: list[Note] = []
        self.counts: Counter[str] = Counter()

    def add(self, number: int, words: str) -> None:
        """A note on a row; no words, no note."""
        if words:
            self.counts[words] += 1
            if self.counts[words] <= NAMED_ROWS:
                self.first.append(self.note(f"{self.name}:{number}", words, 1))

    def listed(self) -> list[Note]:
        """All notes."""
        more = ((words, count - NAMED_ROWS) for words, count in self.counts.items() if count > NAMED_ROWS)
        return self.first + [self.note(f"{self.name}: more rows", words, count) for words, count in more]


class Reading:
    """One pass over the files, and what it leaves out."""

    def __init__(self, column: str | None) -> None:
        self.column = column
        self.num_files = 0
        self.skipped: list[Skipped] = []
        self.repaired: list[Repaired] = []
        self.found_column = False
        self.other_columns: dict[str, None] = {}  # in the order of their appearance

    def documents(self, found: Path | bytes | Skipped) -> Iterator[Document]:
        """Of one file or of stdin; what goes wrong becomes a line in `skipped`."""
        if isinstance(found, Skipped):
            self.skipped.append(found)
            return
        self.num_files += 1
        name, count = "stdin" if isinstance(found, bytes) else shown(found), 0
        try:
            for document in self.whole(found, name) if isinstance(found, bytes) or not kind_of(found) else self.rows(found, name):
                count += 1
                yield document
        except (NotText, OSError, MemoryError, RecursionError) as error:
            self.skipped.append(Skipped(name, said(error) + (f": the {count:,} rows before are used" if count else "")))

    def whole(self, found: Path | bytes, name: str) -> Iterator[Document]:
        """A file that is one document."""
        decoded = recognise(found if isinstance(found, bytes) else read_whole(found))
        if not decoded.text or decoded.text.isspace():
            raise NotText("nothing but white space" if decoded.text else "empty")
        if decoded.repair:
            self.repaired.append(Repaired(name, decoded.repair))
        yield Document(decoded.text, name)

    def rows(self, path: Path, name: str) -> Iterator[Document]:
        """A file in which each row is a document."""
        sample, rows = sampled(rows_of(path, partial(unfolded, column=self.column)), SAMPLE_ROWS)
        column = self.choose([row.value for row in sample if isinstance(row.value, dict)])
        skipped, repaired, num_read = Notes(name, Skipped), Notes(name, Repaired), 0
        try:
            for row in rows:
                text = self.text(row, column)
                if isinstance(text, Broken):
                    skipped.add(row.number, text.reason)
                    continue
                repaired.add(row.number, row.repair)
                num_read += 1
                yield Document(text, f"{name}:{row.number}")
        finally:
            self.skipped += skipped.listed()
            self.repaired += repaired.listed()
        if not num_read and not skipped.listed():
            raise NotText("empty")

    def choose(self, sample: Sequence[dict[str, Any]]) -> str | None:
        """The column to read where a row has none of the known shapes. NotText if there is none and it would be needed."""
        names = columns(sample)
        self.other_columns |= dict.fromkeys(names)
        if self.column is not None:
            return self.column
        unknown = [row for row in sample if shaped(row) is None]
        column = choose_column(unknown)
        if column is None and names and len(unknown) == len(sample):
            raise NotText(f"no text column: name one of {named_columns(names)} with --column")
        return column

    def text(self, row: Row, column: str | None) -> str | Broken:
        """The document in a row, or why there is none."""
        value = row.value
        if isinstance(value, Broken):
            return value
        if isinstance(value, dict):
            known = shaped(value) if self.column is None else None
            if known is None and column not in value:
                return Broken(f"no column {column!r}" if column else "no text column")
            self.found_column = True
            value = known if known is not None else value[column]
        text = line_feeds(text_of(value))
        if not text or text.isspace():
            return Broken("nothing but white space" if text else "no text in it")
        try:
            text.encode()
        except UnicodeEncodeError:
            return Broken("half of a surrogate pair in it, which is no character")
        return text

    def require_column(self, inputs: Sequence[str]) -> None:
        """TextError, with the nearest name, if --column was nowhere."""
        if self.column is None or self.found_column:
            return
        near = get_close_matches(self.column, self.other_columns, n=1)
        names = named_columns(list(self.other_columns))
        raise TextError(
            f"there is no column {self.column!r} in {named_columns(list(map(shown, inputs)))}",
            where="--column",
            expected=f"one of {names}" if names else "rows with columns: .jsonl, .json, .csv or .tsv",
            hint=f"did you mean {near[0]!r}?" if near else None,
        )


def read_whole(path: Path) -> bytes:
    """All bytes of a file, unpacked; NotText early if its beginning shows that it is none."""
    with opened(path) as file:
        head = file.peek()
        if b"\0" in head:
            recognise(head)
        return read_all(file)


def said(error: BaseException) -> str:
    """Why a file could not be read."""
    if isinstance(error, NotText):
        return str(error)
    if isinstance(error, RecursionError):
        return "nested too deeply"
    return reason(error) if isinstance(error, OSError) else "too large for the memory of this machine"
