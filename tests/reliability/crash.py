"""What a power cut may leave on a disk: a recorder of disk operations, and a model of what of them is durable at each moment.

The model is the strict reading of POSIX: the bytes of a file are durable after fsync of the file, a name in a folder after fsync of
the folder, and of everything else any part may have arrived or not.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from newleaf import fsio

BLOCK = 4096
Tree = dict[str, bytes | None]  # path below the root -> content, None for a folder
Operation = tuple[str, Path, Path | bytes | None]


class RecordingDisk(fsio.Disk):
    """The disk, and a log of everything that changed it."""

    def __init__(self) -> None:
        self.log: list[Operation] = []
        self.paths: dict[int, Path] = {}

    def create(self, path: Path) -> int:
        handle = super().create(path)
        self.paths[handle] = path
        self.log.append(("create", path, None))
        return handle

    def append(self, path: Path) -> int:
        existed = path.exists()
        handle = super().append(path)
        self.paths[handle] = path
        if not existed:
            self.log.append(("create", path, None))
        return handle

    def write(self, handle: int, data: fsio.Buffer) -> int:
        written = super().write(handle, data)
        self.log.append(("write", self.paths[handle], bytes(memoryview(data)[:written])))
        return written

    def sync(self, handle: int) -> None:
        super().sync(handle)
        self.log.append(("sync", self.paths[handle], None))

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self.log.append(("rename", old, new))

    def remove(self, path: Path) -> None:
        super().remove(path)
        self.log.append(("remove", path, None))

    def make_folder(self, path: Path) -> None:
        super().make_folder(path)
        self.log.append(("make_folder", path, None))

    def remove_folder(self, path: Path) -> None:
        super().remove_folder(path)
        self.log.append(("remove", path, None))

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        self.log.append(("sync_folder", path, None))


@dataclass
class File:
    now: bytes = b""
    durable: bytes = b""


@dataclass
class Folder:
    now: "dict[str, File | Folder]" = field(default_factory=dict)
    durable: "dict[str, File | Folder]" = field(default_factory=dict)


class Model:
    """A folder as the recorder sees it, its operations replayed one by one."""

    def __init__(self, root: Path, tree: Tree) -> None:
        """`tree` is what is there before the first operation, all of it durable."""
        self.root, self.top = root, Folder()
        for name, content in sorted(tree.items()):
            folder, last = self._parent(root / name)
            folder.now[last] = Folder() if content is None else File(content, content)
            folder.durable[last] = folder.now[last]

    def apply(self, operation: Operation) -> None:
        """One operation of the log."""
        kind, path, more = operation
        if kind == "sync_folder":
            folder = self._find(path)
            if isinstance(folder, Folder):
                folder.durable = dict(folder.now)
            return
        if not path.is_relative_to(self.root):
            return
        folder, name = self._parent(path)
        if kind == "create":
            known = folder.now.get(name)
            folder.now[name] = File(b"", known.durable) if isinstance(known, File) else File()
        elif kind == "make_folder":
            folder.now[name] = Folder()
        elif kind == "remove":
            del folder.now[name]
        elif kind == "rename":
            assert isinstance(more, Path)
            target, new_name = self._parent(more)
            target.now[new_name] = folder.now.pop(name)
        else:
            file = folder.now[name]
            assert isinstance(file, File)
            if kind == "write":
                assert isinstance(more, bytes)
                file.now += more
            else:
                file.durable = file.now

    def _find(self, path: Path) -> File | Folder | None:
        node: File | Folder | None = self.top
        if path != self.root and not path.is_relative_to(self.root):
            return None
        for part in path.relative_to(self.root).parts:
            node = node.now.get(part) if isinstance(node, Folder) else None
        return node

    def _parent(self, path: Path) -> tuple[Folder, str]:
        folder = self._find(path.parent)
        assert isinstance(folder, Folder), path
        return folder, path.name

    def crashed(self, names: Callable[[Folder], dict[str, File | Folder]], content: Callable[[File], bytes]) -> Tree:
        """What is found after a cut at this moment, if of each folder `names` arrived and of each file `content`."""
        tree: Tree = {}

        def walk(folder: Folder, above: str) -> None:
            for name, node in names(folder).items():
                path = f"{above}{name}"
                tree[path] = None if isinstance(node, Folder) else content(node)
                if isinstance(node, Folder):
                    walk(node, f"{path}/")

        walk(self.top, "")
        return tree


def unsynced_blocks(folder: Folder) -> int:
    """The most whole blocks that a file in the tree holds beyond its durable bytes."""
    most = 0
    for node in folder.now.values():
        most = max(most, unsynced_blocks(node) if isinstance(node, Folder) else (len(node.now) - len(node.durable)) // BLOCK)
    return most


def torn(file: File, blocks: int, zeros: bool) -> bytes:
    """The durable bytes and so many blocks of the others; the rest is missing, or reads as zeros."""
    if not file.now.startswith(file.durable):
        return file.durable
    kept = file.now[: len(file.durable) + BLOCK * blocks]
    return kept + bytes(len(file.now) - len(kept)) if zeros else kept


def states(model: Model, source: random.Random, draws: int) -> Iterator[tuple[str, Tree]]:
    """The named crash states of one moment: all kept, all dropped, names before data, torn at each block, and `draws` mixtures."""
    yield "kept", model.crashed(lambda folder: folder.now, lambda file: file.now)
    yield "dropped", model.crashed(lambda folder: folder.durable, lambda file: file.durable)
    for blocks in range(unsynced_blocks(model.top) + 1):  # with 0, names come before data
        for zeros in (False, True):
            yield f"torn after {blocks} blocks", model.crashed(lambda folder: folder.now, lambda file, b=blocks, z=zeros: torn(file, b, z))
    for _ in range(draws):
        yield (
            "mixed",
            model.crashed(
                lambda folder: folder.now if source.random() < 0.5 else folder.durable,
                lambda file: source.choice([file.now, file.durable, torn(file, source.randrange(9), source.random() < 0.5)]),
            ),
        )


def read_tree(root: Path) -> Tree:
    """What is on the disk below `root`."""
    return {
        str(path.relative_to(root)): None if path.is_dir() else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if not path.is_symlink()
    }


def write_tree(root: Path, tree: Tree) -> None:
    """A crash state on a real disk."""
    root.mkdir(parents=True)
    for name, content in sorted(tree.items()):
        if content is None:
            (root / name).mkdir()
        else:
            (root / name).write_bytes(content)
