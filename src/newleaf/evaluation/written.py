"""A model and examples whose answers are text in, what it writes and how good that is out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from newleaf.batches.examples import Examples
from newleaf.evaluation import metrics
from newleaf.evaluation.between import Between, unheard
from newleaf.evaluation.examples import TOKENS
from newleaf.evaluation.metrics import Figure
from newleaf.evaluation.originality import originality
from newleaf.generation.together import write_together
from newleaf.model.decoder import Decoder
from newleaf.text.examples import Conversation, Example
from newleaf.tokens.interface import AnyTokenizer
from newleaf.tokens.templates import end_of_turn

MOST_TOKENS = 128  # of an answer that is written to be judged
TOGETHER = 16  # answers, as far as the tokens of an evaluation at a time allow


@dataclass(frozen=True)
class Answer:
    """What a model answers: `text` without white space around it, and `ids` as they were written."""

    text: str
    ids: list[int]
    stopped: bool  # by itself


def answer_figures(
    written: Sequence[Answer],
    tokenizer: AnyTokenizer,
    examples: Examples,
    rows: Sequence[Example],
    some: Sequence[int],
    names: Sequence[str],
) -> dict[str, Figure]:
    """The metrics of these names, as far as their libraries are installed, and the share of answers that end by themselves; `written` to
    some of the examples, `rows` being the same as people read them."""
    wanted = [right_answers(tokenizer, examples, rows[number], number) for number in some]
    texts = [answer.text for answer in written]
    found = {name: metrics.figure(name, texts, wanted) for name in names if metrics.installed(name)}
    return found | {"stops": metrics.mean([float(answer.stopped) for answer in written])}


def answers_of_its_own(
    written: Sequence[Answer], tokenizer: AnyTokenizer, examples: Examples, some: Sequence[int], training: Examples
) -> dict[str, Any] | None:
    """`originality` of what was written to some examples, beside their right answers, compared with the training answers."""
    right = [np.array([id for id in last_answer(examples, number)[1] if not tokenizer.is_special(id)], np.int64) for number in some]
    no_token = -1  # what is no answer equals nothing
    return originality(
        [np.array(answer.ids, np.int64) for answer in written],
        right,
        np.where(training.answers, training.ids.astype(np.int64), no_token),
        tokenizer,
    )


def write_answers(
    model: Decoder, tokenizer: AnyTokenizer, examples: Examples, some: Sequence[int], between: Between = unheard
) -> list[Answer]:
    """What the model answers to the last question of some examples; always the likeliest token."""
    ends = {tokenizer.end_of_text, end_of_turn(tokenizer)}
    prompts = {number: last_answer(examples, number)[0] for number in some}
    found = dict[int, Answer]()
    waiting = sorted(prompts, key=lambda number: len(prompts[number]))
    while waiting:
        longest = len(prompts[waiting[min(TOGETHER, len(waiting)) - 1]]) + MOST_TOKENS
        these, waiting = waiting[: (count := max(1, min(TOGETHER, TOKENS // longest)))], waiting[count:]
        written = write_together(model, [prompts[number] for number in these], MOST_TOKENS, ends, tokenizer.vocab_size)
        found |= {number: Answer(shown(tokenizer, ids), ids, ended) for number, (ids, ended) in zip(these, written, strict=True)}
        between(len(found) / len(prompts))
    return [found[number] for number in some]


def shown(tokenizer: AnyTokenizer, ids: Sequence[int]) -> str:
    """What people see of an answer."""
    return tokenizer.decode([id for id in ids if not tokenizer.is_special(id)]).strip()


def right_answers(tokenizer: AnyTokenizer, examples: Examples, row: Example, number: int) -> list[str]:
    """The right answers to the last question of an example, that of the example first."""
    _, answer = last_answer(examples, number)
    said = shown(tokenizer, answer)
    return [said, *(other for other in (row.answers if isinstance(row, Conversation) else ()) if other != said)]


def last_answer(examples: Examples, number: int) -> tuple[list[int], list[int]]:
    """(ids up to the last answer, ids of it) of an example."""
    ids, learned = examples.row(number * examples.rows_each)
    ends = int(np.flatnonzero(learned)[-1]) + 1
    before = np.flatnonzero(~learned[:ends])
    begins = int(before[-1]) + 1 if len(before) else 0
    return ids[:begins].tolist(), ids[begins:ends].tolist()


def answer_bytes(examples: Examples, some: Sequence[int], tokenizer: AnyTokenizer) -> int:
    """UTF-8 bytes of the answers in some examples, of two to compare both."""
    lengths, each = tokenizer.byte_lengths(), examples.rows_each
    rows = [examples.row(row) for number in some for row in range(number * each, (number + 1) * each)]
    return int(sum(lengths[ids[learned]].sum() for ids, learned in rows))
