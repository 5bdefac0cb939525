"""Text that changes between two readings (a log that grows): it is left out, and the work begins anew without it."""

from collections.abc import Callable
from typing import TypeVar

from newleaf.errors import TextError
from newleaf.text.read import Corpus

Made = TypeVar("Made")


class Changed(TextError):
    """Text is not what it was when it was surveyed; whatever changed is left out when it is read again."""


def changed(corpus: Corpus) -> TextError:
    """Changed, or TextError if nothing is found that did."""
    corpus.leave_out_changed()
    hint = "start again when the files are at rest"
    if not corpus.changed:
        return TextError("the text changed while it was being read", hint=hint)
    first, *others = corpus.changed
    they = f"{first} and {len(others):,} more changed while they were" if others else f"{first} changed while it was"
    return Changed(f"{they} being read", where=first, hint=hint)


def at_rest(work: Callable[[], Made], tell: Callable[[str, str], None]) -> Made:
    """What `work` makes of the text while no file of it changes."""
    while True:
        try:
            return work()
        except Changed as change:
            tell(f"{change.message}; reading the rest again", f"{change.where} 等在读取过程中被改动：略去，重新读其余的文本")
