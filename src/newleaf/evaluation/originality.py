"""What a model writes and what it learned from in, how much of it is its own out: copies, repetition, variety.

People's text copies and repeats, too (licences, refrains), so the same figures of held-out text stand beside: of what people wrote
where the model was asked to go on. All figures count tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from newleaf.batches.pretrain import Stream
from newleaf.conversion.wording import COPIED_TOKENS
from newleaf.evaluation.copying import Found, Ids, find_copies
from newleaf.generation.engine import Engine
from newleaf.generation.settings import Sampling
from newleaf.model.decoder import Decoder
from newleaf.tokens.interface import AnyTokenizer

PHRASE = 4  # tokens that count as a repetition when they come again
SAMPLE_TOKENS, PROMPT_TOKENS = 128, 12
NO_PROMPT = 4  # every so-many-th sample begins from nothing
SEARCHED_A_SECOND = 10_000_000  # tokens of the training text; copying.py says what was measured
SHOWN = 400  # characters of the longest copy
FAR = 1 << 16  # tokens, beyond which no beginning of a document is looked for


@dataclass(frozen=True)
class Opening:
    """Where a model may begin, and what people wrote there."""

    prompt: list[int]
    follows: Ids


def originality(
    written: Sequence[Ids], held_out: Sequence[Ids], training: Stream, tokenizer: AnyTokenizer, first: int = 0
) -> dict[str, Any] | None:
    """{copied_share, longest_copy, repetition, distinct_1, distinct_2, tokens, longest_text, searched_tokens, held_out: {…}} of what a
    model wrote, compared with the training text from token `first` on; None if it wrote nothing.

    copied_share: of all stretches of COPIED_TOKENS tokens, null where none is so long; longest_copy in tokens, longest_text what it says.
    """
    if not sum(map(len, written)):
        return None
    own, theirs = find_copies([written, held_out], training, COPIED_TOKENS, first)
    text = ""
    if own.longest is not None:
        ids = written[own.longest.piece][own.longest.start :][: own.longest.length]
        text = tokenizer.decode(ids.tolist()).strip("\ufffd")[:SHOWN]
    searched = {"longest_text": text, "searched_tokens": len(training) - first}
    return {**figures(written, own), **searched, "held_out": figures(held_out, theirs)}


def figures(pieces: Sequence[Ids], found: Found) -> dict[str, float | int | None]:
    """Of some pieces; those that the pieces are too short for are None."""
    return {
        "copied_share": found.share,
        "longest_copy": found.longest.length if found.longest else 0,
        "repetition": repetition(pieces),
        "distinct_1": distinct(pieces, 1),
        "distinct_2": distinct(pieces, 2),
        "tokens": sum(map(len, pieces)),
    }


def repetition(pieces: Sequence[Ids], length: int = PHRASE) -> float | None:
    """The share of phrases of `length` tokens that came before in the same piece.

    >>> repetition([np.array([1, 2, 1, 2, 1, 2])], length=2)
    0.6
    """
    phrases = [sliding_window_view(piece, length) for piece in pieces if len(piece) >= length]
    if not phrases:
        return None
    return 1 - sum(len(np.unique(each, axis=0)) for each in phrases) / sum(map(len, phrases))


def distinct(pieces: Sequence[Ids], length: int) -> float | None:
    """distinct-n of Li et al. ("A Diversity-Promoting Objective Function for Neural Conversation Models", 2016): the different n-grams of
    all pieces over all their n-grams. It falls as text grows: compare equal amounts.

    >>> distinct([np.array([1, 2, 1]), np.array([1, 2])], 1), distinct([np.array([1, 2, 1]), np.array([1, 2])], 2)
    (0.4, 0.6666666666666666)
    """
    grams = [sliding_window_view(piece, length) for piece in pieces if len(piece) >= length]
    if not grams:
        return None
    together = np.concatenate(grams)
    return len(np.unique(together, axis=0)) / len(together)


def openings(held_out: Stream, end_of_text: int, context: int, most: int) -> list[Opening]:
    """Up to `most` places all through the held-out stream EOT d1 EOT …, in a fixed order without order: the beginning of a document where
    one is near, else in the middle. What follows one ends before the next, so no token counts twice."""
    prompt, length = min(PROMPT_TOKENS, context // 4), min(SAMPLE_TOKENS, context)
    count = max(1, min(most, (len(held_out) - 1) // (prompt + length)))
    borders = [1 + number * (len(held_out) - 1) // count for number in range(count + 1)]
    found = []
    for begin, end in pairwise(borders):
        ids = np.asarray(held_out[begin : min(end, begin + FAR)], np.int64)
        near = np.flatnonzero(ids[: max(0, len(ids) - prompt - length + 1)] == end_of_text)
        ids = ids[near[0] + 1 :] if len(near) else ids
        ends = np.flatnonzero(ids == end_of_text)
        ids = ids[: ends[0]] if len(ends) else ids
        found.append(Opening(ids[:prompt].tolist(), ids[prompt : prompt + length]))
    return [found[number] for number in np.random.default_rng(0).permutation(count)]


def continuations(model: Decoder, tokenizer: AnyTokenizer, places: Sequence[Opening], most: int) -> Iterator[tuple[Ids, Opening]]:
    """`most` samples one by one, number i with the seed i, each with the place that it began at: what was there, or nothing."""
    engine, context = Engine(model, tokenizer), model.config.context
    for number in range(most):
        place = places[number % len(places)]
        prompt = [tokenizer.end_of_text] if number % NO_PROMPT == 0 or not place.prompt else place.prompt
        room = min(SAMPLE_TOKENS, context - len(prompt))
        sample = engine.generate(prompt, Sampling(max_tokens=max(1, room), seed=number))[0]
        yield np.array(sample.ids, np.int64), place
