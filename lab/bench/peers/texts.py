"""Four texts in, each cut once into train.txt and val.txt, which all tools read.

The last tenth is held out: at a character, of the stories at a story's border. The standard library is that of the running Python; its
files, sorted by path and shuffled, go to one side or the other, each different content once.
"""

import os
import random
import re
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from newleaf.text.files import default_inputs

STORY_BORDER = re.compile(r"(?<!\n)\n(?!\n)")  # a blank line is a paragraph's


class RaceError(Exception):
    """A sentence for whoever started the race."""


@dataclass(frozen=True)
class Text:
    """One text, written to the work folder. `num_bytes` are val.txt's: what bits are divided by."""

    name: str
    folder: Path

    @property
    def train(self) -> Path:
        return self.folder / "train.txt"

    @property
    def val(self) -> Path:
        return self.folder / "val.txt"

    @property
    def num_bytes(self) -> int:
        return self.val.stat().st_size


def at_character(text: str) -> tuple[str, str]:
    """The first nine tenths of the characters and the rest, as nanoGPT's prepare.py cuts.

    >>> at_character("0123456789")
    ('012345678', '9')
    """
    place = int(len(text) * 0.9)
    return text[:place], text[place:]


def at_story(text: str) -> tuple[str, str]:
    r"""The same, at the first border of two stories from there on.

    >>> at_story("one\n\nmore\ntwo\n" * 3)
    ('one\n\nmore\ntwo\none\n\nmore\ntwo\none\n\nmore\n', 'two\n')
    """
    border = STORY_BORDER.search(text, int(len(text) * 0.9))
    return at_character(text) if border is None else (text[: border.end()], text[border.end() :])


def library() -> tuple[str, str]:
    """The source of the standard library: nine tenths of its files, and the others."""
    top = sysconfig.get_path("stdlib")
    paths = sorted(default_inputs(), key=lambda path: os.path.relpath(path, top))
    files = list(dict.fromkeys(source for path in paths if (source := Path(path).read_text("utf-8")).strip()))
    random.Random(0).shuffle(files)
    place = int(len(files) * 0.9)
    return "\n".join(files[:place]), "\n".join(files[place:])


def one_file(name: str, cut: Callable[[str], tuple[str, str]], data: Path) -> tuple[str, str]:
    """A file of NEWLEAF_DATA, cut in two."""
    path = data / name
    if not path.exists():
        raise RaceError(f"NEWLEAF_DATA has no {name}.")
    return cut(path.read_text("utf-8"))


TEXTS: dict[str, Callable[[Path], tuple[str, str]]] = {
    "tinyshakespeare": partial(one_file, "tinyshakespeare/input.txt", at_character),
    "shuihuzhuan": partial(one_file, "zh-classic-novels/水浒传.txt", at_character),
    "tinystories": partial(one_file, "tinystories/tinystories.txt", at_story),
    "stdlib": lambda data: library(),
}
PAIR = ("tinyshakespeare", "stdlib")  # the settings are searched on these, and half an hour is trained on them


def data_folder() -> Path:
    """NEWLEAF_DATA. RaceError where it is not set."""
    if not (folder := os.environ.get("NEWLEAF_DATA")):
        raise RaceError("The race is skipped: NEWLEAF_DATA does not name the folder of its texts (see CONTRIBUTING.md).")
    return Path(folder)


def prepared(name: str, work: Path) -> Text:
    """The two files of a text, written if they are not there."""
    text = Text(name, work / "texts" / name)
    if not text.val.exists():
        train, val = TEXTS[name](data_folder())
        text.folder.mkdir(parents=True, exist_ok=True)
        text.train.write_text(train, "utf-8", newline="")
        text.val.write_text(val, "utf-8", newline="")
    return text
