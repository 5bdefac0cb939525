"""`newleaf chat`: with a model that was tuned for it, in turns, or line by line where its task is one of single questions; with another, it
continues what is written."""

import sys
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from typing import TYPE_CHECKING

from newleaf import api
from newleaf.cli.generate import show
from newleaf.cli.words import Json, Whole
from newleaf.errors import UsageError
from newleaf.runtime import Precision, language

if TYPE_CHECKING:
    from newleaf.generation.settings import Sampling
    from newleaf.jobs.loaded import Model
    from newleaf.tokens.conversations import Message

WELCOME = {  # by whether the model has a chat template; English, Chinese
    False: (
        "It continues what you write; it was not trained to answer. An empty line ends.",
        "你写一行，模型接着写；它只会续写，没学过回答。空行结束。",
    ),
    True: ("Write a line, and it answers. An empty line ends.", "你说一句，它答一句。空行结束。"),
}


def chat(
    model: str,
    *,
    system: str | None = None,
    max_tokens: Whole | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    seed: Whole = 0,
    precision: Precision = "float32",
    json_: Json = False,
) -> None:
    """Write a line, and the model answers, or goes on from everything said so far. An empty line or Ctrl-D ends.

    Parameters
    ----------
    model
        A run directory, a model's folder or a hub name.
    system
        What the model is told before the first line, and keeps in mind: who it is, how it should answer.
    max_tokens
        The most tokens of one answer (256).
    temperature
        Below 1 safer, above 1 more varied (0.8).
    top_p
        Draw from the fewest tokens that together have this probability (0.95).
    seed
        Answer i draws with seed + i.
    precision
        Type of the matrix products: float32 or bf16.
    json_
        Refused: a conversation is not one JSON object.
    """
    if json_:
        raise UsageError("chat has no --json", where="--json", hint="use newleaf generate --json")
    opened = api.load(model)
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")  # what is no UTF-8 gets its sentence when it is encoded
    opened.engine(precision)  # a model that writes nothing says so before anybody is asked for a line
    tuned = opened.tokenizer.chat_template is not None
    alone = tuned and opened.answers_each_alone
    if system and (alone or not tuned):
        raise UsageError("this model knows no system prompt", where="--system", hint="leave it out, or tune the model with --task chat")
    print(WELCOME[tuned][language() == "zh"], file=sys.stderr)
    talk: list[Message] = [{"role": "system", "content": system}] if system else []
    for turn, line in enumerate(lines()):
        if alone:
            talk.clear()
        talk.append({"role": "user", "content": line})
        sampling = opened.sampling(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed + turn)
        answer = ""
        for piece in (
            opened.answer(talk, sampling, precision) if tuned else opened.stream(continued(opened, talk, sampling), sampling, precision)
        ):
            show(piece)
            answer += piece
        print()
        talk.append({"role": "assistant", "content": answer})


def lines() -> Iterator[str]:
    """What the person types, until an empty line or the end."""
    while True:
        sys.stderr.write("> ")
        sys.stderr.flush()
        line = sys.stdin.readline().rstrip("\n")
        if not line:
            return
        yield line


def continued(model: "Model", talk: Sequence["Message"], sampling: "Sampling") -> str:
    """For a model that knows no turns: all lines one below the other, as far as they leave room for an answer."""
    text = "".join(message["content"] + "\n" for message in talk)
    ids = model.tokenizer.encode(text)
    room = max(1, model.config.context - min(sampling.max_tokens, model.config.context // 2))
    return text if len(ids) <= room else model.tokenizer.decode(ids[-room:]).lstrip("\ufffd")
