"""A working folder for tuning."""

import json
import shutil
from pathlib import Path

import pytest
from training.examples import DATA


@pytest.fixture
def place(tmp_path: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with data for each task."""
    monkeypatch.chdir(tmp_path)
    for task, rows in DATA.items():
        (tmp_path / f"{task}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    shutil.copytree(trained, tmp_path / "base")
    return tmp_path
