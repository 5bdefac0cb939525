"""Names from the command line in, paths out: files as they are, folders with all they hold, globs, "-" for stdin.

The order is that of the names, each folder's entries sorted, so it depends on the names alone and not on the file system. Links are
followed (model hubs lay out their folders with them), but each folder is entered once, so that no loop of links can hold us up. What
is hidden (a name with a dot in front) is left out and named; the folders of version control are not the person's text, and not named.
"""

import difflib
import errno
import glob
import os
import stat
import sysconfig
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from newleaf.errors import TextError
from newleaf.text.document import Skipped

STDIN = "-"
VERSION_CONTROL = {".git", ".hg", ".svn", ".bzr"}
RUN_FILES = {"newleaf.toml", "data"}  # a folder that holds both is a run of ours
NOT_SOURCE = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
REASONS = {
    errno.EACCES: "no permission to read it",
    errno.EPERM: "no permission to read it",
    errno.ENOENT: "a link to nothing",
    errno.ELOOP: "a link to itself",
    errno.ENAMETOOLONG: "a path too long for this system",
}
Identity = tuple[int, int]  # device and inode: one and the same file under all its names


def default_inputs() -> list[str]:
    """The source of this machine's Python standard library, without its tests: what is learned from where nothing is named."""
    folder = sysconfig.get_path("stdlib")
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - NOT_SOURCE)
        found += [str(Path(parent, name)) for name in sorted(names) if name.endswith(".py")]
    if not found:
        raise TextError(f"the Python standard library has no source files in {folder}", where=folder, hint="name a text of your own")
    return found


def default_name(inputs: Sequence[str]) -> str:
    """What a run on these inputs is called.

    >>> default_name(["texts/poems.txt.gz", "more.txt"]), default_name(["poems/*.txt"]), default_name(["-"]), default_name([])
    ('poems', 'poems', 'stdin', 'python')
    """
    if not inputs:
        return "python"
    if inputs[0] == STDIN:
        return "stdin"
    path = split_pattern(inputs[0])[0] if is_pattern(inputs[0]) else Path(inputs[0])
    if not is_pattern(inputs[0]) and look(path).kind != "folder":
        path = path.with_suffix("") if path.suffix.lower() == ".gz" else path
        path = path.with_suffix("")
    return (path.name if path.name not in ("", "..") else path.resolve().name).lstrip(".") or "text"


def find(given: str, excluded: Collection[Identity] = ()) -> Iterator[Path | Skipped]:
    """The paths of all files that one input stands for, and what was passed over. TextError if there is nothing of that name."""
    if is_pattern(given):
        return walk(*split_pattern(given), excluded)
    require_exists(given)
    return walk(Path(given), (), excluded)


def require_exists(given: str) -> None:
    """TextError, with the nearest name, if `given` does not exist."""
    try:
        Path(given or "\0").stat()  # Path("") would be the current folder
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENOENT:
            raise TextError(f"{shown(given)} cannot be read: {reason(error)}", where=shown(given)) from error
        near = nearest_path(Path(given))
        name = shown(given) or "a file without a name"
        raise TextError(f"{name} does not exist", where=name, hint=near and f"did you mean {near}?") from error


def nearest_path(missing: Path) -> str | None:
    """The existing name that is most like one that does not exist."""
    near = difflib.get_close_matches(missing.name, look(missing.parent).names, n=1)
    return shown(missing.with_name(near[0])) if near else None


def walk(top: Path, pattern: Sequence[str], excluded: Collection[Identity]) -> Iterator[Path | Skipped]:
    """Every file at or below `top` that the pattern fits, names in order, each folder where its name stands."""
    entered: set[Identity | None] = set()
    waiting: list[tuple[str, ...]] = [()]  # paths from `top`, the next one last
    while waiting:
        parts = waiting.pop()
        path = top.joinpath(*parts)
        entry = look(path)
        if entry.identity in excluded or not (may_hold if entry.kind == "folder" else fits)(parts, pattern):
            continue
        if entry.kind == "file":
            yield path
        elif problem := entry.problem or ("a link to a folder that is read already" if entry.identity in entered else ""):
            yield Skipped(shown(path), problem)
        else:
            entered.add(entry.identity)
            if not pattern:
                hidden = (name for name in entry.names if name.startswith(".") and name not in VERSION_CONTROL)
                yield from (Skipped(shown(path / name), "hidden") for name in hidden)
            waiting += [(*parts, name) for name in reversed(entry.names) if not name.startswith(".")]


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at a path."""

    kind: str  # "file", "folder" or "other"
    identity: Identity | None = None
    names: Sequence[str] = ()  # of what a folder holds, in order
    problem: str = ""  # why it is no file, or no folder to enter


def look(path: Path) -> Entry:
    """Never opens a file, so that a pipe without a writer cannot hold us up."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        return Entry("other", problem=reason(error))
    identity = status.st_dev, status.st_ino
    if stat.S_ISREG(status.st_mode):
        return Entry("file", identity)
    if not stat.S_ISDIR(status.st_mode):
        return Entry("other", identity, problem="a device or a pipe, not a file")
    try:
        names = sorted(child.name for child in path.iterdir())
    except OSError as error:
        return Entry("folder", identity, problem=reason(error))
    return Entry("folder", identity, names, "a run of newleaf, not text" if set(names) >= RUN_FILES else "")


class Noted:
    """The files of a reading, each with what changes when the file does. Packed to some 20 bytes each: there may be a million."""

    def __init__(self) -> None:
        self._packer, self._packed = zlib.compressobj(), bytearray()

    def add(self, path: Path) -> None:
        """Before it is read: a change during the reading is one, too."""
        self._packed += self._packer.compress(os.fsencode(path) + b"\0" + stamp(path) + b"\0")

    def changed(self) -> list[Path]:
        """Those that are no longer as they were, or no longer there."""
        fields = zlib.decompress(self._packed + self._packer.copy().flush()).split(b"\0")
        noted = ((Path(os.fsdecode(name)), was) for name, was in zip(fields[::2], fields[1::2], strict=False))
        return [path for path, was in noted if stamp(path) != was]


def stamp(path: Path) -> bytes:
    """Size, time of the last change and the like, in digits."""
    try:
        status = path.stat()
    except OSError:
        return b"gone"
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ino} {status.st_mode}".encode()


def identities(paths: Collection[Path]) -> set[Identity]:
    """Of those paths that exist."""
    return {identity for path in paths if (identity := look(path).identity)}


def reason(error: Exception) -> str:
    """A system error in words."""
    number = error.errno if isinstance(error, OSError) else None
    return REASONS.get(number or 0) or (os.strerror(number).lower() if number else str(error))


def shown(path: Path | str) -> str:
    """A path fit to be printed, whatever bytes its name has."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def is_pattern(given: str) -> bool:
    """Whether a name is a glob; a file that is really called so comes first."""
    return glob.has_magic(given) and not os.path.lexists(given)


def split_pattern(given: str) -> tuple[Path, tuple[str, ...]]:
    """The folder where a glob begins, and the rest, part by part.

    >>> folder, pattern = split_pattern("poems/tang/**/*.txt")
    >>> folder.name, pattern
    ('tang', ('**', '*.txt'))
    """
    parts = Path(given).parts
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first]), parts[first:]


def fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a pattern fits a path, or one of the folders on the way to it.

    >>> fits(("a", "b.txt"), ("*", "*.txt")), fits(("a", "b", "c"), ("**", "c")), fits(("a", "c"), ("a",)), fits(("c",), ("**", "d"))
    (True, True, True, False)
    """
    if not pattern:
        return True
    if pattern[0] == "**":
        return fits(parts, pattern[1:]) or (bool(parts) and fits(parts[1:], pattern))
    return bool(parts) and fnmatch(parts[0], pattern[0]) and fits(parts[1:], pattern[1:])


def may_hold(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether there may be a fitting file below a folder."""
    if not parts or not pattern or pattern[0] == "**":
        return True
    return fnmatch(parts[0], pattern[0]) and may_hold(parts[1:], pattern[1:])
