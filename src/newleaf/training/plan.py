"""The plan of a run: every setting resolved, each with its reason, and what is to be expected. Made by choices.py, kept by
planfile.py. Imports no torch.
"""

from dataclasses import dataclass, field, replace

from newleaf.checkpoint.state import Decision
from newleaf.model.config import ModelConfig
from newleaf.optim.settings import OptimSettings
from newleaf.settings import leaves
from newleaf.training.base import Base
from newleaf.training.clock import Budget
from newleaf.training.settings import Recipe

Reason = tuple[str, str]  # the same sentence in English and in Chinese


@dataclass(frozen=True)
class TextFacts:
    """What the plan needs to know of the text."""

    train_bytes: int
    train_tokens: int
    val_bytes: int
    val_tokens: int
    vocab_size: int
    han_tokens: float = 0.0  # that a Chinese character costs, where that was counted


@dataclass(frozen=True)
class Plan:
    """Every choice of a run, made once before step 0."""

    seed: int
    budget: Budget
    recipe: Recipe  # nothing absent but what the model's family decides
    config: ModelConfig
    last_step: int  # with a budget in minutes a first guess, which the clock corrects
    reasons: dict[str, Reason] = field(default_factory=dict)
    foreseen: dict[str, float] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()  # of a finished run that is repeated
    base: Base | None = None  # whose weights it begins with

    def explained(self, chinese: bool) -> dict[str, str]:
        """Each choice and why, by setting, in one of the two languages."""
        chosen = dict(leaves(self.recipe)) | {"from": self.base.name if self.base else None}
        values = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in chosen.items()}
        return {
            name: (f"{shown(values.get(name))}，{zh}" if chinese else f"{shown(values.get(name))}, {en}")
            for name, (en, zh) in self.reasons.items()
        }

    @property
    def context(self) -> int:
        """Tokens of a window in training: of a model that the run goes on from, often fewer than it can look at."""
        return self.recipe.model.context or self.config.context

    @property
    def as_trained(self) -> ModelConfig:
        """The model as far as training sees it: what a step costs follows from this."""
        return replace(self.config, context=self.context)

    @property
    def optim(self) -> OptimSettings:
        return self.recipe.optim

    @property
    def batch_tokens(self) -> int:
        assert self.recipe.train.batch_tokens is not None
        return self.recipe.train.batch_tokens

    @property
    def batch_rows(self) -> int:
        return self.batch_tokens // self.context

    @property
    def micro_batch(self) -> int:
        """Rows at once, as long as memory suffices."""
        return self.recipe.train.micro_batch or 1

    @property
    def evaluation_tokens(self) -> int:
        assert self.recipe.train.evaluation_tokens is not None
        return self.recipe.train.evaluation_tokens

    @property
    def dropout(self) -> float:
        return self.recipe.train.dropout or 0.0

    @property
    def decay_from(self) -> float:
        """Progress at which the decay begins."""
        return 1 - (self.optim.decay_fraction or 0.0)

    @property
    def every(self) -> dict[str, int]:
        """Steps between two of each."""
        train = self.recipe.train
        assert train.evaluate_every and train.sample_every and train.checkpoint_every
        return {"evaluation": train.evaluate_every, "sample": train.sample_every, "checkpoint": train.checkpoint_every}


def shown(value: object) -> str:
    """A setting's value for people.

    >>> shown(256000), shown(0.006), shown("muon")
    ('256,000', '0.006', 'muon')
    """
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
