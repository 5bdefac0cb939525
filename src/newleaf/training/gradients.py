"""A batch in, its mean loss and the gradients of the weights out: each worker takes its own rows through a copy of the model that
shares the weights but not the gradients, and at the end the gradients are added in a fixed order, so the same workers give the
same bits.
"""

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout
from newleaf.workers import Workers

Batch = tuple[np.ndarray, ...]  # of the same number of rows: inputs, targets and what else a loss wants to see
Loss = Callable[[Decoder, Sequence[Tensor], Dropout | None], Tensor]  # (model, batch, dropout) -> a mean over the batch
MakeDropout = Callable[[int], Dropout | None]  # from the number of a part of the batch


def num_targets(batch: Batch) -> int:
    """Of a batch in which every target counts."""
    return batch[1].size


class Gradients:
    """Of one model, by workers that have `rows` rows in work at a time between them; where these are rows of `width` tokens, as many more
    of a narrower batch. Fewer rows than workers are left to one of them in the calling thread, whose operations use the whole processor.
    `count` says over how many things the loss of a batch is a mean."""

    def __init__(
        self,
        model: Decoder,
        loss: Loss,
        device: str,
        workers: Workers,
        rows: int,
        count: Callable[[Batch], int] = num_targets,
        width: int = 0,
    ) -> None:
        self.model, self._loss, self._device, self._count = model, loss, device, count
        self.rows, self._width = rows, width
        self._workers = workers if rows >= workers.count else Workers(1)
        self._replicas = [model, *(sharing(model) for _ in range(self._workers.count - 1))]

    def __call__(self, batch: Batch, dropout: MakeDropout, stopped: Callable[[], bool]) -> float | None:
        """Leave the gradients of the mean loss in `.grad` of the model's parameters; None, and no gradients, if `stopped` midway.

        `dropout` is asked once for each part of the batch that one worker takes.
        """
        for replica in self._replicas:
            replica.zero_grad(set_to_none=True)
        total, number, num_rows, whole = 0.0, 0, len(batch[0]), self._count(batch)
        at_once = self._at_once(num_rows, batch[0].shape[-1])
        for first in range(0, num_rows, at_once):
            if stopped():
                self.model.zero_grad(set_to_none=True)
                return None
            last = min(first + at_once, num_rows)
            borders = np.linspace(first, last, min(self._workers.count, last - first) + 1).astype(int)
            rows = [tuple(array[begin:end] for array in batch) for begin, end in pairwise(borders)]
            parts = [
                (replica, part, self._count(part) / whole, dropout(number + index))
                for index, (replica, part) in enumerate(zip(self._replicas, rows, strict=False))
            ]
            number += len(parts)
            total += sum(self._workers.map(lambda part: self._backward(*part), parts))
        self._gather()
        return total

    def _backward(self, model: Decoder, part: Batch, share: float, dropout: Dropout | None) -> float:
        """One worker's part: its share of the loss, its gradients added to those of its replica."""
        loss = self._loss(model, [torch.from_numpy(array).to(self._device) for array in part], dropout) * share
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.item())

    def _at_once(self, rows: int, width: int) -> int:
        """Of a batch: parts of about the same size, each divided evenly among the workers as far as that goes."""
        most, each = max(self.rows, self.rows * self._width // width), self._workers.count
        share = -(-rows // -(-rows // most))
        return min(most, -(-share // each) * each)

    def _gather(self) -> None:
        """Add all gradients into the model's own."""
        for replica in self._replicas[1:]:
            pairs = [(p.grad, q.grad) for p, q in zip(self.model.parameters(), replica.parameters(), strict=True) if q.grad is not None]
            torch._foreach_add_([ours for ours, _ in pairs if ours is not None], [theirs for _, theirs in pairs if theirs is not None])
            replica.zero_grad(set_to_none=True)  # from here on until the next batch its memory is for others


def sharing(model: Decoder) -> Decoder:
    """A copy whose parameters and tables are the model's own memory, with gradients of its own."""
    memo: dict[int, object] = {id(p): nn.Parameter(p.data, p.requires_grad) for p in model.parameters()}
    memo |= {id(buffer): buffer for buffer in model.buffers()}
    return copy.deepcopy(model, memo)
