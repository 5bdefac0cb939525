"""Messages in, the ids that a chat model reads out. The template that stands with the model says how; this is the one place that asks it.

Only the template makes special tokens: what a person or a model has said is text, even where it spells the name of one.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property

from newleaf.errors import ModelError
from newleaf.tokens.interface import AnyTokenizer
from newleaf.tokens.sandbox import render

Message = Mapping[str, str]  # {"role": "system", "user" or "assistant", "content": text}
BREAK = "\ue000"  # of the private use area: breaks the names of special tokens in what was said


class Renderer:
    """Renders conversations for one tokenizer."""

    def __init__(self, tokenizer: AnyTokenizer) -> None:
        """ModelError where the tokenizer has no chat template."""
        if not tokenizer.chat_template:
            raise ModelError("this model has no chat template", expected="one that was tuned for chat")
        self.tokenizer, self.template = tokenizer, tokenizer.chat_template

    def ids(self, messages: Sequence[Message], answering: bool = True) -> list[int]:
        """Of a conversation; `answering`: up to where the assistant's next answer begins."""
        ids: list[int] = []
        for part in self._names.split(self.text(messages, answering)):
            special = self.tokenizer.special_tokens.get(part)
            ids += [special] if special is not None else self.tokenizer.encode(part.replace(BREAK, ""))
        return ids

    def text(self, messages: Sequence[Message], answering: bool = True) -> str:
        """What the template makes of the messages, BREAK inside of what only looks like a special token."""
        said = [{**message, "content": self._names.sub(broken, message["content"].replace(BREAK, ""))} for message in messages]
        values = {"messages": said, "add_generation_prompt": answering, **self.tokenizer.named_tokens}
        return render(self.template, [values])[0]

    @cached_property
    def _names(self) -> re.Pattern[str]:
        names = sorted(self.tokenizer.special_tokens, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, names))})" if names else "(?!)()")


def broken(name: re.Match[str]) -> str:
    return name[0][:1] + BREAK + name[0][1:]
