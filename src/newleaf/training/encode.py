"""Examples in, rows of token ids out, each id learned or not: rendered by the template, cut where they are longer than the context."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from newleaf.batches.examples import Examples
from newleaf.text.examples import Conversation, Example, Labelled, Preference, texts_of
from newleaf.tokens.conversations import Part, Renderer
from newleaf.tokens.interface import AnyTokenizer, labelled_ids
from newleaf.training.tasks import Task

NO_REFERENCE = np.zeros((0, 2), np.float32)
Rows = list[tuple[list[int], list[bool]]]  # of an example: ids, and whether each is learned


@dataclass
class Encoder:
    """Examples to rows of ids, for one tokenizer; counts what had to be cut or left out."""

    task: Task
    tokenizer: AnyTokenizer
    cut: int = 0
    too_long: int = 0
    longest: int = 0  # ids of a label that is written

    def parts(self, examples: Sequence[Example]) -> list[list[list[Part]]]:
        """Of each example its rows, each in parts; a text with a label is one part without an answer."""
        if self.task.kind == "labels":
            encoded = (labelled_ids(self.tokenizer, example.texts) for example in examples if isinstance(example, Labelled))
            return [[[Part(ids, [])]] for ids in encoded]
        each = 2 if self.task.kind == "preference" else 1
        rendered = self.rendered(examples)
        if self.task.kind == "spelled":
            self.longest = max([self.longest, *(len(parts[0].answer) for parts in rendered)])
        return [rendered[first : first + each] for first in range(0, len(rendered), each)]

    def rendered(self, examples: Sequence[Example]) -> list[list[Part]]:
        """The parts of every conversation in the examples."""
        return Renderer(self.tokenizer).learned([talk for example in examples for talk in talks_of(example)])

    def all_fitting(
        self, examples: Sequence[Example], parts: Sequence[Sequence[Sequence[Part]]], context: int
    ) -> Iterator[tuple[Example, Rows]]:
        """Each example that has any rows."""
        if self.task.kind == "spelled":
            parts = self._shortened(examples, parts, context)
        for example, each in zip(examples, parts, strict=True):
            rows = self.fitting(example, each, context)
            if rows:
                yield as_far(example, rows), rows

    def fitting(self, example: Example, rows: Sequence[Sequence[Part]], context: int) -> Rows:
        """The rows as far as they fit the context, or none."""
        if isinstance(example, Labelled) and self.task.kind == "labels":
            ids = rows[0][0].before
            if len(ids) > context:
                self.cut += 1
                ids = labelled_ids(self.tokenizer, example.texts, context)
            return [(ids, [False] * len(ids))]
        found = self._answers(rows, context) if self.task.kind == "preference" else [self._turns(parts, context) for parts in rows]
        if all(ids for ids, _ in found):
            return found
        self.too_long += 1
        return []

    def _shortened(
        self, examples: Sequence[Example], parts: Sequence[Sequence[Sequence[Part]]], context: int
    ) -> list[Sequence[Sequence[Part]]]:
        """The parts, of texts that are too long those of their beginning, which is as long whatever the label is."""
        room, found, shorter = context + 1 - self.longest, list(parts), dict(enumerate(examples))
        long = [place for place, rows in enumerate(found) if len(rows[0][0].before) > room]
        self.cut += len(long)
        while long:
            for place in long:
                shorter[place] = shortened(shorter[place], room / len(found[place][0][0].before))
            for place, turns in zip(long, self.rendered([shorter[place] for place in long]), strict=True):
                found[place] = [turns]
            long = [place for place in long if len(found[place][0][0].before) > room and any(texts_of(shorter[place]))]
        return found

    def _turns(self, parts: Sequence[Part], context: int) -> tuple[list[int], list[bool]]:
        """A conversation as far as it fits, to the end of a turn of the assistant's."""
        ids, learned = list[int](), list[bool]()
        for number, part in enumerate(parts):
            if len(ids) + len(part.before) + len(part.answer) > context + 1:
                self.cut += number > 0
                break
            ids += part.before + part.answer
            learned += [False] * len(part.before) + [True] * len(part.answer)
        return ids, learned

    def _answers(self, rows: Sequence[Sequence[Part]], context: int) -> Rows:
        """Both answers to a last question, each as far as it fits; none where they do not differ so far (decision 0019)."""
        *earlier, last = rows[0]
        asked = [*(id for part in earlier for id in part.before + part.answer), *last.before]
        said = [parts[-1].answer for parts in rows]
        fitting = [answer[: max(0, context + 1 - len(asked))] for answer in said]
        if fitting[0] == fitting[1]:
            return [([], []), ([], [])]
        self.cut += fitting != said
        return [(asked + answer, [False] * len(asked) + [True] * len(answer)) for answer in fitting]


def as_far(example: Example, rows: Rows) -> Example:
    """A conversation to the last answer that is in its row."""
    if not isinstance(example, Conversation):
        return example
    begins = np.diff(np.array([False, *rows[0][1]], np.int8)) == 1
    said = [place for place, (role, _) in enumerate(example.turns, start=1) if role == "assistant"]
    end = said[int(begins.sum()) - 1]
    return example if end == len(example.turns) else replace(example, turns=example.turns[:end], answers=())


def shortened(example: Example, share: float) -> Example:
    """The longer of its texts cut to so large a share of it, at most nearly all."""
    assert isinstance(example, Labelled)
    longest = max(example.texts, key=len)
    keep = int(len(longest) * max(0.0, min(share, 0.95)))
    return replace(example, texts=tuple(text[:keep] if text is longest else text for text in example.texts))


def num_ids(rows: Sequence[Sequence[Part]]) -> int:
    """Of the longest row of an example."""
    return max(sum(len(part.before) + len(part.answer) for part in parts) for parts in rows)


def talks_of(example: Example) -> list[list[dict[str, str]]]:
    """The conversations in an example, as messages."""
    if isinstance(example, Preference):
        return [messages((*example.turns, ("assistant", said))) for said in (example.chosen, example.rejected)]
    if isinstance(example, Labelled):
        return [messages((("user", "\n".join(example.texts)), ("assistant", example.label)))]
    return [messages(example.turns)]


def messages(turns: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"role": role, "content": said} for role, said in turns]


def as_examples(examples: Sequence[tuple[Example, Rows]], labels: Mapping[str, int]) -> Examples:
    """Encoded examples in one; a label that has no id gets one beyond all."""
    ids = np.array([id for _, rows in examples for row, _ in rows for id in row], np.int64)
    learned = np.array([each for _, rows in examples for _, mask in rows for each in mask], bool)
    starts = np.cumsum([0, *(len(row) for _, rows in examples for row, _ in rows)])
    known = np.array([labels.get(example.label, len(labels)) for example, _ in examples if isinstance(example, Labelled)], np.int64)
    return Examples(ids, learned, starts, known, NO_REFERENCE, len(examples[0][1]) if examples else 1)
