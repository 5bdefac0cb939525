"""A model and examples in, how well it does on them out: nats of the answers, scores of the labels. Always in float32."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from newleaf.batches.examples import Examples
from newleaf.evaluation.between import Between, unheard
from newleaf.loss import IGNORED
from newleaf.loss.answers import margins
from newleaf.loss.labels import label_logits
from newleaf.loss.language import token_losses
from newleaf.model.decoder import Decoder
from newleaf.workers import Workers

TOKENS = 2048  # in work at a time, padding counted: 8,192 are a fifth slower on two cores (lab/LOG.md, 2026-11-27)

R = TypeVar("R")


@dataclass(frozen=True)
class AnswerScore:
    """Of each example, in the order in which they were asked for."""

    nats: np.ndarray  # (N,) of the answers
    tokens: np.ndarray  # (N,)

    @property
    def loss(self) -> float:
        """Mean nats a token."""
        return float(self.nats.sum() / self.tokens.sum())


def score_answers(model: Decoder, examples: Examples, some: Sequence[int], workers: Workers, between: Between) -> AnswerScore:
    """Of the answers in some examples."""

    def score(numbers: list[int]) -> np.ndarray:
        inputs, targets = tensors(model, examples.language(numbers))
        wanted = targets != IGNORED
        losses = token_losses(model.hidden(inputs)[wanted], model.head_weight, targets[wanted]).double()
        rows = wanted.nonzero()[:, 0]
        sums = torch.zeros(2, len(numbers), dtype=torch.float64, device=losses.device)
        return sums.index_add(1, rows, torch.stack([losses, torch.ones_like(losses)])).T.cpu().numpy()

    found = in_groups(score, examples, some, workers, between)
    return AnswerScore(found[:, 0], found[:, 1])


def score_labels(model: Decoder, examples: Examples, some: Sequence[int], workers: Workers, between: Between) -> np.ndarray:
    """(N, labels) log-probabilities for some texts."""

    def score(numbers: list[int]) -> np.ndarray:
        inputs, _, last = tensors(model, examples.labelled(numbers))
        return label_logits(model, inputs, last).log_softmax(-1).cpu().numpy()

    return in_groups(score, examples, some, workers, between)


def embeddings(model: Decoder, examples: Examples, some: Sequence[int], workers: Workers) -> np.ndarray:
    """(N, W) the mean over a text's tokens of what the model has at its end."""

    def mean(numbers: list[int]) -> np.ndarray:
        inputs, _, last = tensors(model, examples.labelled(numbers))
        there = torch.arange(inputs.shape[1], device=inputs.device) <= last[:, None]
        return ((model.hidden(inputs) * there[..., None]).sum(1) / (last + 1)[:, None]).float().cpu().numpy()

    return in_groups(mean, examples, some, workers, unheard)


def score_margins(model: Decoder, examples: Examples, some: Sequence[int], workers: Workers, between: Between) -> np.ndarray:
    """(N, 1) by how many nats more the better answer has gained on the worse one, since the reference."""

    def score(numbers: list[int]) -> np.ndarray:
        return margins(model, tensors(model, examples.preferred(numbers)), None, "float32")[:, None].cpu().numpy()

    return in_groups(score, examples, some, workers, between)


def tensors(model: Decoder, arrays: Sequence[np.ndarray]) -> list[Tensor]:
    return [torch.from_numpy(array).to(model.device) for array in arrays]


def in_groups(
    function: Callable[[list[int]], np.ndarray], examples: Examples, some: Sequence[int], workers: Workers, between: Between
) -> np.ndarray:
    """`function` of groups of examples of about the same length, its rows in the order of `some`."""
    lengths = examples.lengths * examples.rows_each
    order = sorted(range(len(some)), key=lambda place: -lengths[some[place]])
    groups, group = list[list[int]](), list[int]()
    for place in order:
        if group and (len(group) + 1) * lengths[some[group[0]]] > TOKENS:
            groups.append(group)
            group = []
        group.append(place)
    groups.append(group)

    @torch.inference_mode()
    def work(places: list[int]) -> np.ndarray:
        return function([some[place] for place in places])

    found: np.ndarray | None = None
    for first in range(0, len(groups), 2 * workers.count):
        these = groups[first : first + 2 * workers.count]
        for places, rows in zip(these, workers.map(work, these), strict=True):
            found = np.zeros((len(some), rows.shape[1])) if found is None else found
            found[places] = rows
        between(min(1.0, (first + len(these)) / len(groups)))
    assert found is not None
    return found
