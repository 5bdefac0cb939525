"""Every error that a user can cause, as one tree.

An error is a sentence to a friend: what happened, where, what was expected, what to do next. The command line prints it as
one line on stderr and leaves with `exit_code`; `--json` prints its four parts. Bugs of our own stay ordinary exceptions.

    NewleafError
    ├── UsageError          a flag, a budget, a combination that cannot be
    │   └── SettingError    an unknown or impossible setting, with the nearest name
    ├── TextError           nothing to learn from, or text that cannot be encoded
    ├── ShardError          token files that are cut or changed
    ├── ModelError          a model that is missing, damaged or not supported
    ├── RunError            a run directory that is not what the command needs
    │   └── LockedError     another process is writing it
    ├── CheckpointError     no checkpoint left that can be trusted
    ├── DiskFullError       exit 1: the old files stay
    ├── OutOfMemoryError    exit 1: not even the smallest piece of work fits
    ├── DivergedError       exit 1: NaN or infinity, and two tries were not enough
    └── Interrupted         exit 130 or 143, after everything was saved
"""

from typing import Any


class NewleafError(Exception):
    """A sentence for the person at the keyboard.

    >>> error = NewleafError("poems.txt has 12 bytes of text", expected="at least 2,000", hint="add more text")
    >>> str(error)
    'poems.txt has 12 bytes of text (expected at least 2,000); add more text.'
    """

    exit_code = 2

    def __init__(self, message: str, *, where: str | None = None, expected: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.where, self.expected, self.hint = message.rstrip("."), where, expected, hint
        self.found: dict[str, Any] | None = None  # what --json prints in the error's place: the command has a result all the same

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where and self.where not in self.message else ""
        expected = f" (expected {self.expected})" if self.expected else ""
        hint = f"; {self.hint.rstrip('.')}" if self.hint else ""
        sentence = one_line(f"{place}{self.message}{expected}{hint}")
        return sentence if sentence.endswith("?") else f"{sentence}."

    def as_json(self) -> dict[str, str | None]:
        """The parts, for machines: `{type, message, where, expected, hint}`."""
        return {"type": type(self).__name__, "message": str(self), "where": self.where, "expected": self.expected, "hint": self.hint}


def one_line(text: str) -> str:
    r"""Whatever a name in it holds: the last line of stderr is the sentence.

    >>> one_line("two\n  lines: 'a  b'")
    "two lines: 'a  b'"
    """
    return " ".join(line.strip() for line in text.splitlines() if line.strip())


class UsageError(NewleafError):
    """A flag, an argument or a combination of them that cannot be carried out."""


class SettingError(UsageError):
    """An unknown or impossible setting."""


class TextError(NewleafError):
    """Text that is missing, too short, or cannot be encoded."""


class ShardError(NewleafError):
    """A token file that is cut, changed or of another make."""


class ModelError(NewleafError):
    """A model that is missing, damaged or not supported."""


class RunError(NewleafError):
    """A run directory that is not in the state that the command needs."""


class LockedError(RunError):
    """Another process is writing this run directory."""


class CheckpointError(NewleafError):
    """No checkpoint is left that can be trusted."""


class DiskFullError(NewleafError):
    """The disk had no room; what was there before is untouched."""

    exit_code = 1


class OutOfMemoryError(NewleafError):
    """Memory did not suffice for the smallest piece of work: one row, one window."""

    exit_code = 1


class DivergedError(NewleafError):
    """The loss became NaN or infinite, again after going back twice."""

    exit_code = 1


class Interrupted(NewleafError):
    """A signal asked for the end; everything is saved. Exit 128 + signal: 130 for INT, 143 for TERM, HUP and USR1."""

    def __init__(self, message: str, *, exit_code: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code
