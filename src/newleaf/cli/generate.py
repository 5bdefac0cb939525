"""`newleaf generate`."""

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from newleaf import api
from newleaf.cli import STDIN
from newleaf.cli.console import printable
from newleaf.cli.words import Flag, Json, Whole
from newleaf.errors import TextError
from newleaf.runtime import Precision, language

if TYPE_CHECKING:
    from newleaf.generation.engine import Sample
    from newleaf.generation.settings import Sampling
    from newleaf.jobs.loaded import Model

ENDS_IN_A_SPACE = (  # in English, in Chinese
    "the prompt ends in a space, but the model's words begin with theirs: it goes on better without it",
    "提示以空格结尾，而模型的词自带开头的空格：去掉它会续写得更好",
)


def generate(
    model: str,
    prompt: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    *,
    max_tokens: Whole | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: Whole | None = None,
    min_p: float | None = None,
    repetition_penalty: float | None = None,
    greedy: Flag = False,
    stop: Annotated[list[str] | None, Parameter(negative=(), allow_leading_hyphen=True)] = None,
    seed: Whole = 0,
    n: Whole = 1,
    echo: Flag = False,
    precision: Precision = "float32",
    json_: Json = False,
) -> None:
    """Continue a prompt. The continuation is written on stdout as it comes.

    Parameters
    ----------
    model
        A run directory, a model's folder or a hub name.
    prompt
        The text to go on from, as it is; none: the beginning of a new document; - reads it from stdin.
    max_tokens
        The most tokens to write (256).
    temperature
        Below 1 safer, above 1 more varied (0.8).
    top_p
        Draw from the fewest tokens that together have this probability (0.95).
    top_k
        Draw from this many of the most likely tokens.
    min_p
        Draw from tokens at least this share as likely as the most likely one.
    repetition_penalty
        Above 1 makes every token that the text already holds less likely.
    greedy
        Always the most likely token; turns the filters off.
    stop
        End before this text; may be given several times.
    seed
        Sample i draws with seed + i.
    n
        How many samples, separated by a line ---.
    echo
        Print the prompt first.
    precision
        Type of the matrix products: float32 or bf16.
    json_
        Print one JSON object on stdout.
    """
    opened = api.load(model)
    text = read_stdin() if prompt == STDIN else prompt
    sampling = opened.sampling(
        max_tokens=max_tokens, temperature=temperature, top_p=top_p, top_k=top_k, min_p=min_p, repetition_penalty=repetition_penalty,
        greedy=greedy or None, stop=tuple(stop) if stop else None, seed=seed, n=n,
    )  # fmt: skip
    if text != text.rstrip(" ") != "":
        print(ENDS_IN_A_SPACE[language() == "zh"], file=sys.stderr)
    if sampling.n == 1 and not json_:
        stream(opened, text, sampling, precision, echo)
        return
    began = time.perf_counter()
    samples = opened.samples(text, sampling, precision)
    seconds = time.perf_counter() - began
    if not json_:
        print("\n---\n".join(safe((text if echo else "") + sample.text) for sample in samples))
        return
    found = {"prompt": text, "prompt_ids": opened.engine(precision).encode(text)} | as_json(samples, seconds) | {"seed": seed}
    print(json.dumps(found, ensure_ascii=False))


def as_json(samples: Sequence["Sample"], seconds: float) -> dict[str, Any]:
    """What was written, and how fast."""
    rows = [{"text": sample.text, "ids": list(sample.ids), "stopped_by": sample.stopped_by} for sample in samples]
    tokens = sum(len(sample.ids) for sample in samples)
    return {"samples": rows, "seconds": seconds, "tokens_per_second": tokens / max(1e-9, seconds)}


def stream(opened: "Model", text: str, sampling: "Sampling", precision: Precision, echo: bool) -> None:
    """Write one sample as it comes; a prompt that is refused is not echoed."""
    pieces = opened.stream(text, sampling, precision)
    show((text if echo else "") + next(pieces, ""))
    for piece in pieces:
        show(piece)
    print()


def read_stdin() -> str:
    """The prompt as it is, to the last line end; TextError if it is no UTF-8."""
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError:
        raise TextError("the prompt on stdin is not UTF-8", where="-", hint="convert it first") from None


def show(piece: str) -> None:
    """Write a piece at once."""
    sys.stdout.write(safe(piece))
    sys.stdout.flush()


def safe(text: str) -> str:
    """Into a terminal nothing that it would obey; into a file or a pipe exactly what the model wrote."""
    return printable(text) if sys.stdout.isatty() else text
