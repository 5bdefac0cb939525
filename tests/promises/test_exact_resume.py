"""The promise "Nothing is lost": a run that was killed anywhere goes on to the same bits, and a signal saves before it leaves.

These are real processes. `lab/bench/kill.py -n N` kills as often as one likes; `make campaign` a thousand times and more.
"""

import random
from collections.abc import Iterator

import pytest
from reliability.harness import Laboratory, laboratory, number_of, require_intact, require_no_orphans
from reliability.killing import kill_until, working_seconds

from newleaf.runs import Run


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.mark.parametrize("kills", [20, pytest.param(100, marks=pytest.mark.campaign)])
def test_real_processes_killed_anywhere_end_in_the_same_bits(lab: Laboratory, kills: int) -> None:
    report = kill_until(lab, lab.processes, kills, seed=1000, seconds=working_seconds(lab, lab.processes))
    print(report)
    assert not report.failures
    assert report.kills >= kills
    assert report.inside_a_save >= kills // 5


@pytest.mark.parametrize("kills", [20, pytest.param(1000, marks=pytest.mark.campaign)])
def test_forks_killed_anywhere_end_in_the_same_bits(lab: Laboratory, kills: int) -> None:
    report = kill_until(lab, lab.server, kills, seed=2000, seconds=working_seconds(lab, lab.server))
    print(report)
    assert not report.failures
    assert report.inside_a_save >= kills // 5


@pytest.mark.parametrize(("name", "code"), {"SIGINT": 130, "SIGTERM": 143}.items())
def test_a_signal_saves_leaves_with_its_code_and_resumes_to_the_same_bits(lab: Laboratory, name: str, code: int) -> None:
    out, steps = lab.new_run(), random.Random(name).randint(1, 4)
    trial = lab.processes.start([*lab.words(out), "--json"]).wait_until(f"step {6 * steps} ·" if steps < 4 else "step 1 ·")
    ended = trial.send(number_of(name)).wait().require(code)
    saved = require_intact(out)
    assert saved > 0
    assert ended.sentence.startswith("stopped by a signal")
    assert Run(out).read_summary()["stopped_by"] == "signal"
    require_no_orphans(trial.pid)
    lab.require_same_end(out)


def test_two_threads_end_in_the_same_bits_too(lab: Laboratory) -> None:
    settings = {"train__threads": 2, "train__dropout": 0.1}
    out = lab.new_run()
    lab.processes.start(lab.words(out, **settings)).wait_until("step 12 ·").send(number_of("SIGKILL")).wait()
    lab.processes.start(lab.words(out, resume=True, **settings)).wait().require(0)
    lab.require_same_end(out, **settings)
