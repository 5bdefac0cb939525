"""A model and its optimizer, moved by one batch at a time: what the loop does in a step, with nothing around it, for trials.

Trials tell what a run will take and reach (jobs/outlook.py); benchmarks ask what a setting is worth.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from newleaf.loss.language import next_token
from newleaf.model.config import ModelConfig
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout, Precision
from newleaf.optim.optimizer import Optimizer
from newleaf.optim.settings import OptimSettings
from newleaf.training.gradients import Batch, Gradients, Loss, num_targets
from newleaf.workers import Workers


class Stepper:
    """`rows` windows are in work at a time, as in `Gradients`. `seconds` are those of each move: of the gradients, and of the optimizer."""

    def __init__(
        self,
        config: ModelConfig,
        settings: OptimSettings,
        precision: Precision,
        workers: Workers,
        rows: int,
        device: str = "cpu",
        seed: int = 0,
        loss: Loss | None = None,
        count: Callable[[Batch], int] = num_targets,
        width: int = 0,
    ) -> None:
        self.seconds, self.settings = list[tuple[float, float]](), settings
        self.model = Decoder(config, torch.Generator().manual_seed(seed)).to(device)
        self._optimizer = Optimizer(self.model.named_parameters(), settings, precision, workers)
        loss = loss or partial(next_token, precision=precision)
        self._gradients = Gradients(self.model, loss, device, workers, rows, count, width)

    def move(self, inputs: np.ndarray, targets: np.ndarray, scale: float = 1.0, dropout: Dropout | None = None) -> None:
        """One step on inputs and targets (B, T), with the rates times `scale`."""
        self.move_batch((inputs, targets), scale, dropout)

    def move_batch(self, batch: Batch, scale: float = 1.0, dropout: Dropout | None = None) -> None:
        """One step on a batch."""
        began = time.perf_counter()
        self._gradients(batch, dropout=lambda part: dropout, stopped=lambda: False)
        between = time.perf_counter()
        self._optimizer.clip()
        self._optimizer.step(scale)
        self.seconds.append((between - began, time.perf_counter() - between))
