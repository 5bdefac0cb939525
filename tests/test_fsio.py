"""Files appear whole or not at all, and a full disk is one sentence."""

import errno
import os
from pathlib import Path

import pytest

from newleaf import fsio
from newleaf.errors import DiskFullError


class FailingDisk(fsio.Disk):
    """Raises at the `at`-th operation that changes the disk."""

    def __init__(self, at: int, error: int) -> None:
        self.at, self.error, self.count = at, error, 0

    def _tick(self) -> None:
        self.count += 1
        if self.count == self.at:
            raise OSError(self.error, os.strerror(self.error))

    def create(self, path: Path) -> int:
        self._tick()
        return super().create(path)

    def write(self, handle: int, data: fsio.Buffer) -> int:
        self._tick()
        return super().write(handle, memoryview(data)[: max(1, len(data) // 2)])  # takes only a part, as systems may

    def sync(self, handle: int) -> None:
        self._tick()
        super().sync(handle)

    def rename(self, old: Path, new: Path) -> None:
        self._tick()
        super().rename(old, new)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS])
@pytest.mark.parametrize("at", range(1, 12))
def test_a_failing_disk_leaves_the_old_file_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, error: int) -> None:
    path = tmp_path / "weights"
    fsio.write_bytes(path, b"old " * 10)
    disk = FailingDisk(at, error)
    monkeypatch.setattr(fsio, "disk", disk)
    try:
        fsio.write_bytes(path, b"new " * 10)
    except DiskFullError as failure:
        assert error == errno.ENOSPC
        assert "40 bytes needed" in str(failure)
        assert failure.exit_code == 1
    except OSError:
        assert error != errno.ENOSPC
    else:
        assert disk.count < at
    assert path.read_bytes() in (b"old " * 10, b"new " * 10)
    assert [p.name for p in tmp_path.iterdir()] == ["weights"]


@pytest.mark.parametrize("at", range(1, 12))
def test_a_failing_disk_leaves_the_old_folder_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    path = tmp_path / "trunk"
    with fsio.replacing_folder(path) as folder:
        fsio.write_text(folder / "state", "old")
    monkeypatch.setattr(fsio, "disk", FailingDisk(at, errno.ENOSPC))
    try:
        with fsio.replacing_folder(path) as folder:
            fsio.write_text(folder / "state", "new")
    except DiskFullError:
        pass
    fsio.remove_leftovers(tmp_path)
    assert (path / "state").read_text() in ("old", "new")
    assert [p.name for p in tmp_path.iterdir()] == ["trunk"]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_file_that_a_library_writes_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    path = tmp_path / "model.gguf"
    monkeypatch.setattr(fsio, "disk", FailingDisk(at, errno.ENOSPC))
    with pytest.raises(DiskFullError if at else KeyboardInterrupt), fsio.replacing_by_name(path) as name:
        name.write_bytes(b"whole" if at else b"half")
        if not at:
            raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with fsio.replacing_by_name(path) as name:
        name.write_bytes(b"whole")
        assert not path.exists()
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("model.gguf", b"whole")]


def test_the_hash_is_that_of_the_file(tmp_path: Path) -> None:
    with fsio.replacing(tmp_path / "data") as writer:
        writer.write(b"one")
        writer.write(memoryview(b"two"))
        writer.write(b"")
    assert (tmp_path / "data").read_bytes() == b"onetwo"
    assert writer.sha256 == fsio.sha256(tmp_path / "data")
    assert writer.size == 6


def test_links_are_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("keep")
    (tmp_path / "link").symlink_to(target)
    fsio.write_text(tmp_path / "link", "new")
    assert target.read_text() == "keep"
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "out").symlink_to(tmp_path)
    fsio.remove_tree(folder)
    assert target.exists()


def test_room_is_asked_for_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="needed"):
        fsio.require_space(tmp_path / "new" / "run", 1 << 60)
    assert list(tmp_path.iterdir()) == []


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        fsio.write_json(tmp_path / "state.json", {"loss": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_lines_are_appended(tmp_path: Path) -> None:
    fsio.append_line(tmp_path / "clock.jsonl", "一")
    fsio.append_line(tmp_path / "clock.jsonl", "二")
    assert (tmp_path / "clock.jsonl").read_text("utf-8") == "一\n二\n"
