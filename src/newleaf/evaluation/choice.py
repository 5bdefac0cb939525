"""A model and items to choose from in, accuracy out: by how likely the model finds each choice, nothing is written.

    choice   a prompt and several ways on; `accuracy` takes the likeliest, `accuracy_norm` the likeliest a character
    pairs    two sentences, the first of them the good one (Warstadt et al. 2020)
    cloze    a prompt and how it goes on: right where each token of that is the likeliest one (Paperno et al. 2016); `perplexity` is that
             of the whole of it, not of a token

Prompts and choices are put together and encoded as lm-eval does it, and its definitions hold, so that the figures are the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from newleaf.batches.examples import Examples
from newleaf.evaluation.between import Between, unheard
from newleaf.evaluation.examples import in_groups, tensors
from newleaf.evaluation.metrics import Figure, mean, perplexity
from newleaf.loss import IGNORED
from newleaf.loss.language import token_losses
from newleaf.model.decoder import Decoder
from newleaf.tokens.interface import AnyTokenizer
from newleaf.workers import Workers


@dataclass(frozen=True)
class Item:
    """A prompt, how it may go on, the number of the right one, and what stands between."""

    prompt: str
    choices: tuple[str, ...]
    right: int = 0
    delimiter: str = ""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Each choice with what it goes on from."""
        return [(self.prompt, self.delimiter + choice) for choice in self.choices]


def ids_of(tokenizer: AnyTokenizer, prompt: str, choice: str, context: int) -> tuple[list[int], int]:
    """(ids of both together, how many of them are the choice's). White space at the end of the prompt counts to the choice; where there is
    no prompt, what the model reads for an empty one stands there. The choice's ids are those that the whole has beyond as many as the
    prompt's: of a token that reaches across nothing counts, as in lm-eval, but if none is left, the choice is encoded alone, and an empty
    one is the end of the text. Of what is too long the end."""
    stripped = prompt.rstrip()
    choice, before = prompt[len(stripped) :] + choice, tokenizer.prompt(stripped)
    alone = tokenizer.encode(choice) or [tokenizer.end_of_text]
    said = (tokenizer.prompt(stripped + choice)[len(before) :] or alone) if stripped else alone
    return [*before, *said][-(context + 1) :], min(len(said), context)


def measured(
    model: Decoder, tokenizer: AnyTokenizer, kind: str, items: Sequence[Item], workers: Workers, between: Between = unheard
) -> dict[str, Figure]:
    """{accuracy, accuracy_norm} of choices, {accuracy} of pairs, {accuracy, perplexity} of cloze."""
    rows = [ids_of(tokenizer, prompt, choice, model.config.context) for item in items for prompt, choice in item.pairs]
    nats, sure = log_likelihoods(model, rows, workers, between)
    borders = np.cumsum([0, *(len(item.choices) for item in items)])
    parts = [slice(first, last) for first, last in pairwise(borders)]
    if kind == "cloze":
        each = [part.start for part in parts]
        return {"accuracy": mean(sure[each].astype(float).tolist()), "perplexity": perplexity(nats[each].tolist())}
    right = mean([float((-nats[part]).argmax() == item.right) for item, part in zip(items, parts, strict=True)])
    if kind == "pairs":
        return {"accuracy": right}
    lengths = np.array([max(1, len(choice)) for item in items for choice in item.choices])
    normed = mean([float((-nats[part] / lengths[part]).argmax() == item.right) for item, part in zip(items, parts, strict=True)])
    return {"accuracy": right, "accuracy_norm": normed}


def log_likelihoods(
    model: Decoder, rows: Sequence[tuple[list[int], int]], workers: Workers, between: Between
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
