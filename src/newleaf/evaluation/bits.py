"""Bits per byte: the measure that does not depend on the tokenizer, so that any two models of a text can be compared.

The held-out pieces form one stream EOT d1 EOT d2 … EOT. Windows of `context` inputs start at 0, h, 2h, … with h = context // 2,
the last one shortened; the first scores all its targets, each later one only those not yet scored: every token is predicted
from at least half a context, but for the first. Computed in float32, summed in float64.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch

from newleaf.batches.pretrain import Stream
from newleaf.loss.language import token_losses
from newleaf.model.decoder import Decoder
from newleaf.workers import Workers

WINDOW_TOKENS = 4096  # at once: enough to keep the processor busy, little enough to fit everywhere


@dataclass(frozen=True)
class Score:
    """Sums over the scored targets. Addition joins two parts of a text."""

    nats: float
    tokens: int
    nats_squared: float  # sum of squares of the tokens' losses, for the standard error

    def __add__(self, other: "Score") -> "Score":
        return Score(self.nats + other.nats, self.tokens + other.tokens, self.nats_squared + other.nats_squared)

    @property
    def loss(self) -> float:
        """Mean nats a token."""
        return self.nats / self.tokens

    @property
    def perplexity(self) -> float:
        return math.exp(min(self.loss, 700.0))

    def bits_per_byte(self, num_bytes: int) -> float:
        """nats / ln 2 / bytes."""
        return self.nats / math.log(2) / num_bytes

    def stderr(self, num_bytes: int) -> float:
        """Standard error of the bits per byte, tokens taken as independent."""
        variance = max(0.0, self.nats_squared / self.tokens - self.loss**2)
        return math.sqrt(variance * self.tokens) / math.log(2) / num_bytes


@dataclass(frozen=True)
class Window:
    """Inputs start at `start`; of the `length` targets the first `skipped` are already scored."""

    start: int
    length: int
    skipped: int


def windows(num_tokens: int, context: int) -> Iterator[Window]:
    """The windows over a stream of `num_tokens`; between them they score each target once.

    >>> [(w.start, w.length, w.skipped) for w in windows(num_tokens=11, context=4)]
    [(0, 4, 0), (2, 4, 2), (4, 4, 2), (6, 4, 2)]
    """
    hop, targets, scored, start = max(1, context // 2), num_tokens - 1, 0, 0
    while scored < targets:
        length = min(context, targets - start)
        yield Window(start, length, scored - start)
        scored, start = start + length, start + hop


def score(model: Decoder, ids: Stream, context: int, workers: Workers | None = None, between: Callable[[], None] = lambda: None) -> Score:
    """All targets of the stream `ids`, in windows as above. `between` is called now and then: it may raise to stop."""
    workers, total = workers or Workers(1), Score(0.0, 0, 0.0)
    groups = batched(windows(len(ids), context), max(1, WINDOW_TOKENS // context))
    while some := list(islice(groups, 2 * workers.count)):
        total = sum(workers.map(lambda group: score_windows(model, ids, group), some), total)
        between()
    return total


def batched(every: Iterator[Window], rows: int) -> Iterator[list[Window]]:
    """Neighbouring windows of one length, at most `rows` together."""
    group: list[Window] = []
    for window in every:
        if group and (len(group) == rows or window.length != group[0].length):
            yield group
            group = []
        group.append(window)
    if group:
        yield group


@torch.inference_mode()
def score_windows(model: Decoder, ids: Stream, group: list[Window]) -> Score:
    """The targets of windows of one length that are not yet scored."""
    rows = np.stack([ids[w.start : w.start + w.length + 1] for w in group]).astype(np.int64)  # (B, T + 1)
    block = torch.from_numpy(rows).to(model.device)
    losses = token_losses(model(block[:, :-1]), block[:, 1:]).double()  # (B, T)
    skipped = torch.tensor([[w.skipped] for w in group], device=losses.device)
    losses = losses[torch.arange(losses.shape[1], device=losses.device) >= skipped]
    return Score(float(losses.sum()), losses.numel(), float(losses.square().sum()))
