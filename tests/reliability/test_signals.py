"""A signal at any moment: the state is saved, the exit code says which it was, nobody is left behind, and no bit is lost."""

import json
import random
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from reliability.harness import Ended, Fault, Laboratory, Trial, figures, number_of, require_intact, require_no_orphans
from reliability.killing import working_seconds

from newleaf.runs import Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads from /proc when a process has begun to listen")

CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 143, "SIGUSR1": 143}
EXIT_SECONDS = 10.0  # judged in the campaign alone
PAUSE_SECONDS = 0.3  # between STOP and CONT
IMPORT_SECONDS = 2.0  # about what comes before a run's first words


@dataclass(frozen=True)
class Row:
    """Signals, and the moment at which they come: a place in the program, or None for a drawn time."""

    signals: tuple[str, ...]
    moment: str | None = None
    at: int = 1
    saves: bool = True  # whether the answer is a sentence; a second Ctrl-C gets none

    @property
    def code(self) -> int:
        return CODES[self.signals[0]]

    def fault(self) -> Fault | None:
        do = {"signals": list(self.signals)}
        if self.moment in ("checkpoints", "train-00000.bin", "summary.json"):
            return {"disk": self.at, "within": self.moment, "do": do}
        return {"moment": self.moment, "at": self.at, "do": do} if self.moment else None


MOMENTS = {
    "TERM while the text is read": Row(("SIGTERM",), "surveying"),
    "INT in tokenizing": Row(("SIGINT",), "tokenizing"),
    "HUP while tokens are written": Row(("SIGHUP",), "train-00000.bin", 3),
    "USR1 in planning": Row(("SIGUSR1",), "planning"),
    "TERM before the first step": Row(("SIGTERM",), "baselines"),
    "INT in a save": Row(("SIGINT",), "checkpoints", 75),
    "HUP in an evaluation": Row(("SIGHUP",), "evaluation", 2),
    "USR1 in the final evaluation": Row(("SIGUSR1",), "evaluation", 5),
    "INT INT in a save": Row(("SIGINT", "SIGINT"), "checkpoints", 100, saves=False),
    "TERM TERM in a step": Row(("SIGTERM", "SIGTERM"), "step", 9),
}
TIMES = [Row((name,)) for name in CODES] + [Row(("SIGINT", "SIGINT"), saves=False), Row(("SIGSTOP", "SIGCONT"))]


def require_good_end(lab: Laboratory, out: Path, trial: Trial, ended: Ended, row: Row) -> None:
    """The exit code, the sentence, nothing damaged, nobody left, and the same bits after a bare --resume."""
    if ended.code == 0:  # the signal came in the last few lines of the process
        assert figures(out) == lab.unbroken()
        return
    ended.require(row.code)
    if row.saves:
        assert ended.sentence.startswith("stopped by "), ended.stderr
    require_no_orphans(trial.pid)
    saved = require_intact(out)
    if "everything is saved" in ended.sentence:
        assert f"at step {saved}," in ended.sentence or "final evaluation" in ended.sentence
        assert Run(out).read_summary()["stopped_by"] == "signal"
    known = Run(out).plan.exists() or Run(out).asked.exists()
    words = ["train", "--resume", "--out", str(out)] if known else lab.words(out, resume=True)
    lab.server.run(words).require(0)
    assert figures(out) == lab.unbroken()


@pytest.mark.parametrize("name", MOMENTS)
def test_a_signal_at_a_moment_is_answered_and_costs_no_bit(lab: Laboratory, name: str) -> None:
    row, out = MOMENTS[name], lab.new_run()
    trial = lab.processes.start(lab.words(out), row.fault())
    ended = trial.wait()
    assert ended.code == row.code, ended.stderr
    require_good_end(lab, out, trial, ended, row)


@pytest.mark.parametrize("trials", [12, pytest.param(200, marks=pytest.mark.campaign)])
def test_signals_at_drawn_times_are_answered_and_cost_no_bit(lab: Laboratory, trials: int) -> None:
    seconds = IMPORT_SECONDS + working_seconds(lab, lab.processes)
    for seed in range(trials):
        row, after = TIMES[seed % len(TIMES)], random.Random(seed).uniform(0, seconds)
        print(f"seed {seed}: {' '.join(row.signals)} after {after:.2f} of {seconds:.2f} s")
        starter = lab.processes if seed < len(TIMES) or trials > 12 else lab.server
        out = lab.new_run()
        trial = starter.start(lab.words(out)).wait_until_it_listens()
        time.sleep(after if starter is lab.processes else after / 4)
        began = time.monotonic()
        for name in row.signals:
            trial.send(number_of(name))
            time.sleep(PAUSE_SECONDS if name == "SIGSTOP" else 0.02)
        ended = trial.wait()
        if trials > 12 and row.signals[0] != "SIGSTOP":
            assert time.monotonic() - began < EXIT_SECONDS
        if row.signals[0] == "SIGSTOP":
            ended.require(0)
        require_good_end(lab, out, trial, ended, row)


def test_a_run_under_nohup_outlives_its_terminal(lab: Laboratory) -> None:
    out, before = lab.new_run(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        trial = lab.processes.start(lab.words(out))
    finally:
        signal.signal(signal.SIGHUP, before)
    ended = trial.wait_until("step 6 ·").send(signal.SIGHUP).wait().require(0)
    assert "stopped" not in ended.sentence
    assert figures(out) == lab.unbroken()


@pytest.mark.parametrize("words", ["--resume", "--extend --steps 4"])
def test_a_signal_before_training_goes_on_prints_the_summary_that_stands(lab: Laboratory, words: str) -> None:
    stopped, source = lab.new_run(), random.Random(words)
    fault = None if "extend" in words else {"moment": "step", "at": 14, "do": {"signals": ["SIGTERM"]}}
    lab.server.run(lab.words(stopped), fault=fault).require(0, 143)
    for number, (name, code) in enumerate(CODES.items()):
        out = lab.new_run()
        shutil.copytree(stopped, out)
        command = ["train", "--out", str(out), *words.split(), "--json"]
        if number % 2:
            moment = {"moment": "loading", "at": 1, "do": {"signals": [name]}}
            ended = lab.server.run(command, fault=moment).require(code)
        else:
            trial = lab.processes.start(command).wait_until_it_listens()
            time.sleep(source.uniform(0, IMPORT_SECONDS / 2))
            ended = trial.send(number_of(name)).wait().require(code)
        assert json.loads(ended.stdout)["steps"] == (14 if "resume" in words else 24)
        assert ended.sentence.startswith("stopped by ")
