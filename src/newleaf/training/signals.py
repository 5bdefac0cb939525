"""A signal asks for the end; training saves and leaves. A second Ctrl-C leaves at once."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

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
    numbers = [getattr(signal, name) for name in EXIT_CODES if hasattr(signal, name)]
    before = {number: signal.signal(number, stop._handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
