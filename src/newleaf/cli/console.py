"""Progress on stderr: a live line in a terminal, plain lines elsewhere; one line a stage, then the next command."""

import os
import sys
import time
from typing import Any

from newleaf.jobs.view import View
from newleaf.training.plan import Plan

PLAIN_SECONDS = 10.0  # between two lines where stderr is no terminal
LIVE_SECONDS = 0.2


class Console(View):
    """What a person sees while training."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._due, self._width, self._val, self._out = 0.0, 0, "", ""

    def event(self, sentence: str) -> None:
        self._print(sentence)

    def plan(self, plan: Plan, manifest: dict[str, Any]) -> None:
        config, skipped = plan.config, manifest.get("num_skipped", 0)
        if skipped:
            self._print(f"left out {skipped:,} files or rows that hold no text (data/manifest.json names them)")
        self._print(
            f"{plan.foreseen['parameters']:,.0f} parameters: {config.depth} layers of {config.width}, vocabulary {config.vocab_size:,}, "
            f"context {config.context}, {plan.batch_tokens:,} tokens a step, {plan.recipe.train.precision}, {plan.recipe.train.threads} threads"
        )
        for name, reason in plan.reasons.items():
            self._print(f"  {name}: {reason[0]}")

    def step(self, row: dict[str, Any], figures: dict[str, Any]) -> None:
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + (LIVE_SECONDS if self.live else PLAIN_SECONDS)
        line = (
            f"step {row['step']:,} · {figures['progress']:.0%} · loss {row['loss']:.3f}{self._val} · "
            f"{row['tokens_per_second']:,.0f} tokens/s · {figures['mfu']:.0%} of the matrix rate · {clock_time(figures['seconds_left'])} left"
        )
        if self.live:
            sys.stderr.write("\r" + line.ljust(self._width))
            sys.stderr.flush()
            self._width = len(line)
        else:
            self._print(line)

    def evaluation(self, step: int, val_bpb: float, best: bool) -> None:
        self._val = f" · {val_bpb:.3f} bits/byte"
        if not self.live:
            self._print(f"step {step:,} · held-out {val_bpb:.4f} bits/byte{' (best so far)' if best else ''}")

    def sample(self, step: int, prompt: str, text: str) -> None:
        shown = " ".join(printable(prompt + "‸" + text).split())
        self._print(f"sample at step {step:,}: {shown[:160]}")

    def done(self, summary: dict[str, Any]) -> None:
        """The last lines: the figure, and what to type next."""
        baselines = summary["baselines"]
        beside = ", ".join(f"{name} {value:.3f}" for name, value in baselines.items() if name != "uniform")
        self._print(
            f"held out: {summary['val_bpb']:.4f} bits per byte ({beside}), {summary['seconds']:.0f} s, {summary['mfu'] or 0:.0%} of the matrix rate"
        )

    def saved(self, path: str, val_bpb: float) -> None:
        self._print(f"saved {path} ({val_bpb:.3f} bits/byte) — try: newleaf generate {path} · report: {path}/report.html")

    def close(self) -> None:
        """Leave the live line."""
        if self._width:
            sys.stderr.write("\n")
            self._width = 0

    def _print(self, line: str) -> None:
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            self._width = 0
        print(line, file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Model output for a terminal: control characters, escape sequences among them, are shown and never obeyed."""
    return "".join(c if c in "\n\t" or c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def clock_time(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock_time(75), clock_time(3725)
    ('1:15', '1:02:05')
    """
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
