"""Gradients in, new weights out: AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) in torch's fused kernel.

The kernel is called directly because the class around it, torch.optim.AdamW, imports torch._dynamo on its first use, which
takes longer than a small model's first hundred steps. On CPU, CUDA and MPS it passes over each number once.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def adamw_(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    means: Sequence[Tensor],
    squares: Sequence[Tensor],
    *,
    step: int,
    lr: float,
    weight_decay: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """One step, in place, of tensors on one device. `means` and `squares` are the running means of g and g², zero at first.

    `step` counts from 1: what the first gradients lack in weight is made up for by dividing by 1 - beta^step.
    """
    count = torch.tensor(float(step), device=params[0].device)
    torch._fused_adamw_(
        list(params),
        list(grads),
        list(means),
        list(squares),
        [],  # the largest squares so far: of AMSGrad, which this is not
        [count] * len(params),
        lr=lr,
        beta1=beta1,
        beta2=beta2,
        weight_decay=weight_decay,
        eps=eps,
        amsgrad=False,
        maximize=False,
    )


@torch.no_grad()
def adamw_slowly_(
    param: Tensor,
    grad: Tensor,
    mean: Tensor,
    square: Tensor,
    *,
    step: int,
    lr: float,
    weight_decay: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """The same for one tensor, line by line as in the paper's Algorithm 2."""
    param.mul_(1 - lr * weight_decay)
    mean.mul_(beta1).add_((1 - beta1) * grad)
    square.mul_(beta2).add_((1 - beta2) * grad**2)
    unbiased_mean, unbiased_square = mean / (1 - beta1**step), square / (1 - beta2**step)
    param.sub_(lr * unbiased_mean / (unbiased_square.sqrt() + eps))
