"""A working folder with everything that a person could have in it."""

import shutil
from pathlib import Path

import pytest
from texts import text


@pytest.fixture
def place(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a text, rubbish, and a copy of the run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.txt").write_text(text(150, seed=1), "utf-8")
    (tmp_path / "short.txt").write_text("ten bytes.")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "rubbish").mkdir()
    (tmp_path / "rubbish" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    (tmp_path / "nothing").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.doc").write_text("precious")
    (tmp_path / "broken.toml").write_text("model = [")
    (tmp_path / "typo.toml").write_text("[model]\nwidht = 64\n")
    (tmp_path / "rows.csv").write_text("title,body\n" + "a,b\n" * 900)
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path
