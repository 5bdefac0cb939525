"""Names from the command line in, paths out: files as they are, folders with all they hold, globs, "-" for stdin.

The order is that of the names, each folder's entries sorted, so it depends on the names alone and not on the file system. Links are
followed (model hubs lay out their folders with them), but each folder is entered once, so that no loop of links can hold us up. What
is hidden (a name with a dot in front) is left out and named; the folders of version control are not the person's text, and not named.
"""

import difflib
import errno
import fnmatch
import glob
import os
import stat
import sysconfig
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
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
        found += [os.path.join(parent, name) for name in sorted(names) if name.endswith(".py")]
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
    path = Path(inputs[0])
    if is_pattern(inputs[0]):
        path = Path(split_pattern(inputs[0])[0])
    elif not os.path.isdir(path):
        path = path.with_suffix("") if path.suffix.lower() == ".gz" else path
        return path.with_suffix("").name.lstrip(".") or "text"
    return (path.name if path.name not in ("", "..") else path.resolve().name).lstrip(".") or "text"


def find(given: str, excluded: Collection[Identity] = ()) -> Iterator[str | Skipped]:
    """The paths of all files that one input stands for, and what was passed over. TextError if there is nothing of that name."""
    if is_pattern(given):
        folder, pattern = split_pattern(given)
        return walk(folder, pattern, excluded)
    require_exists(given)
    return walk(given, (), excluded)


def require_exists(given: str) -> None:
    """TextError, with the nearest name, if `given` does not exist."""
    try:
        os.stat(given)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENOENT:
            raise TextError(f"{shown(given)} cannot be read: {reason(error)}", where=shown(given)) from error
        near = nearest_path(given)
        raise TextError(f"{shown(given)} does not exist", where=shown(given), hint=f"did you mean {near}?" if near else None) from error


def nearest_path(given: str) -> str | None:
    """The existing name that is most like `given`."""
    path = Path(given)
    try:
        names = os.listdir(path.parent)[:10_000]
    except (OSError, ValueError):
        return None
    near = difflib.get_close_matches(path.name, names, n=1)
    return shown(str(path.parent / near[0])) if near else None


def walk(top: str, pattern: Sequence[str], excluded: Collection[Identity]) -> Iterator[str | Skipped]:
    """Every file at or below `top` that the pattern fits, parents before children, names in order."""
    entered: set[Identity] = set()
    waiting: list[tuple[str, ...]] = [()]  # paths from `top`, the next one last
    while waiting:
        parts = waiting.pop()
        path = os.path.join(top, *parts)
        entry = look(path)
        if entry.identity in excluded or not (fits(parts, pattern) if entry.kind != "folder" else may_hold(parts, pattern)):
            continue
        if entry.kind == "file":
            yield path
        elif entry.kind != "folder":
            yield Skipped(shown(path), entry.kind)
        elif entry.problem or entry.identity in entered:
            yield Skipped(shown(path), entry.problem or "a link to a folder that is read already")
        else:
            entered.add(entry.identity)
            names = sorted(entry.names)
            if set(names) >= RUN_FILES:
                yield Skipped(shown(path), "a run of newleaf, not text")
                continue
            hidden = [name for name in names if name.startswith(".")]
            if not pattern:
                yield from (Skipped(shown(os.path.join(path, name)), "hidden") for name in hidden if name not in VERSION_CONTROL)
            waiting += [(*parts, name) for name in reversed(names) if not name.startswith(".")]


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at a path: "file", "folder", or the reason why it is neither."""

    kind: str
    identity: Identity | None = None
    names: Sequence[str] = ()  # of what a folder holds
    problem: str = ""  # why those of a folder cannot be had


def look(path: str) -> Entry:
    """Never opens anything, so that a pipe without a writer cannot hold us up."""
    try:
        status = os.stat(path)
    except OSError as error:
        return Entry(reason(error))
    identity = status.st_dev, status.st_ino
    if not stat.S_ISDIR(status.st_mode):
        return Entry("file" if stat.S_ISREG(status.st_mode) else "not a file but a device or a pipe", identity)
    try:
        return Entry("folder", identity, os.listdir(path))
    except OSError as error:
        return Entry("folder", identity, problem=reason(error))


def identities(paths: Collection[Path]) -> set[Identity]:
    """Of those paths that exist."""
    return {entry.identity for path in paths if (entry := look(os.fspath(path))).identity}


def reason(error: OSError) -> str:
    """A system error in words."""
    return REASONS.get(error.errno or 0, (error.strerror or type(error).__name__).lower())


def shown(path: str) -> str:
    """A path fit to be printed, whatever bytes its name has."""
    return os.fsencode(os.path.normpath(path) if path else "''").decode("utf-8", "backslashreplace")


def is_pattern(given: str) -> bool:
    """Whether a name is a glob; a file that is really called so comes first."""
    return glob.has_magic(given) and not os.path.lexists(given)


def split_pattern(given: str) -> tuple[str, tuple[str, ...]]:
    """The folder where a glob begins, and the rest, part by part.

    >>> split_pattern("poems/tang/**/*.txt"), split_pattern("*.md")
    (('poems/tang', ('**', '*.txt')), ('.', ('*.md',)))
    """
    parts = Path(given).parts
    first = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    return os.path.join(*parts[:first]) if first else ".", parts[first:]


def fits(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a pattern fits a path, or one of the folders on the way to it.

    >>> fits(("a", "b.txt"), ("*", "*.txt")), fits(("a", "b", "c"), ("**", "c")), fits(("a", "c"), ("a",)), fits(("c",), ("**", "d"))
    (True, True, True, False)
    """
    if not pattern:
        return True
    if pattern[0] == "**":
        return fits(parts, pattern[1:]) or (bool(parts) and fits(parts[1:], pattern))
    return bool(parts) and fnmatch.fnmatch(parts[0], pattern[0]) and fits(parts[1:], pattern[1:])


def may_hold(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether there may be a fitting file below a folder."""
    if not parts or not pattern or pattern[0] == "**":
        return True
    return fnmatch.fnmatch(parts[0], pattern[0]) and may_hold(parts[1:], pattern[1:])
