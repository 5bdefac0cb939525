"""One writer holds a run. The others leave at once and name it, and when it is killed nobody has to clean up behind it."""

import json
import os
import time
from pathlib import Path

import pytest
from reliability.harness import Laboratory, Starter, Trial, number_of, require_intact

from newleaf.errors import RunError
from newleaf.runs import Run, read_json

PROCESSES = 8
LOSER_SECONDS = 1.0  # judged in the campaign alone, on forks: the start of an interpreter is not the lock's
LONG = 100_000  # steps: longer than any test
SIGKILL, SIGTERM = number_of("SIGKILL"), number_of("SIGTERM")


def race(lab: Laboratory, starter: Starter, out: Path) -> tuple[Trial, float]:
    """Eight at once: the one that holds the run, once the seven others have left as they should, and how long the last one took."""
    words = lab.words(out, steps=LONG)
    trials = [starter.start(words) for _ in range(PROCESSES)]
    while sum(trial.alive for trial in trials) > 1:
        time.sleep(0.01)
    winners = [trial for trial in trials if trial.alive]
    assert len(winners) == 1, [trial.said for trial in trials]
    losers = [trial.wait() for trial in trials if trial is not winners[0]]
    for ended in losers:
        ended.require(2)
        assert f"is being written by process {winners[0].pid} on {os.uname().nodename}" in ended.sentence
        assert len(ended.stderr.splitlines()) == 1
    return winners[0], max(ended.seconds for ended in losers)


def require_free(lab: Laboratory, out: Path) -> None:
    """The next start takes the run over without any help."""
    trial = lab.server.start(lab.words(out, resume=True, steps=LONG))
    while trial.alive and owner(out) != trial.pid:
        time.sleep(0.005)
    ended = trial.send(SIGTERM).wait().require(143)
    assert "written by" not in ended.stderr
    require_intact(out)
    assert owner(out) is None


def owner(out: Path) -> int | None:
    path = Run(out).owner
    return int(read_json(path)["pid"]) if path.exists() else None


@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=pytest.mark.campaign)])
def test_of_eight_processes_one_writes_and_a_killed_one_leaves_no_lock(lab: Laboratory, rounds: int) -> None:
    for number in range(rounds):
        starter: Starter = lab.processes if number % 5 < 3 else lab.server
        out = lab.new_run()
        winner, seconds = race(lab, starter, out)
        assert owner(out) == winner.pid
        time.sleep(0.1 * (number % 20))  # at different places of its way
        winner.send(SIGKILL).wait().require(-SIGKILL)
        require_free(lab, out)
        print(f"round {number}: {'processes' if starter is lab.processes else 'forks'}, the last of seven left after {seconds:.2f} s")
        assert rounds == 5 or starter is lab.processes or seconds < LOSER_SECONDS


def test_a_name_left_behind_by_a_killed_writer_is_not_taken_for_the_owner(lab: Laboratory) -> None:
    out = lab.new_run()
    first = lab.server.start(lab.words(out, steps=LONG)).wait_until("step 1 ")
    first.send(SIGKILL).wait().require(-SIGKILL)
    assert owner(out) == first.pid
    second = lab.server.start(lab.words(out, resume=True, steps=LONG)).wait_until("resuming")
    third = lab.server.run(lab.words(out, resume=True, steps=LONG)).require(2)
    assert f"process {second.pid} " in third.sentence
    second.send(SIGTERM).wait().require(143)


def test_what_a_living_owner_writes_meanwhile_is_no_strangers_file(tmp_path: Path) -> None:
    run = Run(tmp_path / "out")
    with run.writing(worth=run.path):
        (run.path / "manifest-to-be.json").write_text("{}")
        run.require_ours()
    for host in (os.uname().nodename, "elsewhere"):  # a name that was left behind holds nothing
        run.owner.write_text(json.dumps({"pid": os.getpid(), "host": host}))
        with pytest.raises(RunError, match="no run of newleaf"):
            run.require_ours()
