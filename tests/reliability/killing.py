"""kill -9 at any moment, and again while the run resumes, until it has finished: what comes out is the run that was never stopped.

Six of ten kills come at a drawn disk operation of a save, the others after a drawn time. The seed of a run decides both.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from reliability.harness import CHECKPOINT_EVERY, Fault, Laboratory, Starter, figures, number_of, require_intact, require_no_leftovers

from newleaf.fsio import RETIRED, TEMPORARY
from newleaf.runs import Run, read_lines

IN_SAVES = 0.6  # share of the kills that are aimed at a disk operation
OPERATIONS = {"checkpoints": 220, "model.safetensors": 120, "": 300}  # of about two saves, on paths with that word
SIGKILL = number_of("SIGKILL")


@dataclass
class Report:
    """What became of the kills."""

    kills: int = 0
    inside_a_save: int = 0  # of them: something half written stood in checkpoints/
    runs: int = 0
    seeds: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def kill_until(lab: Laboratory, starter: Starter, kills: int, seed: int, seconds: float) -> Report:
    """Runs, each with its own seed from `seed` on, until so many kills have hit. `seconds`: about how long a run works."""
    report = Report()
    while report.kills < kills:
        run_seed = seed + report.runs
        report.runs += 1
        report.seeds.append(run_seed)
        try:
            kill_one_run(lab, starter, run_seed, seconds, report)
        except AssertionError as failure:
            report.failures.append(f"seed {run_seed}: {failure}")
    return report


def kill_one_run(lab: Laboratory, starter: Starter, seed: int, seconds: float, report: Report) -> None:
    """One run, killed again and again; AssertionError if anything is lost."""
    unbroken, out, newest = lab.unbroken(), lab.new_run(), 0
    for fault, after_seconds in aims(random.Random(seed), seconds):
        trial = starter.start(lab.words(out, resume=True), fault)
        if after_seconds is not None:
            trial.wait_until("\n")
            time.sleep(after_seconds)
            trial.send(SIGKILL)
        ended = trial.wait().require(0, -SIGKILL)
        if ended.code == 0:
            break
        report.kills += 1
        report.inside_a_save += any(path.name.startswith((TEMPORARY, RETIRED)) for path in (out / "checkpoints").glob("*"))
        saved = require_intact(out)
        reached = max((line["step"] for line in read_lines(Run(out).metrics)), default=0)
        assert newest <= saved, f"step {newest} was saved and is lost: step {saved} is the newest"
        assert reached <= saved + CHECKPOINT_EVERY, f"step {reached} was reached, and only {saved} is saved"
        newest = saved
    assert figures(out) == unbroken
    require_no_leftovers(out)


def aims(source: random.Random, seconds: float) -> Iterator[tuple[Fault | None, float | None]]:
    """Endlessly: a fault that kills at a disk operation, or a time after which to kill."""
    while True:
        if source.random() < IN_SAVES:
            within = source.choice(["checkpoints", "checkpoints", "model.safetensors", ""])
            yield {"disk": source.randint(1, OPERATIONS[within]), "within": within, "do": {"signals": ["SIGKILL"]}}, None
        else:
            yield None, source.uniform(0, seconds)


def working_seconds(lab: Laboratory, starter: Starter) -> float:
    """How long a run works after its first words, on this machine and now."""
    trial = starter.start(lab.words(lab.new_run())).wait_until("\n")
    began = time.monotonic()
    trial.wait().require(0)
    return time.monotonic() - began
