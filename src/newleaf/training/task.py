"""What the training loop is handed by its surroundings, so that it needs to know of no evaluation and no generation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from newleaf.checkpoint.state import Decision, State
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout
from newleaf.optim.optimizer import Optimizer
from newleaf.training.gradients import Batch


@dataclass(frozen=True)
class Evaluation:
    """A held-out figure."""

    val_loss: float  # nats a token
    val_bpb: float
    num_tokens: int
    num_bytes: int


class Task(Protocol):
    """What the loop is handed by its surroundings: how a batch is judged, and who is told. None of it may change the state."""

    def build(self) -> tuple[Decoder, Optimizer]:
        """As before step 0: where there is no checkpoint to go back to."""
        ...

    def batches(self, state: State) -> Callable[[int], Batch]:
        """What each step learns from, as things stand."""
        ...

    def count(self, batch: Batch) -> int:
        """Over how many things the loss of a batch is a mean."""
        ...

    def loss(self, model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None) -> Tensor:
        """A scalar."""
        ...

    def evaluate(self, model: Decoder) -> Evaluation:
        """On the fixed sample of held-out text."""
        ...

    def keep(self, model: Decoder, step: int, evaluation: Evaluation) -> str:
        """Write the best model so far; returns the sha256 of the file."""
        ...

    def epochs(self, state: State) -> float:
        """How often everything was seen."""
        ...

    def most_steps(self) -> float:
        """Until when more time helps; after these steps what is learned from has no more to give."""
        ...

    def decide(self, decision: Decision) -> None:
        """Make a decision of the clock durable."""
        ...

    def tail_seconds(self, evaluation_seconds: float) -> float:
        """What follows the last step of a run with a clock, from the seconds of one evaluation."""
        ...

    def on_step(self, state: State, row: dict[str, Any], progress: float) -> None: ...

    def on_evaluation(self, state: State, evaluation: Evaluation) -> None: ...

    def on_sample(self, state: State, model: Decoder) -> None: ...

    def on_event(self, en: str, zh: str) -> None: ...
