"""Logits in, the next token out. Filters as in transformers' `generate`, in its order; the draw is ours.

Every filter is a pure function on float32 logits (…, V) on the CPU, whatever device the model is on: a sort of the vocabulary
is quick there, and the same logits give the same token everywhere. The draw inverts the cumulative distribution in float64
at one uniform number a token, from the sample's own generator, so that no sample depends on how many there are.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from newleaf.errors import ModelError
from newleaf.generation.settings import Sampling

NEVER = -math.inf


def penalise_repetition(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Tokens that stand in `ids` (…, T) become less likely: positive logits divided, negative ones multiplied by `penalty`.

    CTRL, https://arxiv.org/abs/1909.05858, section 4.1.

    >>> penalise_repetition(torch.tensor([2.0, -2.0, 2.0]), torch.tensor([0, 1, 1]), 2.0)
    tensor([ 1., -4.,  2.])
    """
    seen = logits.gather(-1, ids)
    return logits.scatter(-1, ids, torch.where(seen < 0, seen * penalty, seen / penalty))


def keep_top_k(logits: Tensor, top_k: int) -> Tensor:
    """The `top_k` largest logits, and what equals the smallest of them; the rest can no longer be drawn."""
    smallest = logits.topk(min(top_k, logits.shape[-1])).values[..., -1:]
    return remove(logits, logits < smallest)


def keep_top_p(logits: Tensor, top_p: float) -> Tensor:
    """The fewest tokens, most likely first, whose probabilities sum to at least `top_p` (https://arxiv.org/abs/1904.09751).

    Of equal logits at the border those with higher ids stay. Only values are sorted: a tenth of the time of an argsort.
    """
    ascending = torch.from_numpy(np.sort(logits.numpy(), axis=-1))
    num_removed = count_removed(ascending, top_p)
    smallest = ascending.gather(-1, num_removed)
    removed = logits < smallest
    if (ascending.gather(-1, (num_removed - 1).clamp_(min=0)) == smallest).any():  # perhaps a border between equals
        equal = logits == smallest
        removed |= equal & (equal.cumsum(-1) <= num_removed - removed.sum(-1, keepdim=True))
    return remove(logits, removed)


def keep_top_p_slowly(logits: Tensor, top_p: float) -> Tensor:
    """The twin of `keep_top_p`, by a stable argsort."""
    ascending, order = logits.sort(stable=True)
    removed = ascending.softmax(-1).cumsum(-1) <= 1 - top_p
    removed[..., -1] = False
    return remove(logits, torch.zeros_like(removed).scatter(-1, order, removed))


def count_removed(ascending: Tensor, top_p: float) -> Tensor:
    """How many of the least likely tokens have at most 1 - top_p together; at least one token stays. (…, V) -> (…, 1)"""
    cumulative = ascending.softmax(-1).cumsum(-1)
    border = cumulative.new_full((*cumulative.shape[:-1], 1), 1 - top_p)
    return torch.searchsorted(cumulative, border, right=True).clamp_(max=ascending.shape[-1] - 1)


def keep_min_p(logits: Tensor, min_p: float) -> Tensor:
    """Tokens whose probability is at least `min_p` times that of the most likely one (https://arxiv.org/abs/2407.01082)."""
    probabilities = logits.softmax(-1)
    return remove(logits, probabilities < min_p * probabilities.amax(-1, keepdim=True))


def remove(logits: Tensor, removed: Tensor) -> Tensor:
    """`logits` with -inf where `removed`. In numpy: torch would wake its threads for each vocabulary above 32,768."""
    return torch.from_numpy(np.where(removed.numpy(), np.float32(NEVER), logits.numpy()))


def filtered(logits: Tensor, ids: Tensor | Sequence[int], sampling: Sampling) -> Tensor:
    """Logits (…, V) after every filter that `sampling` asks for; `ids` (…, T) are the prompt and the text so far.

    Greedy sampling has no filter but the repetition penalty.
    """
    if sampling.repetition_penalty is not None and sampling.repetition_penalty != 1:
        logits = penalise_repetition(logits, torch.as_tensor(ids), sampling.repetition_penalty)
    if sampling.greedy:
        return logits
    if sampling.temperature != 1:
        logits = torch.from_numpy(logits.numpy() / np.float32(sampling.temperature))
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p < 1:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p is not None:
        logits = keep_min_p(logits, sampling.min_p)
    return logits


def draw(logits: Tensor, uniform: float) -> int:
    """The token at which the cumulative distribution of `logits` (V,) passes `uniform`, a number in [0, 1).

    >>> [draw(torch.tensor([0.0, NEVER, 0.0]), uniform) for uniform in (0.0, 0.49, 0.51)]
    [0, 0, 2]
    """
    values = logits.numpy()
    candidates = np.flatnonzero(values > NEVER)
    weights = np.exp(values[candidates].astype(np.float64) - values.max())
    cumulative = np.cumsum(weights)
    place = np.searchsorted(cumulative, uniform * cumulative[-1], side="right")
    return int(candidates[min(place, len(candidates) - 1)])  # rounding could lead past the last one


class Sampler:
    """Picks the tokens of one sample, one after another, with a generator of its own.

    >>> sampler = Sampler(Sampling(greedy=True), seed=0, prompt=[1])
    >>> sampler.pick(torch.tensor([0.5, 3.0, 1.0])), sampler.ids
    (1, [1, 1])
    """

    def __init__(self, sampling: Sampling, seed: int, prompt: Sequence[int]) -> None:
        self.sampling, self.ids = sampling, list(prompt)
        self.generator = torch.Generator().manual_seed(seed)

    def pick(self, logits: Tensor) -> int:
        """The next token, from float32 logits (V,) on the CPU. ModelError if they are not finite."""
        if not math.isfinite(logits.numpy().max()):  # NaN comes out of max, too
            raise ModelError("the model gives logits that are not finite", hint="check its files with newleaf verify")
        logits = filtered(logits, self.ids, self.sampling)
        if self.sampling.greedy:
            picked = int(logits.numpy().argmax())
        else:
            picked = draw(logits, torch.rand((), dtype=torch.float64, generator=self.generator).item())
        self.ids.append(picked)
        return picked
