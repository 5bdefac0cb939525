"""The chapters on tasks can be followed: what a person types runs in its order, on rows as the chapter shows, and leaves what it names.

Each file is made of the rows of it that the chapter shows, so these are proven as well. Budgets are a few steps, and the model that all
chapters begin with is tiny. Both languages have the same code, so one is followed.
"""

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pages import FENCED, ROOT, blocks, headings, without_comments
from texts import text

from newleaf.cli.main import run

GUIDE = ROOT / "docs/guide"
ENGLISH, CHINESE = GUIDE / "en/tasks", GUIDE / "zh/tasks"
CHAPTERS = [path.name for path in sorted(ENGLISH.glob("*.md"))]
SHOWN = re.compile(r"`([\w-]+\.(?:jsonl|json|tsv|txt))`[^`\n]*\n\n```\w+\n(.*?)^```$", re.M | re.S)  # a file's name, then rows of it
COPIES = 20  # of each row that is shown, told apart by a number: enough for some to be held out
KEPT = ("role", "from", "label")  # columns whose values have a meaning of their own
TINY = {
    "NEWLEAF_MODEL_WIDTH": "64",
    "NEWLEAF_MODEL_DEPTH": "1",
    "NEWLEAF_MODEL_CONTEXT": "64",
    "NEWLEAF_DATA_VOCAB_SIZE": "320",
    "NEWLEAF_TRAIN_BATCH_TOKENS": "256",
}  # of new models
QUIET = {"NEWLEAF_TRAIN_THREADS": "1", "NEWLEAF_TRAIN_PRECISION": "float32", "NEWLEAF_TRAIN_SAMPLE_EVERY": "99"}


@dataclass
class Reader:
    """A person at a shell in a folder, with a chapter before them."""

    folder: Path
    patch: pytest.MonkeyPatch

    def follow(self, chapter: str) -> None:
        """All blocks in their order; what fails is an assertion."""
        program: dict[str, Any] = {}
        for kind, block in FENCED.findall(chapter):
            if kind == "sh":
                for part in parts(block):
                    self.newleaf(shlex.split(part, comments=True)[1:]) if part.startswith("newleaf ") else self.shell(part)
            elif kind == "python":
                exec(compile(block, "chapter", "exec"), program)

    def newleaf(self, words: list[str]) -> None:
        """One command, with a few steps for its budget, and with one line to say where it asks for lines."""
        words = ["2" if before == "--minutes" else word for before, word in zip(["", *words], words, strict=False)]
        words = ["--steps" if word == "--minutes" else word for word in words] + ["--steps", "20"] * (words[0] == "augment")
        with self.patch.context() as patch:
            for name, value in (QUIET | (TINY if words[0] == "train" and "--from" not in words else {})).items():
                patch.setenv(name, value)
            patch.setattr(sys, "stdin", io.StringIO("Who are you?\n\n"))
            patch.setattr("newleaf.jobs.answers.NUM_WRITTEN", 2)
            assert run(words) == 0, words

    def shell(self, script: str) -> None:
        """What is no command of newleaf."""
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=self.folder, env=environment, check=True, timeout=60)


def parts(block: str) -> list[str]:
    """The lines of a block that call newleaf each by itself, and what stands between them together."""
    return [part for part in re.split(r"^(newleaf .*)\n", block, flags=re.M) if part.strip()]


def shown(chapter: str) -> dict[str, str]:
    """{name of a file: the rows of it that a chapter shows}."""
    return dict(SHOWN.findall(chapter))


def many(name: str, rows: str, copies: int) -> str:
    """A file of rows like these."""
    if name.endswith(".json"):
        value = json.loads(rows)
        (lists,) = [value[key] for key in value if isinstance(value[key], list)] if isinstance(value, dict) else [value]
        lists[:] = [numbered(row, number) for number in range(copies) for row in lists]
        return json.dumps(value, ensure_ascii=False)
    lines = rows.splitlines()
    if name.endswith(".jsonl"):
        found = [json.dumps(numbered(json.loads(line), number), ensure_ascii=False) for number in range(copies) for line in lines]
    elif name.endswith(".tsv"):
        head, *lines = lines if "label" in lines[0].split("\t") else ["", *lines]
        names = head.split("\t")
        tables = [dict(zip(names, line.split("\t"), strict=True)) if head else dict(enumerate(line.split("\t"))) for line in lines]
        found = [head] * bool(head) + ["\t".join(numbered(row, number).values()) for number in range(copies) for row in tables]
    else:
        found = [f"{line} {number}" for number in range(copies) for line in lines]
    return "\n".join(found) + "\n"


def numbered(value: Any, number: int) -> Any:
    """The same row, told from the others by a number in each of its texts."""
    if isinstance(value, dict):
        return {key: inner if key in KEPT else numbered(inner, number) for key, inner in value.items()}
    if isinstance(value, list):
        return [numbered(inner, number) for inner in value]
    return f"{value} {number}" if isinstance(value, str) else value


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/base, which chapter 5 makes."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "books").mkdir()
    (folder / "books/one.txt").write_text(text(200), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Reader(folder, patch).newleaf(["train", "books/", "--minutes", "60", "--out", "runs/base"])
    return folder


@pytest.fixture
def reader(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """In a folder of their own, with runs/base."""
    shutil.copytree(base, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return Reader(tmp_path / "here", monkeypatch)


@pytest.mark.skipif(os.name != "posix", reason="the chapters are written for a POSIX shell")
@pytest.mark.parametrize("name", CHAPTERS)
def test_what_a_chapter_says_to_type_runs_and_leaves_the_runs_that_it_names(name: str, reader: Reader) -> None:
    chapter = (ENGLISH / name).read_text("utf-8")
    files = shown(chapter)
    assert files
    for file, rows in files.items():
        (reader.folder / file).write_text(many(file, rows, COPIES), "utf-8")
        (reader.folder / f"new-{file}").write_text(many(file, rows, 2), "utf-8")
    reader.follow(chapter)
    for out in set(re.findall(r"(?<![.\w])runs/[\w-]+", chapter)):
        summary = json.loads((reader.folder / out / "summary.json").read_text("utf-8"))
        manifest = json.loads((reader.folder / out / "data/manifest.json").read_text("utf-8"))
        skipped = [row for row in manifest["skipped"] if not row["source"].endswith("more-reviews.jsonl")]  # may be empty
        assert (summary["stopped_by"], skipped) == ("budget", []), out
    assert [out for out in re.findall(r"\bout/[\w.-]+", chapter) if not (reader.folder / out).exists()] == []


@pytest.mark.parametrize(
    "block",
    [
        "```sh\nnewleaf tune runs/base talk.jsonl --task chat --minute 10\n```\n",
        "```sh\nnewleaf generate runs/bse\n```\n",
        "```sh\ncat nothing.txt\n```\n",
        "```python\nimport newleaf\n\nnewleaf.load('runs/base').says('hi')\n```\n",
    ],
)
def test_a_chapter_with_a_mistake_does_not_pass(block: str, reader: Reader) -> None:
    with pytest.raises((AssertionError, AttributeError, subprocess.CalledProcessError)):
        reader.follow(block)


def test_every_chapter_is_there_in_both_languages_and_chapter_5_leads_to_it() -> None:
    assert CHAPTERS
    assert [path.name for path in sorted(CHINESE.glob("*.md"))] == CHAPTERS
    for folder in (ENGLISH, CHINESE):
        overview = (folder.parent / "05-teach-it-a-task.md").read_text("utf-8")
        assert [name for name in CHAPTERS if f"](tasks/{name})" not in overview] == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_has_the_same_headings_and_the_same_code_in_both_languages(name: str) -> None:
    english, chinese = ENGLISH / name, CHINESE / name
    assert headings(english) == headings(chinese)
    for kind in ("sh", "python", "jsonl", "json", "tsv", "text", "toml"):
        assert [without_comments(block) for block in blocks(english, kind)] == [without_comments(block) for block in blocks(chinese, kind)]
    assert shown(english.read_text("utf-8")) == shown(chinese.read_text("utf-8"))
