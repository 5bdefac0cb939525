"""Messages in, the ids that a chat model reads out. The template that stands with the model says how; this is the one place that asks it.

Only the template makes special tokens: what a person or a model has said is text, even where it spells the name of one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from newleaf.errors import ModelError
from newleaf.tokens.interface import AnyTokenizer
from newleaf.tokens.sandbox import render

Message = Mapping[str, str]  # {"role": "system", "user" or "assistant", "content": text}
BREAK = "\ue000"  # of the private use area: breaks the names of special tokens in what was said


@dataclass(frozen=True)
class Part:
    """Of a conversation."""

    before: list[int]
    answer: list[int]


class Renderer:
    """Renders conversations for one tokenizer."""

    def __init__(self, tokenizer: AnyTokenizer) -> None:
        """ModelError where the tokenizer has no chat template."""
        if not tokenizer.chat_template:
            raise ModelError("this model has no chat template", expected="one that was tuned for chat")
        self.tokenizer, self.template = tokenizer, tokenizer.chat_template

    def ids(self, messages: Sequence[Message], answering: bool = True) -> list[int]:
        """Of a conversation; `answering`: up to where the assistant's next answer begins."""
        return self._encode(self.text(messages, answering))

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for part in self._names.split(text):
            special = self.tokenizer.special_tokens.get(part)
            ids += [special] if special is not None else self.tokenizer.encode(part.replace(BREAK, ""))
        return ids

    def learned(self, conversations: Sequence[Sequence[Message]]) -> list[list[Part]]:
        """Of each conversation its parts: the ids up to an answer, those of the answer up to the token that ends it, and so on. One
        behind the other they are what a model reads; the answers are what it learns. ModelError where the template writes an answer in
        another way than it asks for one.
        """
        places = [[place for place, message in enumerate(talk) if message["role"] == "assistant"] for talk in conversations]
        asked = [
            self._values(talk[:last], answering)
            for talk, answers in zip(conversations, places, strict=True)
            for place in answers
            for last, answering in ((place, True), (place + 1, False))
        ]
        texts = iter(render(self.template, asked))
        return [list(self._parts([(next(texts), next(texts)) for _ in answers])) for answers in places]

    def _parts(self, answers: Sequence[tuple[str, str]]) -> Iterator[Part]:
        """From the text up to each answer and the text with it."""
        written, known = "", list[int]()  # the text so far, and its ids
        for before, whole in answers:
            if not (before.startswith(written) and whole.startswith(before)):
                raise ModelError("the chat template writes an answer otherwise than it asks for one", expected="one that only adds")
            asked = self._further(known, written, before)
            ids = self._further([*known, *asked], before, whole)
            ends = max((place for place, id in enumerate(ids) if id in self._marks), default=len(ids) - 1) + 1
            yield Part(asked, ids[:ends])
            tail = self.tokenizer.decode(ids[ends:])
            written, known = whole[: len(whole) - len(tail)], [*known, *asked, *ids[:ends]]

    def _further(self, ids: list[int], text: str, longer: str) -> list[int]:
        """What comes behind the ids of a text in those of a longer one: as the whole is encoded, where that begins with the same ids."""
        whole = self._encode(longer)
        return whole[len(ids) :] if whole[: len(ids)] == ids else self._encode(longer[len(text) :])

    def text(self, messages: Sequence[Message], answering: bool = True) -> str:
        """What the template makes of the messages, BREAK inside of what only looks like a special token."""
        return render(self.template, [self._values(messages, answering)])[0]

    def _values(self, messages: Sequence[Message], answering: bool) -> dict[str, Any]:
        """What the template sees."""
        said = [{**message, "content": self._names.sub(broken, message["content"].replace(BREAK, ""))} for message in messages]
        return {"messages": said, "add_generation_prompt": answering, **self.tokenizer.named_tokens}

    @cached_property
    def _marks(self) -> frozenset[int]:
        """Special tokens that stand for no text, not even for an unknown one."""
        unknown = self.tokenizer.special_tokens.get(self.tokenizer.named_tokens.get("unk_token", ""))
        return frozenset(self.tokenizer.special_tokens.values()) - {unknown}

    @cached_property
    def _names(self) -> re.Pattern[str]:
        names = sorted(self.tokenizer.special_tokens, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, names))})" if names else "(?!)()")


def broken(name: re.Match[str]) -> str:
    return name[0][:1] + BREAK + name[0][1:]
