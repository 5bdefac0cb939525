"""The guide can be followed: the commands of chapter 1 run in their order and print what the chapter shows, each in its language.

The examples of chapter 2 and of the decisions are doctests, which pytest collects by itself.
"""

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from pages import READMES, ROOT, blocks, headings, named, tree, without_comments

GUIDE = ROOT / "docs/guide"
ENGLISH, CHINESE = GUIDE / "en", GUIDE / "zh"
CHAPTERS = [path.name for path in sorted(ENGLISH.glob("*.md"))]
FIRST = "01-from-text-to-sample.md"
SPEAKING = ("newleaf train", "newleaf evaluate", "newleaf verify")  # in the language of the person
FIGURES_ON_THE_MACHINE = ("newleaf train", "newleaf evaluate")
WORDS_ON_THE_MACHINE = ("newleaf generate", "import newleaf", "metrics.jsonl")
FIGURE = re.compile(r"\d[\d,.:]*\d|\d")


@dataclass(frozen=True)
class Followed:
    """What a person who typed the chapter's commands has before them, with messages in the language of the chapter."""

    chapter: Path
    folder: Path
    printed: list[str]  # stdout and stderr of each block


@pytest.fixture(scope="module", params=["en", "zh"])
def followed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Followed:
    """The blocks in one shell, which stops at the first command that fails."""
    if os.name != "posix":
        pytest.skip("the chapter is written for a POSIX shell")
    chapter = GUIDE / request.param / FIRST
    folder, bin_folder = tmp_path_factory.mktemp("chapter"), tmp_path_factory.mktemp("bin")
    for name, arguments in {"python": "", "newleaf": "-m newleaf"}.items():
        program = bin_folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n', "utf-8")
        program.chmod(0o755)
    script = "\n".join(f"echo '===='\n{block}" for block in blocks(chapter, "sh"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEWLEAF_")}
    environment |= {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}", "NEWLEAF_TRAIN_THREADS": "1", "NEWLEAF_LANG": request.param}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return Followed(chapter, folder, done.stdout.split("====\n")[1:])


def shown(chapter: Path) -> list[tuple[str, str]]:
    """(block of commands, what the chapter shows below it) where it shows something."""
    return re.findall(r"^```sh\n((?:(?!^```).*\n)*)```\n\n```text\n((?:(?!^```).*\n)*)```$", chapter.read_text("utf-8"), re.M)


def holds(block: str, words: tuple[str, ...]) -> bool:
    return any(part in block for part in words)


def lines(text: str) -> list[str]:
    """Without the marks of what is left out, and with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines() if line != "…"]


def worded(text: str) -> list[str]:
    """The lines with 0 for every figure, and one precision for both."""
    return [FIGURE.sub("0", line.replace("bf16", "float32")) for line in lines(text)]


def test_every_command_of_chapter_1_runs(followed: Followed) -> None:
    assert len(followed.printed) == len(blocks(followed.chapter, "sh"))


def test_what_does_not_depend_on_the_machine_is_printed_as_the_chapter_shows_it(followed: Followed) -> None:
    printed = dict(zip(blocks(followed.chapter, "sh"), followed.printed, strict=True))
    exact = [(block, text) for block, text in shown(followed.chapter) if not holds(block, FIGURES_ON_THE_MACHINE + WORDS_ON_THE_MACHINE)]
    assert len(exact) >= 4
    for block, text in exact:
        assert [line for line in lines(text) if line not in lines(printed[block])] == []


def test_where_only_figures_depend_on_the_machine_the_sentences_are_printed_as_the_chapter_shows_them(followed: Followed) -> None:
    printed = dict(zip(blocks(followed.chapter, "sh"), followed.printed, strict=True))
    sentences = [(block, text) for block, text in shown(followed.chapter) if holds(block, FIGURES_ON_THE_MACHINE)]
    assert len(sentences) >= 4
    for block, text in sentences:
        assert [line for line in worded(text) if line not in worded(printed[block])] == []


def test_the_first_loss_is_the_one_that_the_chapter_says(followed: Followed) -> None:
    """Far below that of guessing blindly, because the pairs of the text were counted before."""
    first = json.loads((followed.folder / "runs/leaves/metrics.jsonl").read_text("utf-8").splitlines()[0])
    said = re.search(r'"step": 1, .*?"loss": ([0-9.]+)', followed.chapter.read_text("utf-8"))
    assert said is not None
    assert first["loss"] == pytest.approx(float(said[1]), rel=0.02)
    assert first["loss"] < math.log(512) / 3


def test_the_model_of_the_chapter_beats_every_baseline(followed: Followed) -> None:
    summary = json.loads((followed.folder / "runs/leaves/summary.json").read_text("utf-8"))
    assert summary["val_bpb"] < min(summary["baselines"].values())


def test_the_text_of_the_chapter_has_the_bytes_and_the_choices_that_it_says(followed: Followed) -> None:
    leaves = (followed.folder / "leaves.txt").read_bytes().splitlines(keepends=True)
    assert (len(leaves), sum(map(len, leaves)), len(set(leaves)) <= 256) == (1000, 62080, True)
    perfect = f"{math.log2(256) / 62.08:.3f}"
    assert re.search(rf"\*\*({perfect} bits per byte|每字节 {perfect} 比特)\*\*", followed.chapter.read_text("utf-8"))


@pytest.mark.parametrize("page", READMES, ids=named)
def test_a_run_directory_holds_what_the_readme_says(page: Path, followed: Followed) -> None:
    there = {path.name for path in (followed.folder / "runs/leaves").iterdir() if path.name != ".lock"}
    assert set(tree(page, "runs/poems/")) - {"clock.jsonl"} == there  # the clock decides only where the budget is in minutes


def test_every_chapter_is_there_in_both_languages() -> None:
    assert [path.name for path in sorted(CHINESE.glob("*.md"))] == CHAPTERS


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_has_the_same_headings_and_the_same_code_in_both_languages(chapter: str) -> None:
    english, chinese = ENGLISH / chapter, CHINESE / chapter
    assert headings(english) == headings(chinese)
    for kind in ("sh", "python"):
        assert [without_comments(block) for block in blocks(english, kind)] == [without_comments(block) for block in blocks(chinese, kind)]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_a_chapter_shows_has_other_words_in_the_other_language_only_where_newleaf_speaks(chapter: str) -> None:
    english, chinese = shown(ENGLISH / chapter), shown(CHINESE / chapter)
    assert len(english) == len(blocks(ENGLISH / chapter, "text"))
    assert len(chinese) == len(blocks(CHINESE / chapter, "text"))
    for (block, text), (_, other) in zip(english, chinese, strict=True):
        if holds(block, SPEAKING):
            assert sorted(FIGURE.findall(text)) == sorted(FIGURE.findall(other))
            assert text.count("\n") == other.count("\n")
        else:
            assert text == other
