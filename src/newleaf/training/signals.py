"""A signal asks for the end; training saves and leaves. A second Ctrl-C leaves at once.

Where HUP was ignored from the start (nohup), it stays ignored: the run is meant to outlive its terminal.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from newleaf.errors import Interrupted

EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 143, "SIGUSR1": 143}  # HUP and USR1 act as TERM


class Stop:
    """Set by the first signal; asked between micro-batches."""

    def __init__(self) -> None:
        self.exit_code: int | None = None

    @property
    def requested(self) -> bool:
        return self.exit_code is not None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if name == "SIGINT" and self.exit_code == EXIT_CODES["SIGINT"]:
            os._exit(EXIT_CODES["SIGINT"])
        self.exit_code = EXIT_CODES[name]


@contextmanager
def listening() -> Iterator[Stop]:
    """Take the signals for the time of the block. In a thread that is not the main one, Python gives none: Stop stays quiet."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop._handle) for number in numbers()}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Leave(KeyboardInterrupt):
    """TERM, HUP or USR1 while there is nothing to save. As for Ctrl-C, no `except Exception` on the way (torch has some) stops it."""


def raise_until_listening() -> None:
    """Until training listens, TERM, HUP and USR1 end the command as Ctrl-C does: by an exception, so that it can say so."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise Leave

    for number in numbers():
        if number != signal.SIGINT:
            signal.signal(number, leave)


def farewell(asked: KeyboardInterrupt) -> Interrupted:
    """What is said then."""
    name, code = ("a signal", EXIT_CODES["SIGTERM"]) if isinstance(asked, Leave) else ("Ctrl-C", EXIT_CODES["SIGINT"])
    return Interrupted(f"stopped by {name}, nothing was to be saved", exit_code=code)


def ignore() -> None:
    """From here on nothing stops the last few lines of the process."""
    for number in numbers():
        signal.signal(number, signal.SIG_IGN)


def numbers() -> list[signal.Signals]:
    """The signals that this system has, but for a HUP that somebody wants ignored."""
    here = [signal.Signals[name] for name in EXIT_CODES if hasattr(signal, name)]
    return [number for number in here if number.name != "SIGHUP" or signal.getsignal(number) != signal.SIG_IGN]
