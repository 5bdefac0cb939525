"""One tiny trained run that the command line's tests look at and copy."""

import random
import shutil
from pathlib import Path

import pytest

from newleaf.cli.main import run

WORDS = "the spring river moon night flower leaf of and a bright old new song 春江 花月 夜 新叶 明 流 水".split()
TINY = "--steps 8 --model.width 64 --model.depth 1 --model.context 32 --train.batch_tokens 64 --train.threads 1 --train.precision float32"


def text(num_lines: int, seed: int = 0) -> str:
    """Lines of a small language, enough to learn from."""
    source = random.Random(seed)
    return "".join(" ".join(source.choices(WORDS, k=8)) + ".\n" for _ in range(num_lines))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests that change it copy it first."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "text.txt").write_text(text(200), "utf-8")
    assert run(["train", str(folder / "text.txt"), "--out", str(folder / "run"), *TINY.split()]) == 0
    return folder / "run"


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
