"""The command line itself: what nobody foresaw, numbers, names that need quotes, output that must be UTF-8."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from newleaf.cli.main import named_run, run

TINY = shlex.split("--steps 2 --model.width 64 --model.depth 1 --model.context 32 --train.batch_tokens 64 --train.threads 1")


def test_a_bug_is_one_sentence_after_its_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("leaf")

    monkeypatch.setattr("newleaf.api.load", fail)
    assert run(["generate", "run", "--json"]) == 1
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "this is a bug of newleaf: KeyError: 'leaf'; please open an issue in its repository, with the lines above."
    assert json.loads(out)["error"]["message"] == lines[-1]


@pytest.mark.parametrize(
    "words", ["train x --steps 1e3", "train x --seed 1.5", "plan x --tokens 1e6", "generate x --n 1.5", "chat x --seed 1.5"]
)
def test_a_number_that_must_be_whole_says_so(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words.split()) == 2
    assert capsys.readouterr().err == "{2} is {3} (expected a whole number).\n".format(*words.split())


def test_a_prompt_that_is_refused_is_not_echoed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", "run", "spring " * 200, "--echo"]) == 2
    assert capsys.readouterr().out == ""
    assert run(["generate", "run", "spring", "--echo", "--max-tokens", "3"]) == 0
    assert capsys.readouterr().out.startswith("spring")


@pytest.mark.parametrize(("prompt", "told"), [("spring ", True), ("spring", False), (" ", False), ("spring\n", False)])
def test_a_prompt_that_ends_in_a_space_is_told(place: Path, prompt: str, told: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["generate", "run", prompt, "--max-tokens", "3"]) == 0
    assert ("ends in a space" in capsys.readouterr().err) == told


@pytest.mark.skipif(os.name != "posix", reason="names that only POSIX has")
@pytest.mark.parametrize("name", ["my run", "it's", "two\nlines", "春江"])
def test_a_line_to_type_can_be_typed(place: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "good.txt", "--out", name, *TINY]) == 0
    done = capsys.readouterr().err.splitlines()[-1].partition(" — try: ")[2]
    assert run(["train", "good.txt", "--out", name, *TINY]) == 2
    refused = capsys.readouterr().err.splitlines()[-1].partition("go on with: ")[2].partition(" (or choose")[0]
    for line, before in ((done, ["newleaf", "generate"]), (refused, ["newleaf", "train", "--resume", "--out"])):
        shown = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout.decode()
        assert shown.split("\0")[:-1] == [*before, name]


@pytest.mark.parametrize(
    "words", ["generate run 春江 --max-tokens 4 --echo", "plan good.txt --steps 2", "evaluate 没有", "generate run 花 --json --n 2"]
)
def test_results_are_utf_8_wherever_they_go(place: Path, words: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "NEWLEAF_LANG": "zh", "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-m", "newleaf", *words.split()], env=environment, capture_output=True, check=False)
    assert done.returncode == (2 if "evaluate" in words else 0)
    assert b"Traceback" not in done.stderr
    assert not done.stdout.isascii() or done.returncode


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ("train poems.txt.gz --resume --json", "runs/poems"),
        ("train --resume --minutes 3 --out here", "here"),
        ("train --resume --model.width 64 more.txt --out=there", "there"),
        ("train --minutes 3 --extend -", "runs/stdin"),
        ("train --resume", "runs/python"),
    ],
)
def test_a_signal_finds_the_run_without_the_parser(words: str, path: str) -> None:
    assert named_run(shlex.split(words)) == Path(path)
