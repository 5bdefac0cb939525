"""`newleaf chat`: a completion chat, until there are models that know turns."""

import sys
from collections.abc import Iterator
from io import TextIOWrapper
from typing import TYPE_CHECKING

from newleaf import api
from newleaf.cli.generate import show
from newleaf.cli.words import Json, Whole
from newleaf.errors import UsageError
from newleaf.runtime import Precision, language

if TYPE_CHECKING:
    from newleaf.jobs.loaded import Model


def chat(
    model: str,
    *,
    max_tokens: Whole | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    seed: Whole = 0,
    precision: Precision = "float32",
    json_: Json = False,
) -> None:
    """Write a line, and the model goes on from everything said so far. An empty line or Ctrl-D ends.

    Parameters
    ----------
    model
        A run directory.
    max_tokens
        The most tokens of one answer (256).
    temperature
        Below 1 bolder in what is likely, above 1 more varied (0.8).
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
    talk = ""
    en, zh = (
        "It continues what you write; it was not trained to answer. An empty line ends.",
        "你写一行，模型接着写；它只会续写，没学过回答。空行结束。",
    )
    print(zh if language() == "zh" else en, file=sys.stderr)
    for turn, line in enumerate(lines()):
        talk = fitting(opened, talk + line + "\n", max_tokens or 256)
        answer = ""
        sampling = opened.sampling(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed + turn)
        for piece in opened.stream(talk, sampling, precision):
            show(piece)
            answer += piece
        print()
        talk += answer + "\n"


def lines() -> Iterator[str]:
    """What the person types, until an empty line or the end."""
    while True:
        sys.stderr.write("> ")
        sys.stderr.flush()
        line = sys.stdin.readline().rstrip("\n")
        if not line:
            return
        yield line


def fitting(model: "Model", talk: str, max_tokens: int) -> str:
    """The end of the talk that leaves room for an answer: older words are forgotten first."""
    ids = model.tokenizer.encode(talk)
    room = max(1, model.config.context - min(max_tokens, model.config.context // 2))
    return talk if len(ids) <= room else model.tokenizer.decode(ids[-room:]).lstrip("\ufffd")
