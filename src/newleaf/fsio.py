"""The only module that writes files: temporary name, fsync, rename, fsync of the folder; sha256 on the way.

A reader therefore sees the old file or the new one, never half of one, whatever happens to the process or the power. A lint
test forbids every other way to write. All system calls go through `disk`, so that a test can record, reorder or break them.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from newleaf.errors import DiskFullError

Buffer = bytes | bytearray | memoryview
TEMPORARY = ".tmp-"  # names that begin so are never read, and removed by the next writer of the run
RETIRED = ".old-"  # what steps aside while its successor takes its name


class Disk:
    """The system calls, one method each: the seam at which tests record operations or make them fail."""

    def create(self, path: Path) -> int:
        """A new empty file, open for writing; it must not be a link."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o666)

    def append(self, path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o666)

    def write(self, handle: int, data: Buffer) -> int:
        return os.write(handle, data)

    def sync(self, handle: int) -> None:
        os.fsync(handle)

    def close(self, handle: int) -> None:
        os.close(handle)

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)

    def remove(self, path: Path) -> None:
        path.unlink()

    def make_folder(self, path: Path) -> None:
        """Nobody else's to read: a run holds the person's text."""
        path.mkdir(mode=0o700)

    def remove_folder(self, path: Path) -> None:
        path.rmdir()

    def sync_folder(self, path: Path) -> None:
        """Make the names in a folder durable. POSIX only: Windows has no handle for folders and needs none."""
        if os.name != "posix":
            return
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


disk = Disk()


class Writer:
    """An open file that counts and hashes what goes in."""

    def __init__(self, path: Path, append: bool = False) -> None:
        self.path, self.size, self._hash = path, 0, hashlib.sha256()
        self._handle = disk.append(path) if append else disk.create(path)

    def write(self, data: Buffer) -> None:
        """All of `data`, however often the system takes only a part of it."""
        view = memoryview(data).cast("B") if len(memoryview(data)) else memoryview(b"")
        self._hash.update(view)
        self.size += len(view)
        while view:
            view = view[disk.write(self._handle, view) :]

    def sync(self) -> None:
        disk.sync(self._handle)

    def close(self) -> None:
        disk.close(self._handle)

    @property
    def sha256(self) -> str:
        """Of everything written through this object."""
        return self._hash.hexdigest()


@contextmanager
def named_errors(path: Path, needed: int | None = None) -> Iterator[None]:
    """A full disk becomes one sentence that says how much room was needed and how much there is; other errors name the file."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            error.filename = error.filename or str(path)  # what is done to an open file comes back without its name
            raise
        raise disk_full(path, needed) from error


def disk_full(path: Path, needed: int | None) -> DiskFullError:
    """The sentence for a disk without room at `path`."""
    free = free_bytes(path)
    wanted = f"{needed:,} bytes needed, {free:,} free" if needed is not None else f"{free:,} bytes free"
    return DiskFullError(
        f"no room left to write {path} ({wanted})", where=str(path), hint="what was saved before is intact: free some space, then resume"
    )


def free_bytes(path: Path) -> int:
    """Room on the disk that holds `path`, which need not exist yet."""
    place = path if path.exists() else next(parent for parent in path.absolute().parents if parent.exists())
    return shutil.disk_usage(place).free


def require_space(path: Path, needed: int) -> None:
    """Raise DiskFullError before anything is written if `needed` bytes cannot fit beside `path`."""
    if free_bytes(path) < needed:
        raise disk_full(path, needed)


@contextmanager
def replacing(path: Path, needed: int | None = None) -> Iterator[Writer]:
    """A writer whose file takes the name `path` at the end, complete and durable; on an error nothing changes."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
    with named_errors(path, needed):
        writer = Writer(temporary)
        try:
            try:
                yield writer
                writer.sync()
            finally:
                writer.close()
            disk.rename(temporary, path)
        except BaseException:
            with suppress(OSError):
                disk.remove(temporary)
            raise
        disk.sync_folder(path.parent)


@contextmanager
def replacing_by_name(path: Path, needed: int | None = None) -> Iterator[Path]:
    """A temporary name for a library that writes files itself; what stands there becomes `path` at the end, on an error nothing."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
    with named_errors(path, needed):
        try:
            yield temporary
            handle = disk.append(temporary)
            disk.sync(handle)
            disk.close(handle)
            disk.rename(temporary, path)
        except BaseException:
            remove_tree(temporary)
            raise
        disk.sync_folder(path.parent)


def write_bytes(path: Path, data: Buffer) -> str:
    """Replace `path` by `data`; returns the sha256."""
    with replacing(path, needed=len(memoryview(data))) as writer:
        writer.write(data)
    return writer.sha256


def write_text(path: Path, text: str) -> str:
    """Replace `path` by `text` as UTF-8, line ends as they are."""
    return write_bytes(path, text.encode("utf-8", "backslashreplace"))  # half a character, in a file's name say, as JSON writes it


def write_json(path: Path, value: Mapping[str, Any]) -> str:
    """Replace `path` by readable JSON with a line feed at the end."""
    return write_text(path, json_text(value))


def json_text(value: Mapping[str, Any]) -> str:
    """Readable JSON with a line feed at the end, always the same text for the same value; ValueError for NaN and infinity."""
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


@contextmanager
def replacing_folder(path: Path, needed: int | None = None) -> Iterator[Path]:
    """A folder to fill (through this module) under a temporary name; it becomes `path` at the end, on an error nothing changes.

    Folders cannot be renamed over each other: what stood at `path` steps aside just before, and `remove_leftovers` brings it
    back if the process ends between the two renames.
    """
    retired = path.with_name(f"{RETIRED}{path.name}")
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
    with named_errors(path, needed):
        try:
            remove_tree(temporary)
            make_folders(temporary)
            yield temporary
            disk.sync_folder(temporary)
            if path.exists():
                remove_tree(retired)
                disk.rename(path, retired)
            disk.rename(temporary, path)
        except BaseException:
            with suppress(OSError):
                if retired.exists() and not path.exists():
                    disk.rename(retired, path)
                remove_tree(temporary)
            raise
        disk.sync_folder(path.parent)
        remove_tree(retired)


def append_line(path: Path, line: str) -> None:
    """Add one line and wait until it is durable. For the few lines that must be on disk before they act.

    What a crash has left of a line is closed off first, so that it cannot swallow this one.
    """
    with named_errors(path):
        torn = path.exists() and path.read_bytes()[-1:] not in (b"", b"\n")
        writer = Writer(path, append=True)
        try:
            writer.write(b"\n" * torn + line.encode("utf-8") + b"\n")
            writer.sync()
        finally:
            writer.close()
        disk.sync_folder(path.parent)


def make_folders(path: Path) -> None:
    """`mkdir -p`, durable."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        with suppress(FileExistsError):
            disk.make_folder(folder)
        disk.sync_folder(folder.parent)


def remove_tree(path: Path) -> None:
    """Remove a file or a folder with what it holds, without following links; nothing there is fine."""
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            remove_tree(child)
        disk.remove_folder(path)
    elif path.exists() or path.is_symlink():
        disk.remove(path)


def remove_leftovers(folder: Path) -> None:
    """Undo what writers that were killed left half done in `folder`. Only the holder of the run's lock may call it."""
    for path in sorted(folder.glob(f"{RETIRED}*")):
        original = path.with_name(path.name.removeprefix(RETIRED))
        if original.exists():
            remove_tree(path)
        else:
            disk.rename(path, original)
    for path in sorted(folder.glob(f"{TEMPORARY}*")):
        remove_tree(path)


def sha256(path: Path) -> str:
    """Of the file's bytes, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
