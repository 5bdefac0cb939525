"""What a job trains: its weights, its batches, its loss and how it is judged.

pretrain.py, answers.py, labels.py and preferences.py have one each; job.py does the rest, the same for all.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from torch import Tensor

from newleaf import runtime
from newleaf.checkpoint.state import State
from newleaf.conversion.huggingface import read_model
from newleaf.evaluation.between import Between
from newleaf.jobs.setup import Setup
from newleaf.jobs.view import View
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout
from newleaf.training.gradients import Batch
from newleaf.training.task import Evaluation

D = TypeVar("D")


class Subject(ABC, Generic[D]):
    """What is trained, and how it is judged."""

    def __init__(self, setup: Setup[D], view: View) -> None:
        self.setup, self.view, self.plan, self.data = setup, view, setup.plan, setup.data

    text = False  # whether it is text, which bits per byte judge
    sample_size: tuple[int, int]  # bytes and tokens of what `evaluate` scores
    train_tokens: int  # of an epoch

    @property
    def precision(self) -> runtime.Precision:
        return self.plan.recipe.train.precision or "float32"

    def settle_memory(self) -> None:
        """What tensors leave is kept for the next ones, which is quicker, or handed back: to who asks for adapters memory is dearer."""
        if self.plan.recipe.tune.rank:
            runtime.return_freed_memory()
        else:
            runtime.keep_freed_memory()

    @abstractmethod
    def build(self) -> Decoder:
        """The model as before step 0; where a checkpoint will be loaded, any weights of its shape."""

    @abstractmethod
    def batches(self, state: State) -> Callable[[int], Batch]:
        """What each step learns from."""

    @abstractmethod
    def count(self, batch: Batch) -> int:
        """Over how many things the loss of a batch is a mean."""

    @abstractmethod
    def loss(self, model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None) -> Tensor:
        """A scalar."""

    @abstractmethod
    def evaluate(self, model: Decoder) -> Evaluation:
        """On the fixed sample of what is held out."""

    @abstractmethod
    def judge(self, model: Decoder, between: Between) -> Evaluation:
        """On all of it. `between` is called now and then, and may raise."""

    @abstractmethod
    def final_seconds(self, state: State) -> tuple[float, float, float]:
        """What one evaluation, one judgement and the other figures at the end will take, as far as is known."""

    @abstractmethod
    def write(self, model: Decoder, metadata: dict[str, str]) -> str:
        """The files of the model, at the top of the run; returns the sha256 of model.safetensors."""

    def read_best(self) -> Mapping[str, Tensor]:
        """What training changes of the best model, as it was written."""
        return read_model(self.setup.run.path).state_dict()

    @abstractmethod
    def samples(self, model: Decoder) -> Iterable[tuple[str, str]]:
        """(prompt, what the model writes after it), at the same prompts and seed each time."""

    @abstractmethod
    def figures(self) -> dict[str, Any]:
        """What summary.json says of this subject besides what it says of every run."""

    def epochs(self, state: State) -> float:
        """How often everything was seen."""
        return state.tokens / max(1, self.train_tokens)

    def most_steps(self) -> float:
        """Until when more time helps, where that is known beforehand."""
        return math.inf

    def begin(self, model: Decoder) -> None:
        """Before step 0 of a new run."""

    def finish(self, model: Decoder, judged: Evaluation, between: Between) -> None:
        """After the best model was judged and kept. `between` as in `judge`."""
