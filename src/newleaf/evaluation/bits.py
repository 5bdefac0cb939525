"""Bits per byte: the measure that does not depend on the tokenizer, so that any two models of a text can be compared.

The held-out pieces form one stream EOT d1 EOT d2 … EOT. Windows of `context` inputs (at most LONGEST) start at 0, h, 2h, … with
h = context // 2, the last one shortened; the first scores all its targets, each later one only those not yet scored: every token
is predicted from at least half a context, but for the first. Computed in float32, where nothing else is asked for, and summed in float64.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import numpy.typing as npt
import torch

from newleaf.batches.pretrain import Stream
from newleaf.errors import OutOfMemoryError
from newleaf.evaluation.between import Between, unheard
from newleaf.loss.language import token_losses
from newleaf.memory import Shortage, attempt, release
from newleaf.model.config import ModelConfig
from newleaf.model.decoder import Decoder
from newleaf.model.layers import PRODUCT_DTYPE, Precision
from newleaf.workers import Workers

Nats = npt.NDArray[np.float64]

LONGEST = 2048  # tokens of a window
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


NOTHING = Score(0.0, 0, 0.0)


def score_of(nats: Nats) -> Score:
    """Of some targets."""
    return Score(float(nats.sum()), len(nats), float(np.square(nats).sum()))


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


def window(config: ModelConfig) -> int:
    """The tokens of a window: the model's context, up to what memory allows of those that look back over a book."""
    return min(config.context, LONGEST)


@dataclass
class Room:
    """How many windows at once memory holds, between all workers; what `tell` hears, in English and in Chinese, when they become fewer."""

    windows: int | None = None  # as long as it has not run out
    tell: Callable[[str, str], None] = lambda en, zh: None

    def halve(self, windows: int, context: int) -> None:
        """After `windows` were too many; OutOfMemoryError if that was one."""
        if windows == 1:
            raise OutOfMemoryError(
                f"memory does not suffice to score one window of {context:,} tokens",
                hint="free some memory and try again; a run goes on with --resume",
            )
        self.windows = windows // 2
        self.tell(
            f"memory ran out in an evaluation; from here on {self.windows} windows at once, not {windows}",
            f"评估时内存不够；此后一次只算 {self.windows} 个窗口（原为 {windows} 个）",
        )


def score(
    model: Decoder,
    ids: Stream,
    context: int,
    workers: Workers | None = None,
    between: Between = unheard,
    room: Room | None = None,
    precision: Precision = "float32",
) -> Score:
    """All targets of the stream `ids`, in windows as above, matrix products in a precision. `between` is called now and then.

    Where memory runs out there is `room` for half as many windows at once from then on, down to one in the calling thread; that changes
    the score by rounding at most. OutOfMemoryError if not even one fits.
    """
    return sum(map(score_of, losses(model, ids, context, workers, between, room, precision)), NOTHING)


def score_parts(
    model: Decoder, ids: Stream, ends: Sequence[int], context: int, workers: Workers | None = None, between: Between = unheard
) -> list[Score]:
    """The same by the parts of a text: `ends` are the targets up to the end of each, the last of them all targets. Their sum is the score
    of the whole: each target belongs to one part, and is predicted from what stands before it, whatever part that is in."""
    scores, place, part = [NOTHING] * len(ends), 0, 0
    for nats in losses(model, ids, context, workers, between):
        following = place + len(nats)
        while place < following:
            stop = min(ends[part], following)
            scores[part] += score_of(nats[len(nats) - (following - place) : len(nats) - (following - stop)])
            place, part = stop, part + (stop == ends[part])
    return scores


def losses(
    model: Decoder,
    ids: Stream,
    context: int,
    workers: Workers | None = None,
    between: Between = unheard,
    room: Room | None = None,
    precision: Precision = "float32",
) -> Iterator[Nats]:
    """(n,) nats of the next few targets, again and again up to the last; as `score` says."""
    workers, room = workers or Workers(1), room or Room()
    waiting, scored = windows(len(ids), context), 0
    while True:
        at_once = room.windows or workers.count * max(1, WINDOW_TOKENS // context)
        several = workers if at_once >= workers.count else Workers(1)
        some = list(islice(waiting, 2 * at_once))
        if not some:
            return
        try:
            found = attempt(score_each, model, ids, batched(iter(some), at_once // several.count), several, precision)
        except Shortage:
            release(model.device.type)
            room.halve(min(at_once, len(some)), context)
            waiting = chain(some, waiting)
        else:
            yield from found
            scored += sum(map(len, found))
            between(scored / (len(ids) - 1))


def score_each(model: Decoder, ids: Stream, groups: Iterator[list[Window]], workers: Workers, precision: Precision) -> list[Nats]:
    """Each group by one of the workers."""
    return workers.map(lambda group: score_windows(model, ids, group, precision), groups)


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
def score_windows(model: Decoder, ids: Stream, group: list[Window], precision: Precision) -> Nats:
    """(n,) nats of the targets of neighbouring windows of one length that are not yet scored, in their order."""
    rows = np.stack([ids[w.start : w.start + w.length + 1] for w in group]).astype(np.int64)  # (B, T + 1)
    block = torch.from_numpy(rows).to(model.device)
    skipped = torch.tensor([[w.skipped] for w in group], device=block.device)
    wanted = torch.arange(block.shape[1] - 1, device=block.device) >= skipped  # (B, T)
    hidden = model.hidden(block[:, :-1], precision=precision)[wanted]
    return token_losses(hidden, model.head_weight, block[:, 1:][wanted], PRODUCT_DTYPE[precision]).double().cpu().numpy()
