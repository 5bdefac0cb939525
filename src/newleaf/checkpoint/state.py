"""State you can point at: everything besides weights that training needs to go on to the same bits.

No iterator and no random generator is in it: batches and dropout are functions of numbers that are.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

from newleaf.errors import CheckpointError


@dataclass(frozen=True)
class Decision:
    """From `step` on, the last step is `last`.

    `restart`: the constant part begins again here (more minutes, more text). `enough`: the text has no more to give, so the run
    cools down now and ends before its minutes do.
    """

    step: int
    last: int
    restart: bool = False
    enough: bool = False


@dataclass(frozen=True)
class Best:
    """The lowest held-out loss so far, and the weights that had it."""

    val_loss: float  # nats a token, on the fixed sample
    val_bpb: float
    step: int
    sha256: str  # of model.safetensors


@dataclass
class State:
    """Numbers alone, so that JSON holds them exactly."""

    step: int = 0
    tokens: int = 0  # trained on
    seconds: float = 0.0  # of the whole command, over all its processes
    train_seconds: float = 0.0  # of them, in steps
    decisions: list[Decision] = field(default_factory=list)
    best: Best | None = None
    lowest: float | None = None  # held-out loss since the constant part began
    stale: int = 0  # evaluations since then that did not get lower
    retry: int = 0  # how often training went back after a bad step
    tries: int = 0  # how often of these it went back without having got any further since
    micro_batch: int = 1  # rows at once
    trunk_step: int | None = None  # where the decay began
    generation: int = 0  # of the data
    generation_step: int = 0  # where this generation of data began
    typical_loss: float | None = None  # what a good step's loss looks like, for the guard
    matmul_seconds: list[float] = field(default_factory=list)  # of the products measured before step 0
    fingerprint: str = ""
    exact: bool = True  # False once a process with another fingerprint has gone on

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "State":
        """CheckpointError if a field is missing or unknown."""
        try:
            decisions = [Decision(**decision) for decision in value["decisions"]]
            best = Best(**value["best"]) if value["best"] else None
            return cls(**(value | {"decisions": decisions, "best": best}))
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"state.json has an unexpected shape: {error}", hint="it was written by another version") from None
