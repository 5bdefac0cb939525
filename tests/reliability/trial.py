"""The child's side of a reliability trial: the real command line in a process of its own, hit by a fault at a chosen moment.

    python trial.py '{"words": ["train", …], "fault": {…}}'     one real process
    python trial.py --serve                                     imports torch once, then a fork for each line on stdin

A fault is one of these, or a moment and another, and none is fine:

    {"disk": k, "within": "checkpoints", "do": ACTION}   at the k-th disk operation on a path that holds that word
    {"moment": NAME, "at": k, "do": ACTION}              when one of MOMENTS begins for the k-th time
    {"inject": NAME, "step": k, "times": n}              a number goes wrong inside a step (injections.py)
    {"short": ERROR, "rows": n, "step": k}               memory runs out (shortages.py)
    {"limit": BYTES}                                     memory really does: the system gives no more than this beside torch

ACTION is {"signals": ["SIGINT", …]} or {"error": "ENOSPC"}. `log` names a file that gets a line for each disk operation.
"""

import ctypes
import errno
import faulthandler
import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from newleaf import fsio

Fault = dict[str, Any]
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
POLL_SECONDS = 0.01
MOMENTS = {
    "surveying": "newleaf.training.prepare:survey",
    "tokenizing": "newleaf.tokens.tokenizer:Tokenizer.save",
    "encoding": "newleaf.training.prepare:write_shards",
    "planning": "newleaf.jobs.setup:make_plan",
    "baselines": "newleaf.jobs.pretrain:baselines",
    "step": "newleaf.cli.console:Console.step",
    "evaluation": "newleaf.evaluation.bits:score",
    "sample": "newleaf.jobs.job:Job.on_sample",
    "saving": "newleaf.checkpoint.store:save",
    "loading": "newleaf.checkpoint.store:load",
    "keeping": "newleaf.jobs.pretrain:write_model",
}


class FaultyDisk(fsio.Disk):
    """The disk, until the k-th operation on a path that holds `within`; half of a write that is hit still arrives."""

    def __init__(self, fault: Fault, log: Path | None) -> None:
        self.at, self.within, self.do = fault.get("disk", 0), fault.get("within", ""), fault.get("do", {})
        self.count, self.paths = 0, dict[int, Path]()
        self.log = log.open("a", buffering=1) if log else None

    def hits(self, operation: str, path: Path) -> bool:
        """Whether this is the operation that the fault waits for."""
        if self.log:
            self.log.write(f"{operation} {path}\n")
        self.count += self.within in str(path)
        return bool(self.at) and self.count == self.at and self.within in str(path)

    def tick(self, operation: str, path: Path) -> None:
        if self.hits(operation, path):
            act(self.do)

    def create(self, path: Path) -> int:
        self.tick("create", path)
        handle = super().create(path)
        self.paths[handle] = path
        return handle

    def append(self, path: Path) -> int:
        self.tick("append", path)
        handle = super().append(path)
        self.paths[handle] = path
        return handle

    def write(self, handle: int, data: fsio.Buffer) -> int:
        if self.hits("write", self.paths[handle]):
            written = super().write(handle, memoryview(data)[: max(1, len(data) // 2)])
            act(self.do)
            return written
        return super().write(handle, data)

    def sync(self, handle: int) -> None:
        self.tick("sync", self.paths[handle])
        super().sync(handle)

    def rename(self, old: Path, new: Path) -> None:
        self.tick("rename", new)
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self.tick("remove", path)
        super().remove(path)

    def make_folder(self, path: Path) -> None:
        self.tick("make_folder", path)
        super().make_folder(path)

    def remove_folder(self, path: Path) -> None:
        self.tick("remove_folder", path)
        super().remove_folder(path)

    def sync_folder(self, path: Path) -> None:
        self.tick("sync_folder", path)
        super().sync_folder(path)


def act(do: dict[str, Any]) -> None:
    """Carry out an ACTION."""
    for name in do.get("signals", ()):
        os.kill(os.getpid(), getattr(signal, name))
    if "error" in do:
        number = getattr(errno, do["error"])
        raise OSError(number, os.strerror(number))


def interrupt(moment: str, at: int, do: dict[str, Any]) -> None:
    """Act when a function of newleaf is called for the `at`-th time, then go on into it."""
    module_name, _, path = MOMENTS[moment].partition(":")
    owner: Any = importlib.import_module(module_name)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    real: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def hit(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            act(do)
        return real(*arguments, **named)

    setattr(owner, name, hit)


def limit(num_bytes: int) -> None:
    """From here on the system gives this process no more than `num_bytes`, whatever the import of torch has taken already."""
    importlib.import_module("torch")
    status = Path("/proc/self/status").read_text().splitlines()
    taken = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (taken + num_bytes, taken + num_bytes))


def run(trial: dict[str, Any]) -> int:
    """The command line with these words, under this fault; its exit code."""
    fault: Fault = trial.get("fault") or {}
    sys.argv = ["newleaf", *trial["words"]]
    if "disk" in fault or trial.get("log"):
        fsio.disk = FaultyDisk(fault, Path(trial["log"]) if trial.get("log") else None)
    if "moment" in fault:
        interrupt(fault["moment"], fault["at"], fault["do"])
    if "limit" in fault:
        limit(fault["limit"])
    if "short" in fault:
        import shortages

        shortages.install(fault)
    if "inject" in fault:
        from reliability import injections

        injections.install(fault)
    from newleaf.__main__ import main

    try:
        main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def die_with_parent() -> None:
    """No trial outlives the tests. Linux only; elsewhere the tests' own clean-up has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)


def serve() -> None:
    """Fork a child for each {"start": trial}, answer with its pid; {"wait": pid, "seconds": s} answers with how it ended."""
    from newleaf import runtime
    from newleaf.cli import train
    from newleaf.jobs import pretrain

    assert train and pretrain
    measure = runtime.matmul_seconds
    runtime.matmul_seconds = lambda device, precision, products, side=2048: measure(device, precision, products, 64)  # no bit hangs on it
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        answer = {"pid": fork(order["start"])} if "start" in order else {"status": wait(order["wait"], order["seconds"])}
        print(json.dumps(answer), flush=True)


def fork(trial: dict[str, Any]) -> int:
    """A child that runs the trial, its output in files."""
    pid = os.fork()
    if pid:
        return pid
    code = 70  # a crash of the harness itself
    try:
        die_with_parent()
        os.setsid()
        for number, name in ((1, "stdout"), (2, "stderr")):
            handle = os.open(trial[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = run(trial)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(pid: int, seconds: float) -> int | None:
    """The exit code, minus the signal's number where one ended it, or None where the child had to be ended here."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    faulthandler.enable()
    sys.path.insert(0, str(Path(__file__).parents[1]))
    die_with_parent()
    if sys.argv[1] == "--serve":
        serve()
    else:
        sys.exit(run(json.loads(sys.argv[1])))
