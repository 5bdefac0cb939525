"""What several sections are made of: headings, lists of figures, thinned rows, warnings."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from newleaf.conversion.facts import Row, RunFacts
from newleaf.conversion.wording import Words, count, size
from newleaf.evaluation.report.markup import Content, Html, tag
from newleaf.runs import in_shell

Figure = tuple[Words, str | Words | None]


@dataclass(frozen=True)
class Advice:
    """One warning."""

    key: str
    title: Words
    why: Words
    change: Words


def section(key: str, title: Words, *content: Content) -> Html:
    """A section with its heading."""
    return tag("section", tag("h2", title), content, id=key)


def figures(rows: Iterable[Figure]) -> Html:
    """Names and values; those without a value are left out."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in rows if value is not None], class_="grid")


def counted(value: float | None) -> str | None:
    """A count, where there is one."""
    return None if value is None else count(value)


def sized(value: float | None) -> str | None:
    """A size, where there is one."""
    return None if value is None else size(value)


def thinned(rows: Sequence[Row], at_most: int) -> list[Row]:
    """Evenly spaced rows, the first and the last among them.

    >>> [row["step"] for row in thinned([{"step": step} for step in range(10)], 4)]
    [0, 3, 6, 9]
    """
    if len(rows) <= at_most:
        return list(rows)
    return [rows[round(index * (len(rows) - 1) / (at_most - 1))] for index in range(at_most)]


def quoted(facts: RunFacts) -> str:
    """The run as a shell takes it."""
    return in_shell(facts.path or facts.name)
