"""The tests' side of a reliability trial: a tiny run, processes that run it, and what is compared when they have ended.

Every trial is the real command line. A fork of a server that has imported torch once costs 0.3 s, a real process 3 s: most trials
are forks, a fixed share are processes. What a test draws by chance it draws from a seed that it prints.
"""

import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from newleaf.checkpoint import store
from newleaf.checkpoint.seal import seal_problem
from newleaf.fsio import RETIRED, TEMPORARY
from newleaf.runs import Run, read_lines

LAUNCHER = Path(__file__).with_name("trial.py")
PATIENCE_SECONDS = 180.0  # before a trial is taken for hung; nothing is measured by it
STEPS, CHECKPOINT_EVERY, EVALUATE_EVERY, CONTEXT, ROWS = 24, 4, 6, 64, 4
SETTINGS: dict[str, Any] = {
    "model.width": 64,
    "model.depth": 2,
    "model.context": CONTEXT,
    "data.vocab_size": 320,
    "train.batch_tokens": CONTEXT * ROWS,
    "train.threads": 1,
    "train.precision": "float32",
    "train.checkpoint_every": CHECKPOINT_EVERY,
    "train.evaluate_every": EVALUATE_EVERY,
    "train.sample_every": 1000,
}
CLOCKS = {"seconds", "tokens_per_second"}  # of a line in metrics.jsonl: the only figures that may differ
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1", "NEWLEAF_LANG": "en"}
Fault = dict[str, Any]


def write_text(path: Path, words: int = 3000) -> Path:
    """A few KB of lines that repeat enough to be learned from."""
    source = random.Random(7)
    letters = "aeioulnrst"
    known = ["".join(source.choices(letters, k=source.randint(2, 6))) for _ in range(90)]
    drawn = source.choices(known, weights=[1 / (place + 1) for place in range(len(known))], k=words)
    lines = (" ".join(drawn[start : start + 9]) for start in range(0, words, 9))
    path.write_text("".join(f"{line}.\n" for line in lines), "utf-8")
    return path


def train_words(text: Path, out: Path, resume: bool = False, steps: int = STEPS, **settings: Any) -> list[str]:
    """What a person types; `settings` with __ for the dot."""
    chosen = SETTINGS | {name.replace("__", "."): value for name, value in settings.items()}
    flags = [word for name, value in chosen.items() for word in (f"--{name}", str(value))]
    return ["train", str(text), "--out", str(out), "--steps", str(steps), *flags, *(["--resume"] if resume else [])]


# trials -----------------------------------------------------------------------------------------------------------------


@dataclass
class Ended:
    """How a trial ended. `code` is minus the signal's number where one ended it."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def sentence(self) -> str:
        """The last line on stderr."""
        lines = self.stderr.strip().splitlines()
        return lines[-1] if lines else ""

    def require(self, *codes: int) -> "Ended":
        """AssertionError with everything the trial said, if it ended otherwise or with a traceback."""
        assert self.code in codes, f"exit {self.code}, not {codes}\n{self.stderr}"
        assert "Traceback" not in self.stderr, self.stderr
        return self


@dataclass
class Trial:
    """A process on its way."""

    pid: int
    folder: Path  # of its stdout and stderr
    server: "Server | None" = None
    popen: "subprocess.Popen[bytes] | None" = None
    began: float = field(default_factory=time.monotonic)

    @property
    def said(self) -> str:
        """On stderr, so far."""
        return self._read("stderr")

    def wait_until(self, said: str, seconds: float = PATIENCE_SECONDS) -> "Trial":
        """Until stderr holds these words or the process has ended."""
        deadline = time.monotonic() + seconds
        while said not in self.said and self.alive and time.monotonic() < deadline:
            time.sleep(0.005)
        return self

    def wait_until_it_listens(self, seconds: float = PATIENCE_SECONDS) -> "Trial":
        """Until the process has a handler for the last of its signals: before that the interpreter itself has not started yet."""
        status, deadline = Path(f"/proc/{self.pid}/status"), time.monotonic() + seconds
        wanted = 1 << (signal.SIGUSR1 - 1)
        while self.alive and time.monotonic() < deadline:
            caught = next((line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigCgt")), "0")
            if int(caught, 16) & wanted:
                break
            time.sleep(0.002)
        return self

    @property
    def alive(self) -> bool:
        try:
            return psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def send(self, *signals: int) -> "Trial":
        """Signals to the process, if it is still there."""
        for number in signals:
            if self.alive:
                os.kill(self.pid, number)
        return self

    def wait(self, seconds: float = PATIENCE_SECONDS) -> Ended:
        """The end of it; AssertionError, with what it said, if it hangs."""
        if self.server is not None:
            code = self.server.ask({"wait": self.pid, "seconds": seconds})["status"]
        else:
            assert self.popen is not None
            try:
                code = self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
                code = None
        assert code is not None, f"hung for {seconds} s\n{self.said}"
        return Ended(code, self._read("stdout"), self.said, time.monotonic() - self.began)

    def _read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text("utf-8", errors="replace") if path.exists() else ""


class Server:
    """Starts trials as forks of one process that has imported torch: parent of none of the threads that a fork would lose."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._numbers = folder, itertools.count()
        self._process = subprocess.Popen(
            [sys.executable, str(LAUNCHER), "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | ENVIRONMENT,
            text=True,
        )
        self._read()

    def start(self, words: Sequence[str], fault: Fault | None = None, log: Path | None = None) -> Trial:
        folder = self.folder / f"trial-{next(self._numbers)}"
        folder.mkdir()
        output = {name: str(folder / name) for name in ("stdout", "stderr")}
        answer = self.ask({"start": output | {"words": list(words), "fault": fault, "log": str(log) if log else None}})
        return Trial(answer["pid"], folder, server=self)

    def run(self, words: Sequence[str], fault: Fault | None = None, log: Path | None = None) -> Ended:
        return self.start(words, fault, log).wait()

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the server of forks has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the server; its children end with it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Processes:
    """The same, each trial a real process of its own session."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._numbers = folder, itertools.count()

    def start(self, words: Sequence[str], fault: Fault | None = None, log: Path | None = None) -> Trial:
        folder = self.folder / f"process-{next(self._numbers)}"
        folder.mkdir()
        trial = {"words": list(words), "fault": fault, "log": str(log) if log else None}
        command = [str(LAUNCHER), json.dumps(trial)] if fault or log else ["-m", "newleaf", *words]
        with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
            popen = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=os.environ | ENVIRONMENT,
                start_new_session=True,
            )
        return Trial(popen.pid, folder, popen=popen)

    def run(self, words: Sequence[str], fault: Fault | None = None, log: Path | None = None) -> Ended:
        return self.start(words, fault, log).wait()


Starter = Server | Processes


# what is compared -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """Everything of a finished run that may not depend on how often it was stopped."""

    model: str  # sha256 of model.safetensors
    lines: tuple[dict[str, Any], ...]  # of metrics.jsonl, without clocks
    best_step: int
    val_bpb: float


def figures(out: Path) -> Figures:
    """Of a finished run."""
    run = Run(out)
    summary = run.read_summary()
    assert summary["stopped_by"] == "budget", summary
    lines = tuple({name: value for name, value in line.items() if name not in CLOCKS} for line in read_lines(run.metrics))
    assert [line["step"] for line in lines] == list(range(1, summary["steps"] + 1)), "metrics.jsonl holds each step once, in order"
    return Figures(hashlib.sha256(run.model.read_bytes()).hexdigest(), lines, summary["best_step"], summary["val_bpb"])


def require_intact(out: Path) -> int:
    """What holds at any moment, whoever was killed: nothing that can be read is damaged. Returns the newest saved step, 0 for none."""
    run = Run(out)
    if run.model.exists():
        assert seal_problem(run.model) is None
    found, damaged = store.latest(run.checkpoints)
    assert not damaged, damaged
    return found.state.step if found else 0


def require_no_leftovers(out: Path) -> None:
    """Nothing temporary stays behind."""
    left = [str(path) for path in out.rglob("*") if path.name.startswith((TEMPORARY, RETIRED))]
    assert not left, left


def require_no_orphans(pid: int) -> None:
    """No process of the trial's session is left."""
    orphans = [process.pid for process in psutil.process_iter() if session_of(process.pid) == pid and process.pid != pid]
    assert not orphans, orphans


def session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def number_of(name: str) -> int:
    """SIGTERM -> 15"""
    return int(getattr(signal, name))


@dataclass
class Laboratory:
    """A text, both kinds of trials, and the runs that were never stopped, each made once."""

    folder: Path
    text: Path
    server: Server
    processes: Processes
    _unbroken: dict[tuple[str, ...], Figures] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def new_run(self) -> Path:
        """A place for a run."""
        return self.folder / f"run-{next(self._numbers)}"

    def words(self, out: Path, resume: bool = False, **settings: Any) -> list[str]:
        return train_words(self.text, out, resume, **settings)

    def unbroken(self, log: Path | None = None, **settings: Any) -> Figures:
        """Of the run with these settings that nothing ever stopped."""
        key = tuple(self.words(Path("run"), **settings))
        if key not in self._unbroken or log:
            out = self.new_run()
            self.server.run(self.words(out, **settings), log=log).require(0)
            self._unbroken[key] = figures(out)
        return self._unbroken[key]

    def require_same_end(self, out: Path, **settings: Any) -> Ended:
        """Resume a run to its end; AssertionError if it is not what it would have been without a stop."""
        ended = self.server.run(self.words(out, resume=True, **settings)).require(0)
        assert figures(out) == self.unbroken(**settings)
        require_no_leftovers(out)
        return ended


@contextmanager
def laboratory(folder: Path) -> Iterator[Laboratory]:
    """Everything that the tests of one process share."""
    server = Server(folder)
    try:
        yield Laboratory(folder, write_text(folder / "text.txt"), server, Processes(folder))
    finally:
        server.close()
