"""A peer's training in the seconds of the budget: it has no clock, so its number of iterations is found first.

A calibration, which costs nothing, runs some twenty-five iterations and is stopped; its seconds an iteration give the number for the
budget, and the peer's schedule spans exactly these. If the loop then took more or less than a tolerance allows, it runs again with the
number corrected; where no attempt hits, because the machine changes its speed, there is no line. The grid, which tells settings far
apart from each other, allows more than the race. What counts is the loop alone, its first iteration (compilation, a first evaluation)
as if it were like the others: imports, tokenizer, reading and writing are a present to the peers.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from peers.settings import Setting
from peers.texts import RaceError
from peers.tool import Command, Peer, emptied

WARM, ENOUGH, LONG_ENOUGH = 5, 30, 15.0  # iterations that do not count, iterations in all, or seconds
FAR = 1_000  # iterations that a calibration asks for
ATTEMPTS = 4
RACE, GRID = (-0.05, 0.03), (-0.1, 0.1)  # of the budget: less and more


@dataclass(frozen=True)
class Timing:
    """What a run took."""

    iterations: int
    seconds: float  # of the loop: what is held against the budget
    wall_seconds: float  # of the process
    attempts: int


class Unsteady(RaceError):
    """No attempt took the seconds of the budget."""


def counted(seconds: list[float]) -> float:
    """Of a loop, its first iteration taken as the mean of the others.

    >>> counted([30.0, 1.0, 2.0])
    4.5
    """
    rest = seconds[1:] or seconds
    return sum(rest) / len(rest) * len(seconds)


def within(budget: float, tolerance: tuple[float, float], peer: Peer, data: Path, setting: Setting, out: Path, seed: int) -> Timing:
    """Train in `budget` seconds, `tolerance` of them less or more; the weights are in `out`."""
    number = max(1, round(budget / calibrate(peer.command(data, setting, FAR, emptied(out), seed), out)))
    for attempt in range(1, ATTEMPTS + 1):
        began = time.perf_counter()
        seconds = list(iterations(peer.command(data, setting, number, emptied(out), seed), out))[:number]
        wall = time.perf_counter() - began
        if len(seconds) < number:
            raise RaceError(f"{peer.name} {setting.name} ended after {len(seconds)} of {number} iterations: see {log_of(out)}.")
        timing = Timing(number, counted(seconds), wall, attempt)
        number = max(1, round(number * budget / timing.seconds))
        if tolerance[0] <= timing.seconds / budget - 1 <= tolerance[1] or number == timing.iterations:
            return timing
    raise Unsteady(f"{peer.name} {setting.name} took {timing.seconds:.0f} of {budget:.0f} s at its last attempt: run it again later.")


def calibrate(command: Command, out: Path) -> float:
    """Seconds an iteration, of some that are run and stopped."""
    seconds = list(iterations(command, out, stop=lambda seen: len(seen) >= ENOUGH or (len(seen) > 3 and sum(seen[1:]) > LONG_ENOUGH)))
    settled = seconds[min(WARM, len(seconds) // 2) :]
    if not settled:
        raise RaceError(f"A peer did not begin to train: see {log_of(out)}.")
    return sum(settled) / len(settled)


def iterations(command: Command, out: Path, stop: Callable[[list[float]], bool] = lambda seen: False) -> Iterator[float]:
    """The seconds of each iteration, as the process prints them; what it prints is kept beside `out`."""
    seen = list[float]()
    with log_of(out).open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command.words,
            cwd=command.folder,
            env=command.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # with the processes that compile for it
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                log.write(line)
                if found := command.timing.search(line):
                    seen.append(float(found[2]) / 1000)
                    yield seen[-1]
                    if stop(seen):
                        return
            if process.wait():
                raise RaceError(f"A peer failed: see the end of {log_of(out)}.")
        finally:
            end(process)


def end(process: subprocess.Popen[str]) -> None:
    """Stop a process and its children, if they still run."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def log_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.log")
