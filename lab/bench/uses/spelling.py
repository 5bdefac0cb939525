"""English sentences with letters that are doubled, left out or in the wrong order, and as they should be."""

import random
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from uses import rows
from uses.rows import Part, Row

WRONG = 0.3  # of the words of a sentence get an error
OFTEN = 4  # that a sentence to learn from is spoilt, each time in other places
LONGEST = 120  # characters of a sentence of the stories


def errors(data: Path) -> Iterator[tuple[Part, Row]]:
    """{source, target} of the sentences that have translations."""
    generator = random.Random(0)
    for part, sentence in sentences(data):
        for spoilt in spellings(sentence, OFTEN if part == "train" else 1, generator):
            yield part, {"source": spoilt, "target": sentence}


def pages(data: Path) -> Iterator[str]:
    """Pairs of lines, wrong and right: of what `errors` has to learn from, spoilt anew, and of the stories."""
    generator, known = random.Random(1), list(sentences(data))
    learned = [sentence for part, sentence in known if part == "train"]
    held_out = {sentence for part, sentence in known if part == "val"}
    told = re.split(r"(?<=[.!?])\s+", (data / "tinystories/tinystories.txt").read_text("utf-8"))
    learned += [sentence for sentence in told if len(sentence) <= LONGEST and sentence not in held_out]
    generator.shuffle(learned)
    for sentence in learned:
        yield from (f"{spoilt}\n{sentence}" for spoilt in spellings(sentence, 1, generator))


def sentences(data: Path) -> Iterable[tuple[Part, str]]:
    """Each once."""
    return dict.fromkeys((part, row["en"]) for part, row in rows.pairs(data))


def spellings(sentence: str, times: int, generator: random.Random) -> Iterator[str]:
    """At most so many wrong ones, each once."""
    found = dict.fromkeys(spoil_some(sentence, generator) for _ in range(times))
    yield from (spoilt for spoilt in found if spoilt != sentence)


def spoil_some(sentence: str, generator: random.Random) -> str:
    words = sentence.split(" ")
    return " ".join(spoil(word, generator) if len(word) > 3 and generator.random() < WRONG else word for word in words)


def spoil(word: str, generator: random.Random) -> str:
    place = generator.randrange(len(word) - 1)
    before, two, after = word[:place], word[place : place + 2], word[place + 2 :]
    return before + generator.choice((two[0] * 2 + two[1], two[1], two[::-1])) + after
