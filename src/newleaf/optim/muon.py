"""Gradients in, new weights out: Muon, for the matrices inside the layers.

The running mean of a matrix's gradients, U S V' in singular values, is replaced by about U V': every direction is then moved
as far as every other, where the raw gradient moves few of them far. Newton-Schulz steps do it with matrix products alone
(Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; coefficients from there). Three instead of the usual five leave the
singular values less alike and take a tenth less time a step, which is worth more.

At about 700 tokens a step these products are as much work as the model's own, so they are done for a few matrices of equal
shape at a time: torch.optim.Muon's numbers (but for the order of sums in bf16) in about half its time on two cores.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor

from newleaf.optim.cost import NEWTON_SCHULZ_STEPS

A, B, C = 3.4445, -4.7750, 2.0315

EPS = 1e-7  # a gradient of zero is divided by this
STACK = 8  # matrices multiplied at once: more fall out of the cache, fewer leave the cores waiting (measured for widths 128 to 512)

Scale = Literal["match_rms_adamw", "original"]
SCALES: dict[Scale, Callable[[int, int], float]] = {
    # U V' has rows and columns of unit length, so a root mean square of 1 / sqrt(max(rows, columns)); AdamW's steps have about
    # 0.2. With this factor one learning rate and one weight decay serve both (Moonlight, arXiv 2502.16982, section 2.2).
    "match_rms_adamw": lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
    # Jordan's own: outputs move equally far whatever the shape.
    "original": lambda rows, columns: math.sqrt(max(1, rows / columns)),
}


@torch.no_grad()
def muon_(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    momenta: Sequence[Tensor],
    *,
    lr: float,
    weight_decay: float,
    momentum: float,
    nesterov: bool = True,
    scale: Scale = "match_rms_adamw",
    dtype: torch.dtype = torch.bfloat16,
) -> None:
    """One step, in place, of matrices of any shapes. `momenta` are the running means of the gradients, zero at first.

    `dtype` is that of the Newton-Schulz products; parameters, gradients and momenta are float32.
    """
    for same_shape in stacks(params):
        rows, columns = params[same_shape[0]].shape
        steps = torch.empty(len(same_shape), rows, columns, dtype=dtype, device=params[0].device)
        for index, step in zip(same_shape, steps, strict=True):
            momenta[index].lerp_(grads[index], 1 - momentum)
            step.copy_(grads[index].lerp(momenta[index], momentum) if nesterov else momenta[index])
        for index, step in zip(same_shape, orthogonalize(steps), strict=True):
            params[index].mul_(1 - lr * weight_decay).add_(step, alpha=-lr * SCALES[scale](rows, columns))


def stacks(matrices: Sequence[Tensor]) -> Iterator[list[int]]:
    """The places of matrices of equal shape, at most STACK together, in a fixed order.

    >>> [*stacks([torch.zeros(2, 3), torch.zeros(3, 2), torch.zeros(2, 3)])]
    [[0, 2], [1]]
    """
    by_shape: dict[torch.Size, list[int]] = {}
    for index, matrix in enumerate(matrices):
        by_shape.setdefault(matrix.shape, []).append(index)
    for places in by_shape.values():
        yield from (places[start : start + STACK] for start in range(0, len(places), STACK))


def orthogonalize(matrices: Tensor) -> Tensor:
    """Each matrix of a stack (N, rows, columns) with its singular values moved to about 1. `matrices` is overwritten.

    X -> a X + (b G + c G²) X with G = X X', three times; where X' X is smaller, the same from the right.
    """
    short, long = sorted(matrices.shape[1:])
    x = matrices.div_(torch.linalg.vector_norm(matrices, dim=(1, 2), keepdim=True).clamp_(min=EPS))
    return iterate_on_gram(x) if long >= 2 * short and x.dtype == torch.float32 else iterate(x)


def iterate(x: Tensor) -> Tensor:
    """The steps as they stand, in buffers that are used again. `x` is overwritten."""
    count, rows, columns = x.shape
    spare = torch.empty_like(x)
    gram, polynomial = x.new_empty(2, count, min(rows, columns), min(rows, columns))
    for _ in range(NEWTON_SCHULZ_STEPS):
        left, right = (x, x.mT) if rows <= columns else (x.mT, x)
        torch.bmm(left, right, out=gram)
        torch.baddbmm(gram, gram, gram, beta=B, alpha=C, out=polynomial)
        left, right = (polynomial, x) if rows <= columns else (x, polynomial)
        torch.baddbmm(x, left, right, beta=A, out=spare)
        x, spare = spare, x
    return x


def iterate_on_gram(x: Tensor) -> Tensor:
    """The same for long matrices in two thirds of the time: all products but the first and the last are of the short side alone.

    With Q = a + b G + c G², a step is X -> Q X and G -> Q G Q, so three of them are Q3 Q2 Q1 X. In G the singular values
    are squared: float32 has the digits for that (entries up to 1 are 1e-4 off at most, measured), bf16 has not.
    """
    wide = x.shape[1] <= x.shape[2]
    gram = x @ x.mT if wide else x.mT @ x
    product = q = step_matrix(gram)
    for _ in range(NEWTON_SCHULZ_STEPS - 1):
        gram = q @ gram @ q
        q = step_matrix(gram)
        product = q @ product
    return product @ x if wide else x @ product


def step_matrix(gram: Tensor) -> Tensor:
    """a + b G + c G² for a stack of G."""
    q = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
    q.diagonal(dim1=1, dim2=2).add_(A)
    return q


def orthogonalize_slowly(matrix: Tensor) -> Tensor:
    """The same for one matrix (rows, columns), as the formula stands."""
    x: Tensor = matrix / matrix.norm().clamp(min=EPS)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = A * x + (B * gram + C * gram @ gram) @ x
    return x
