"""The run directory: where everything of one model lives, and the lock of the one process that may write it.

Readers take no lock: files at the top change by rename. The lock is the operating system's, so a killed writer leaves none
behind; beside it stands the owner's name, for the sentence that refuses a second writer.
"""

import json
import os
import platform
import shlex
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newleaf import fsio
from newleaf.errors import Interrupted, LockedError, RunError


@dataclass(frozen=True)
class Run:
    """The files of one run, by name."""

    path: Path

    @property
    def plan(self) -> Path:
        return self.path / "newleaf.toml"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def clock(self) -> Path:
        return self.path / "clock.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def manifest(self) -> Path:
        return self.data / "manifest.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def adapter(self) -> Path:
        """What was learned beside a frozen model, in peft's files."""
        return self.path / "adapter"

    @property
    def reference(self) -> Path:
        """What the model before found likely of the answers that it learns to prefer."""
        return self.data / "reference.safetensors"

    @property
    def owner(self) -> Path:
        return self.path / ".owner.json"

    @property
    def sums(self) -> Path:
        """Size and sha256 of the files at the top, while no process trains."""
        return self.path / ".sums.json"

    @property
    def asked(self) -> Path:
        """What a new run was asked for, until its plan says so."""
        return self.path / ".asked.json"

    @property
    def begun(self) -> bool:
        """Whether training can go on here: the text is prepared and the plan is written."""
        return self.plan.exists() and self.manifest.exists()

    def read_summary(self) -> dict[str, Any]:
        """summary.json, or {} where there is none yet."""
        return read_json(self.summary) if self.summary.exists() else {}

    def require_ours(self) -> None:
        """RunError if the directory holds something else than a run or a plan: nothing of the user's is ever overwritten."""
        names = self.names()
        if not (self.plan.exists() and (self.begun or self.checkpoints.exists() or self.model.exists())):
            self.require_only(UNFINISHED if self.asked.name in names else UNTOUCHED, names)

    def names(self) -> set[str]:
        """Of what stands in the directory, in one look: another process may be at work there. RunError where it is a file."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file", where=str(self.path), expected="a directory for the run", hint="choose another --out")
        try:
            return {path.name for path in self.path.iterdir()}
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def require_only(self, ours: Collection[str], names: Collection[str]) -> None:
        """RunError for names that are none of `ours`, unless another process holds the directory: its lock will refuse, and name it."""
        foreign = sorted(name for name in names if name not in ours and not name.startswith(fsio.TEMPORARY))
        if foreign and not self._held():
            raise RunError(
                f"{self.path} holds something that is no run of newleaf ({', '.join(foreign[:3])})",
                where=str(self.path),
                expected="an empty or new directory",
                hint="choose another --out",
            )

    @contextmanager
    def writing(self, worth: Path | None = None) -> Iterator[None]:
        """Hold the run as its only writer; LockedError, naming the owner, if another process does. A new directory in which `worth`, the
        plan by default, was not yet written goes again with an error."""
        from filelock import FileLock, Timeout

        created, stopped = not self.path.exists(), False
        lock = FileLock(self.path / ".lock")
        try:
            fsio.make_folders(self.path)
            lock.acquire(timeout=0)
        except Timeout:
            raise LockedError(
                f"{self.path} is being written by {self._name_of_owner()}",
                where=str(self.path),
                hint="wait for it, or choose another --out",
            ) from None
        except OSError as error:
            raise RunError(f"{self.path} cannot be written: {error.strerror}", where=str(self.path), hint="choose another --out") from error
        try:
            fsio.write_json(self.owner, {"pid": os.getpid(), "host": platform.node()})
            for folder in (self.path, self.data, self.checkpoints):
                fsio.remove_leftovers(folder)
            yield
        except (KeyboardInterrupt, Interrupted):
            stopped = True
            raise
        finally:
            fsio.remove_tree(self.owner)
            if created and not stopped and not (worth or self.plan).exists():  # it came to nothing: leave nothing
                fsio.remove_tree(self.path)
            lock.release()

    def _held(self) -> bool:
        """Whether a process has the lock now; the name of an owner may be left behind by one that was killed."""
        from filelock import FileLock, Timeout

        if not (self.path / ".lock").exists():
            return False
        try:
            with FileLock(self.path / ".lock", timeout=0):
                return False
        except (Timeout, OSError):
            return True

    def _name_of_owner(self) -> str:
        for _ in range(20):  # the owner writes its name right after it takes the lock
            try:
                owner = read_json(self.owner)
            except (OSError, RunError):
                time.sleep(0.02)
                continue
            if alive(owner.get("pid"), owner.get("host")):
                return f"process {owner.get('pid')} on {owner.get('host')}"
            time.sleep(0.02)
        return "another process"


UNTOUCHED = frozenset({".lock", ".owner.json", "newleaf.toml"})  # what a plan, or a run that was refused, leaves
UNFINISHED = UNTOUCHED | {".asked.json", "clock.jsonl", "data", "tokenizer.json", "tokenizer_config.json"}  # … or one killed before step 0


def alive(pid: object, host: object) -> bool:
    """Whether the named owner can still be there: a name left behind by a killed process is not the owner's."""
    if not isinstance(pid, int):
        return False
    if host != platform.node() or os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def in_shell(path: str | os.PathLike[str]) -> str:
    r"""A path as one word of a command to type, always on one line.

    >>> in_shell("runs/poems"), in_shell("my poems"), in_shell("it's\n")
    ('runs/poems', "'my poems'", "$'it\\'s\\x0a'")
    """
    text = os.fspath(path)
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(f"\\{c}" if c in "\\'" else c if c.isprintable() else escaped(c) for c in text) + "'"


def escaped(character: str) -> str:
    """Its bytes, as a shell reads them between $' and '."""
    errors = "surrogateescape" if "\udc80" <= character <= "\udcff" else "surrogatepass"  # the first stand for bytes of a file's name
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", errors))


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of the run; RunError in one sentence if it is damaged."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}", where=str(path), hint="run newleaf verify on the directory") from None
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged", where=str(path), expected="a JSON object", hint="run newleaf verify on the directory")
    return value


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole JSON lines of a log; a last line that was cut off is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_bytes().split(b"\n"):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def rewrite_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """Replace a log by `rows`, whole."""
    fsio.write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
