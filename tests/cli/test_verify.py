"""What verify notices: a change in any file, of a run at rest by its hashes, of one that was killed by what its files say."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from newleaf import verify
from newleaf.cli.main import run
from newleaf.runs import Run, read_lines, rewrite_lines

TOP = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
TOP += ["README.md", "report.html", "summary.json", "newleaf.toml", "metrics.jsonl", "samples.jsonl"]


def damaged(path: Path) -> list[str]:
    return [Path(file["path"]).name for file in verify(path)["files"] if not file["ok"]]


def test_every_file_at_the_top_of_a_run_at_rest_has_its_sum(place: Path) -> None:
    files = json.loads(Run(place / "run").sums.read_text())["files"]
    assert sorted(files) == sorted(TOP) == sorted(path.name for path in (place / "run").glob("[!.]*") if path.is_file())
    names = [file["path"] for file in verify(place / "run")["files"]]
    assert len(names) == len(set(names))
    assert not damaged(place / "run")


@pytest.mark.parametrize("name", [*TOP, ".sums.json"])
def test_a_change_in_any_file_of_a_run_at_rest_is_named(place: Path, name: str) -> None:
    path = place / "run" / name
    good = path.read_bytes()
    for bad in (good[:-1], good + b"\n", good[: len(good) // 2] + bytes([good[len(good) // 2] ^ 1]) + good[len(good) // 2 + 1 :]):
        path.write_bytes(bad)
        assert name in damaged(place / "run") or name == ".sums.json"
        assert run(["verify", "run"]) == 2
    path.unlink()
    assert name in damaged(place / "run") or name == ".sums.json"


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("newleaf.toml", lambda text: text.replace("context = 32", "context = 64"), "has changed since it was written"),
        ("newleaf.toml", lambda text: text[: text.rindex("#")], "has changed since it was written"),
        ("newleaf.toml", lambda text: text + "# a note\n", "has changed since it was written"),
        ("summary.json", lambda text: text[:-9], "is damaged"),
        ("tokenizer_config.json", lambda text: text[1:], "is damaged"),
        ("samples.jsonl", lambda text: text.replace("{", "", 1), "is damaged in line 1"),
        ("metrics.jsonl", lambda text: text.replace('"step": 3', '"step": 4'), "has step 4 in line 3"),
        ("metrics.jsonl", lambda text: text.partition("\n")[2], "has step 2 in line 1"),
    ],
)
def test_a_run_without_sums_is_read(place: Path, name: str, change: Callable[[str], str], reason: str) -> None:
    Run(place / "run").sums.unlink()  # as in a run that was killed
    assert not damaged(place / "run")
    path = place / "run" / name
    assert change(path.read_text("utf-8")) != path.read_text("utf-8")
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    assert damaged(place / "run") == [name]
    assert reason in next(file["reason"] for file in verify(place / "run")["files"] if not file["ok"])


def test_the_decisions_of_the_clock_are_those_of_the_newest_checkpoint(place: Path) -> None:
    words = "--minutes 0.1 --model.width 64 --model.depth 1 --model.context 32 --train.batch_tokens 64 --train.threads 1"
    assert run(["train", "good.txt", "--out", "clock", *words.split()]) == 0
    clock = Run(place / "clock")
    assert not damaged(clock.path)
    clock.sums.unlink()
    assert not damaged(clock.path)
    decisions = read_lines(clock.clock)
    rewrite_lines(clock.clock, [*decisions, {"step": 10**6, "last": 10**6, "restart": False, "enough": False}])
    assert not damaged(clock.path)  # one that was taken after the checkpoint
    rewrite_lines(clock.clock, [*decisions[:-1], decisions[-1] | {"last": 10**6}])
    assert damaged(clock.path) == ["clock.jsonl"]


@pytest.mark.parametrize("words", ["--resume", "--extend --steps 2"])
def test_a_plan_that_was_changed_after_training_began_is_refused(place: Path, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Run(place / "run").plan
    plan.write_text(plan.read_text("utf-8").replace("lr = 0.006", "lr = 0.007"), "utf-8")
    assert run(["train", "--out", "run", *words.split()]) == 2
    assert "newleaf.toml has changed since it was written; restore it" in capsys.readouterr().err.splitlines()[-1]
    assert (
        run(["train", "good.txt", "--out", "other_run", "--recipe", "run/newleaf.toml", "--steps", "2"]) == 0
    )  # as a recipe it may be changed


def test_a_plan_may_be_edited_before_training_begins(place: Path) -> None:
    assert run(["plan", "good.txt", "--out", "planned", "--steps", "4", "--model.width", "64", "--train.threads", "1"]) == 0
    plan = Run(place / "planned").plan
    plan.write_text(plan.read_text("utf-8").replace("weight_decay = 0.1", "weight_decay = 0.2") + "# a note of mine\n", "utf-8")
    assert run(["train", "--out", "planned"]) == 0
    assert "weight_decay = 0.2" in plan.read_text("utf-8")
    assert not damaged(place / "planned")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("width = 64", "width = 96", "model.width is 96 in {plan}, which was worked out for 64; plan again with --model.width 96"),
        ("steps = 4", "steps = 5", "budget.steps is 5 in {plan}, which was worked out for 4; plan again with --steps 5"),
    ],
)
def test_a_plan_edited_in_one_of_two_places_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str], before: str, after: str, said: str
) -> None:
    """Not trained as if nobody had edited it."""
    assert run(["plan", "good.txt", "--out", "planned", "--steps", "4", "--model.width", "64", "--train.threads", "1"]) == 0
    plan = Run(place / "planned").plan
    plan.write_text(plan.read_text("utf-8").replace(before, after, 1), "utf-8")
    assert run(["train", "--out", "planned"]) == 2
    assert said.format(plan=Path("planned") / "newleaf.toml") in capsys.readouterr().err
    assert not Run(place / "planned").begun


def test_a_refused_extension_leaves_the_sums_as_they_were(place: Path) -> None:
    before = Run(place / "run").sums.read_bytes()
    assert run(["train", "empty.txt", "--out", "run", "--extend", "--steps", "2"]) == 2
    assert Run(place / "run").sums.read_bytes() == before
    assert not damaged(place / "run")
