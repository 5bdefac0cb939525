"""What a job tells the person who waits. The command line prints it; a program may pass its own, or none."""

from typing import Any

from newleaf.training.plan import Plan


class View:
    """Says nothing. Override what should be heard."""

    def event(self, en: str, zh: str) -> None:
        """Something that happened, in one sentence of either language."""

    def stage(self, en: str, zh: str) -> None:
        """A part of a job with several begins."""
        self.event(en, zh)

    def left_out(self, source: str, reason: str, count: int) -> None:
        """Something in the data that cannot be used, and why, in English."""

    def plan(self, path: str, plan: Plan, manifest: dict[str, Any], groups: list[dict[str, Any]]) -> None:
        """What will be trained, where, on what; `groups` are the rows of what moves which parameters."""

    def step(self, row: dict[str, Any], figures: dict[str, Any]) -> None:
        """A step is done: its line of metrics.jsonl, and progress, seconds_left, mfu."""

    def evaluation(self, step: int, val_bpb: float, best: bool) -> None:
        """The held-out figure."""

    def loss(self, step: int, val_loss: float, best: bool) -> None:
        """The held-out figure of a task."""

    def sample(self, step: int, prompt: str, text: str) -> None:
        """What the model writes now."""
