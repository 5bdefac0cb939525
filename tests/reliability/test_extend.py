"""A run that is killed while it becomes a longer one is either still the shorter one or already the longer one, to the same bits."""

import random
import shutil
from pathlib import Path

import pytest
from reliability.harness import Laboratory, figures, number_of

from newleaf.runs import Run

MORE_STEPS = 10
SIGKILL = number_of("SIGKILL")


def extend_words(out: Path, more: Path | None) -> list[str]:
    return ["train", *([str(more)] if more else []), "--extend", "--steps", str(MORE_STEPS), "--out", str(out)]


def finished_copy(lab: Laboratory, finished: Path) -> Path:
    out = lab.new_run()
    shutil.copytree(finished, out)
    return out


def go_on(lab: Laboratory, out: Path, words: list[str], num_steps: int) -> None:
    """What a person does: resume what is unfinished, extend again what is still the shorter run."""
    for _ in range(3):
        summary = Run(out).read_summary()
        if summary["stopped_by"] is None:
            lab.server.run(["train", "--resume", "--out", str(out)]).require(0)
        elif summary["steps"] < num_steps:
            lab.server.run(words).require(0)
    assert Run(out).read_summary()["steps"] == num_steps


@pytest.mark.parametrize("kills", [5, pytest.param(60, marks=pytest.mark.campaign)])
@pytest.mark.parametrize("text", ["the same text", "more text"])
def test_a_run_killed_while_it_is_extended_ends_in_the_same_bits(lab: Laboratory, tmp_path: Path, text: str, kills: int) -> None:
    more = tmp_path / "more.txt" if text == "more text" else None
    if more:
        more.write_text("words that nobody has read before. " * 200)
    finished, log = lab.new_run(), tmp_path / "log"
    lab.server.run(lab.words(finished)).require(0)
    unbroken = finished_copy(lab, finished)
    lab.server.run(extend_words(unbroken, more), log=log).require(0)
    wanted, operations = figures(unbroken), log.read_text().splitlines()
    begun = next(number for number, line in enumerate(operations) if line.startswith("rename") and line.endswith("newleaf.toml"))
    source = random.Random(text)
    for _ in range(kills):
        at = source.randint(1, begun + 20 if source.random() < 0.8 else len(operations))
        print(f"{text}: kill at operation {at} of {len(operations)}")
        out = finished_copy(lab, finished)
        lab.server.run(extend_words(out, more), fault={"disk": at, "do": {"signals": ["SIGKILL"]}}).require(-SIGKILL)
        go_on(lab, out, extend_words(out, more), len(wanted.lines))
        assert figures(out) == wanted
