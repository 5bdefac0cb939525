"""Tables of English sentences with holes and the same in Chinese; a text in, its Chinese out, or None where no row fits.

A hole is `{word}`, in both languages the same, and what stands in it is carried over as it is: names, numbers, the system's own words.
The few kinds of holes that hold words of ours (`{why}`, `{items}`, …) are translated by the function that is given for their kind; a
digit after the kind tells two holes apart. Where rows compete, the one with more words of its own wins.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache

HOLE = re.compile(r"\{([a-z]+)(\d*)\}")
Kinds = Mapping[str, Callable[[str], str]]


class Table:
    """Rows of one kind of phrase.

    >>> table = Table({"{path} is missing": "缺少 {path}", "{path} is {why}": "{path} {why}"})
    >>> table.find("my file is missing", {}), table.find("it is bad", {"why": lambda why: "坏了"}), table.find("fine", {})
    ('缺少 my file', 'it 坏了', None)
    """

    def __init__(self, rows: Mapping[str, str]) -> None:
        self.rows = sorted(rows.items(), key=lambda row: -num_own_characters(row[0]))

    def find(self, text: str, kinds: Kinds, at_least: int = 1) -> str | None:
        """The Chinese of `text`, by the first row that fits; rows with fewer than `at_least` characters of their own are not asked."""
        for english, chinese in self.rows:
            if num_own_characters(english) < at_least:
                break
            if all(part in text for part in own_parts(english)) and (found := pattern(english).fullmatch(text)):
                return HOLE.sub(lambda hole, found=found: kinds.get(hole[1], str)(found[hole[1] + hole[2]]), chinese)  # type: ignore[misc]
        return None


def own_parts(template: str) -> list[str]:
    """What stands between the holes."""
    return HOLE.split(template)[::3]


def num_own_characters(template: str) -> int:
    return sum(map(len, own_parts(template)))


@cache
def pattern(template: str) -> re.Pattern[str]:
    """As a regular expression; a hole that comes twice must hold the same twice.

    >>> bool(pattern("{name} or {name}").fullmatch("a or a")), bool(pattern("{name} or {name}").fullmatch("a or b"))
    (True, False)
    """
    seen: set[str] = set()

    def group(hole: re.Match[str]) -> str:
        name = hole[1] + hole[2]
        again = name in seen
        seen.add(name)
        return f"(?P={name})" if again else f"(?P<{name}>.*?)"

    pieces, at = [], 0
    for hole in HOLE.finditer(template):
        pieces += [re.escape(template[at : hole.start()]), group(hole)]
        at = hole.end()
    return re.compile("".join(pieces) + re.escape(template[at:]), re.DOTALL)
