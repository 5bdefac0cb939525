"""The settings of a run, as a tree of frozen dataclasses. Absent values (None) are for the plan to fill. Imports no torch."""

from dataclasses import dataclass, field
from typing import Literal

from newleaf.errors import SettingError
from newleaf.model.settings import ModelSettings
from newleaf.optim.settings import OptimSettings
from newleaf.runtime import Precision
from newleaf.settings import check_range


@dataclass(frozen=True)
class DataSettings:
    """How the text becomes tokens."""

    vocab_size: int | None = None
    """Size of the vocabulary, special tokens included."""
    held_out_bytes: int | None = None
    """The most text that is held out, where --val does not say what is."""
    tokenizer_bytes: int | None = None
    """The most text that the tokenizer learns from."""

    def __post_init__(self) -> None:
        check_range("data.vocab_size", self.vocab_size, 264, 1_000_000)  # 256 bytes and the special tokens
        check_range("data.held_out_bytes", self.held_out_bytes, 100)
        check_range("data.tokenizer_bytes", self.tokenizer_bytes, 1_000)


@dataclass(frozen=True)
class TrainSettings:
    """How training goes through the batches."""

    batch_tokens: int | None = None
    """Tokens a step, a multiple of the context."""
    micro_batch: int | None = None
    """Rows at once, fewer where memory runs out; a batch is gathered over several micro-batches."""
    precision: Precision | None = None
    """Type of the matrix products in training: float32 or bf16."""
    threads: int | None = None
    """Threads of the processor."""
    dropout: float | None = None
    """Share of values dropped on each residual branch while training."""
    evaluate_every: int | None = None
    """Steps between two evaluations on held-out text."""
    evaluation_tokens: int | None = None
    """Held-out tokens that each of these scores; the final figure scores all."""
    checkpoint_every: int | None = None
    """Steps between two checkpoints."""
    sample_every: int | None = None
    """Steps between two samples of the model's text."""

    def __post_init__(self) -> None:
        for name in ("batch_tokens", "micro_batch", "threads", "evaluate_every", "evaluation_tokens", "checkpoint_every", "sample_every"):
            check_range(f"train.{name}", getattr(self, name), 1)
        check_range("train.dropout", self.dropout, 0, 0.9)


@dataclass(frozen=True)
class TuneSettings:
    """How a model is tuned for a task (newleaf tune)."""

    rank: int | None = None
    """Rank of low-rank adapters beside a frozen model; none: all weights learn."""
    alpha: float | None = None
    """What adapters count, divided by their rank: twice the rank."""
    targets: str | None = None
    """The products that get adapters, between commas: q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj."""
    int8: bool | None = None
    """Whether the frozen weights beside adapters are kept in 8 bits."""
    replay: float | None = None
    """Share of each batch that is text of the model's own run, so that it forgets less."""
    labels: Literal["head", "text"] | None = None
    """Of classify: a head on the last token (head), or the label written as an answer, the likeliest of them all (text)."""
    beta: float | None = None
    """Of prefer: how strictly the model stays near what it was."""
    baselines: bool | None = None
    """Whether what has to be beaten is measured, too."""

    def __post_init__(self) -> None:
        check_range("tune.rank", self.rank, 1, 4096)
        check_range("tune.alpha", self.alpha, 0)
        check_range("tune.replay", self.replay, 0, 0.9)
        check_range("tune.beta", self.beta, 0)
        unknown = set(self.targets.split(",")) - set(TARGETS) if self.targets else set()
        if unknown:
            raise SettingError(f"tune.targets has {min(unknown)!r}", where="tune.targets", expected=",".join(TARGETS))

    @property
    def products(self) -> list[str]:
        """The names of those that get adapters."""
        return (self.targets or ",".join(TARGETS)).split(",")


TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Recipe:
    """Every setting of a run, by group."""

    model: ModelSettings = field(default_factory=ModelSettings)
    data: DataSettings = field(default_factory=DataSettings)
    optim: OptimSettings = field(default_factory=OptimSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    tune: TuneSettings = field(default_factory=TuneSettings)
