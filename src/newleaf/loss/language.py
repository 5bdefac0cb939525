"""The loss of a language model: nats by which the next token surprises it."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from newleaf.model.decoder import Decoder
from newleaf.model.layers import PRODUCT_DTYPE, Dropout, Precision

CHUNK = {"cpu": 1 << 18}  # logits in work at a time: 1 MB of them stays in a core's cache
CHUNK_ELSEWHERE = 1 << 27
FEWEST_ROWS = 128  # at a time, lest the products become too thin


def next_token(model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None, precision: Precision) -> Tensor:
    """Of a decoder, a scalar in nats: a batch of inputs and targets, each (B, T) int64, all products in a precision."""
    inputs, targets = batch
    hidden = model.hidden(inputs, dropout=dropout, precision=precision)
    return language(hidden, model.head_weight, targets, PRODUCT_DTYPE[precision])


def language(hidden: Tensor, head: Tensor, targets: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The mean over targets of -log softmax(head hidden)[target], a scalar in nats: output projection and loss in one.

    hidden (…, W) float32, head (V, W) float32, targets (…) int64; products in `dtype`. The logits are never all there: a few rows
    at a time become their gradients where they stand, so a large vocabulary costs time but no memory.

    >>> float(language(torch.zeros(1, 3), torch.ones(4, 3), torch.tensor([2]))) == float(torch.log(torch.tensor(4.0)))
    True
    """
    return HeadLoss.apply(hidden.flatten(0, -2), head, targets.flatten(), dtype)  # type: ignore[no-any-return,no-untyped-call]


def language_slowly(hidden: Tensor, head: Tensor, targets: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The twin of `language`: all logits, then their cross-entropy."""
    logits = F.linear(hidden.to(dtype), head.to(dtype)).float()
    return F.cross_entropy(logits.flatten(0, -2), targets.flatten())


class HeadLoss(torch.autograd.Function):
    """The gradients are worked out in the forward, while the probabilities are at hand."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, dtype: torch.dtype) -> Tensor:
        rows = rows_at_a_time(hidden, head)
        x, weight = hidden.to(dtype), head.to(dtype)
        grad_hidden, grad_head = torch.empty_like(x), torch.zeros_like(head) if ctx.needs_input_grad[1] else None
        losses = torch.empty(len(x), device=x.device)
        for first in range(0, len(x), rows):
            some, ids = x[first : first + rows], targets[first : first + rows, None]
            probabilities = F.linear(some, weight).float().softmax(-1)  # (rows, V)
            losses[first : first + rows] = probabilities.gather(1, ids)[:, 0]
            grad = probabilities.scatter_add_(1, ids, torch.full_like(ids, -1, dtype=torch.float32)).to(dtype)
            torch.mm(grad, weight, out=grad_hidden[first : first + rows])
            if grad_head is None:
                continue
            if dtype == torch.float32:
                grad_head.addmm_(grad.T, some)
            else:
                grad_head.add_(grad.T @ some)
        ctx.save_for_backward(grad_hidden, grad_head)
        return losses.clamp_(min=torch.finfo(torch.float32).tiny).log_().mean().neg_()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        grad_hidden, grad_head = ctx.saved_tensors
        scale = grads[0] / len(grad_hidden)
        return grad_hidden.float().mul_(scale), None if grad_head is None else grad_head.mul_(scale), None, None


def token_losses(hidden: Tensor, head: Tensor, targets: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """-log softmax(head hidden)[target] of each target, (N) float32 in nats: hidden (N, W), head (V, W), targets (N) int64, products in
    `dtype`. The logits are never all there.
    """
    rows, head = rows_at_a_time(hidden, head), head.to(dtype)
    parts = zip(hidden.to(dtype).split(rows), targets.split(rows), strict=True)  # type: ignore[no-untyped-call]
    return torch.cat([F.cross_entropy(F.linear(some, head).float(), ids, reduction="none") for some, ids in parts])


def rows_at_a_time(hidden: Tensor, head: Tensor) -> int:
    """Whose logits are in work together."""
    return max(FEWEST_ROWS, CHUNK.get(hidden.device.type, CHUNK_ELSEWHERE) // len(head))
