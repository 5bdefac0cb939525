"""The forms of Chinese poems: how many characters each clause has."""

import re
from collections import defaultdict
from collections.abc import Iterable

from uses.rows import Row

Form = tuple[int, ...]
CLAUSE = re.compile(r"[^，。？！、；：,\s]+")


def form_of(poem: str) -> Form:
    """
    >>> form_of("山月松篠下，月明山景鮮。")
    (5, 5)
    """
    return tuple(len(clause) for clause in CLAUSE.findall(poem))


class Forms:
    """Those of the poems that a model learned from, by their title."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.known: dict[str, set[Form]] = defaultdict(set)
        for row in rows:
            self.known[row["title"]].add(form_of("\n".join(row["paragraphs"])))

    def keeps(self, title: str, poem: str) -> bool:
        """Whether a poem has a form of its tune; without a known tune, whether it is regular: an even number of clauses, all of 5 or 7."""
        form = form_of(poem)
        regular = len(form) >= 4 and len(form) % 2 == 0 and set(form) in ({5}, {7})
        return regular or form in self.known.get(title, ())
