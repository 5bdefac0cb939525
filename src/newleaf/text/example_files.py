"""Files in, the examples in them out, in the order in which they stand there; what is none is named with its file and line."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from newleaf.errors import TextError
from newleaf.text.decode import NotText
from newleaf.text.document import Skipped
from newleaf.text.examples import Columns, Example, NoExample, Row, poem, questions
from newleaf.text.files import find, shown
from newleaf.text.lines import Broken
from newleaf.text.read import Notes, listed, said
from newleaf.text.rows import rows_of

Read = Callable[[Row, Columns], tuple[str, Example]]  # a row -> (the name of its shape, the example)


@dataclass
class ExampleFiles:
    """Iterate once: `skipped` is known then. TextError where there is no file, no example, or a file that mixes shapes."""

    inputs: Sequence[str]
    columns: Columns
    names: Sequence[str]  # of the columns of a table without a header
    read: Read
    skipped: list[Skipped] = field(default_factory=list)
    num_files: int = 0

    def __iter__(self) -> Iterator[Example]:
        found = False
        for given in self.inputs:
            for path in find(given):
                if isinstance(path, Skipped):
                    self.skipped.append(path)
                    continue
                self.num_files += 1
                for example in self._rows(path, shown(path)):
                    found = True
                    yield example
        if not found:
            names = ", ".join(map(shown, self.inputs))
            raise TextError(f"no example to learn from in {names}{listed(self.skipped)}", where=shown(self.inputs[0]))

    def _rows(self, path: Path, name: str) -> Iterator[Example]:
        notes, first, count = Notes(name, Skipped), ("", 0), 0
        try:
            for row in rows_of(path, questions, self.names):
                try:
                    shape, example = self._example(row.value)
                except NoExample as why:
                    notes.add(row.number, str(why))
                    continue
                if not first[0]:
                    first = shape, row.number
                if shape != first[0]:
                    raise TextError(
                        f"{name}:{row.number} has the columns {shape}, but {name}:{first[1]} has {first[0]}",
                        where=f"{name}:{row.number}",
                        expected="one shape in a file",
                        hint="make a file of each, and name both",
                    )
                count += 1
                yield replace(example, source=f"{name}:{row.number}")
            if not count and not notes.counts:
                raise NotText("empty")
        except (NotText, OSError, MemoryError, RecursionError) as error:
            self.skipped.append(Skipped(name, said(error) + (f": the {count:,} rows before are used" if count else "")))
        finally:
            self.skipped += notes.listed()

    def _example(self, value: Any) -> tuple[str, Example]:
        if isinstance(value, Broken):
            raise NoExample(value.reason)
        if not isinstance(value, dict):
            raise NoExample("no object with columns")
        shape, example = self.read(poem(value), self.columns)
        try:
            json.dumps(asdict(example), ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise NoExample("half of a surrogate pair in it, which is no character") from None
        return shape, example
