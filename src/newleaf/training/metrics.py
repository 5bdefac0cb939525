"""metrics.jsonl: one line a step from 1. After a resume or a step back each step stands once."""

import json
from pathlib import Path
from typing import Any

from newleaf import fsio, runs


class Metrics:
    """Appends a line when a step and what follows it are done. Lines beyond `step` are of steps that were undone."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        self._row: dict[str, Any] = {}
        self._writer: fsio.Writer | None = None
        self.rewind(step)

    def begin(self, row: dict[str, Any]) -> None:
        """The figures of a step."""
        self._row = row

    def add(self, **figures: float) -> None:
        """Evaluation figures for the step's line."""
        self._row |= figures

    def end(self) -> None:
        """Write the line. It need not be durable yet: before a checkpoint comes `sync`, and a resume from an older one writes it again."""
        assert self._writer is not None
        with fsio.named_errors(self._path):
            self._writer.write(json.dumps(self._row).encode() + b"\n")

    def sync(self) -> None:
        """Wait until all lines are durable."""
        assert self._writer is not None
        with fsio.named_errors(self._path):
            self._writer.sync()

    def rewind(self, step: int) -> None:
        """Keep the lines up to `step` and go on after them."""
        self.close()
        rows = [row for row in runs.read_lines(self._path) if row.get("step", 0) <= step]
        runs.rewrite_lines(self._path, rows)
        self._writer = fsio.Writer(self._path, append=True)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
