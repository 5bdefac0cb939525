"""A model and items to choose from in, accuracy out: by how likely the model finds each choice, nothing is written.

    choice   a prompt and several ways on; `accuracy` takes the likeliest, `accuracy_norm` the likeliest a byte
    pairs    two sentences, the first of them the good one (Warstadt et al. 2020)
    cloze    a prompt and how it goes on: right where each token of that is the likeliest one (Paperno et al. 2016)

Prompts and choices are put together and encoded as lm-eval does it, so that the figures are the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from newleaf.batches.examples import Examples
from newleaf.evaluation.examples import in_groups, tensors
from newleaf.evaluation.metrics import Figure, mean
from newleaf.loss import IGNORED
from newleaf.loss.language import token_losses
from newleaf.model.decoder import Decoder
from newleaf.tokens.interface import AnyTokenizer
from newleaf.workers import Workers


@dataclass(frozen=True)
class Item:
    """A prompt, how it may go on, and the number of the right one."""

    prompt: str
    choices: tuple[str, ...]
    right: int = 0


def ids_of(tokenizer: AnyTokenizer, prompt: str, choice: str, context: int) -> tuple[list[int], int]:
    """(ids of both together, how many of them are the choice's): white space at the end of the prompt counts to the choice, and where there
    is no prompt, an end of text stands there. Of what is too long the end."""
    stripped = prompt.rstrip()
    choice = prompt[len(stripped) :] + choice
    if not stripped:
        before, whole = [tokenizer.end_of_text], [tokenizer.end_of_text, *tokenizer.encode(choice)]
    else:
        before, whole = tokenizer.prompt(stripped), tokenizer.prompt(stripped + choice)
    said = max(1, len(whole) - len(before))
    return whole[-(context + 1) :], min(said, context)


def measured(model: Decoder, tokenizer: AnyTokenizer, kind: str, items: Sequence[Item], workers: Workers) -> dict[str, Figure]:
    """{accuracy, accuracy_norm} of choices, {accuracy} of pairs and cloze."""
    rows = [ids_of(tokenizer, item.prompt, choice, model.config.context) for item in items for choice in item.choices]
    nats, sure = log_likelihoods(model, rows, workers, lambda: None)
    borders = np.cumsum([0, *(len(item.choices) for item in items)])
    parts = [slice(first, last) for first, last in pairwise(borders)]
    if kind == "cloze":
        return {"accuracy": mean([float(sure[part][0]) for part in parts])}
    right = mean([float((-nats[part]).argmax() == item.right) for item, part in zip(items, parts, strict=True)])
    if kind == "pairs":
        return {"accuracy": right}
    lengths = np.array([max(1, len(choice.encode())) for item in items for choice in item.choices])
    normed = mean([float((-nats[part] / lengths[part]).argmax() == item.right) for item, part in zip(items, parts, strict=True)])
    return {"accuracy": right, "accuracy_norm": normed}


def log_likelihoods(
    model: Decoder, rows: Sequence[tuple[list[int], int]], workers: Workers, between: Callable[[], None]
) -> tuple[np.ndarray, np.ndarray]:
    """(N) nats of the last ids of each row, as many as it says; (N) whether each of them is the likeliest token."""
    ids = np.array([id for row, _ in rows for id in row])
    answers = np.array([place >= len(row) - said for row, said in rows for place in range(len(row))])
    starts = np.cumsum([0, *(len(row) for row, _ in rows)])
    examples = Examples(ids, answers, starts, np.zeros(0, np.int64), np.zeros((0, 2), np.float32))

    def score(numbers: list[int]) -> np.ndarray:
        inputs, targets = tensors(model, examples.language(numbers))
        wanted = targets != IGNORED
        hidden, asked, places = model.hidden(inputs)[wanted], targets[wanted], wanted.nonzero()[:, 0]
        losses = token_losses(hidden, model.head_weight, asked).double()
        missed = torch.cat([(model.head(hidden[part]).argmax(-1) != asked[part]).double() for part in parts_of(len(asked))])
        sums: Any = torch.zeros(2, len(numbers), dtype=torch.float64, device=losses.device)
        return np.asarray(sums.index_add(1, places, torch.stack([losses, missed])).T.cpu().numpy())

    found = in_groups(score, examples, list(range(len(rows))), workers, between)
    return found[:, 0], found[:, 1] == 0


def parts_of(number: int, size: int = 512) -> list[slice]:
    """So that the logits are never all there."""
    return [slice(first, first + size) for first in range(0, number, size)]
