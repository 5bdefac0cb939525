"""`newleaf evaluate`."""

import json

from newleaf import api
from newleaf.cli.words import Json, inputs
from newleaf.errors import UsageError
from newleaf.runtime import language


def evaluate(model: str, *data: str, column: str | None = None, suite: str | None = None, json_: Json = False) -> None:
    """Measure a model on text in bits per byte; without DATA on the run's own held-out text.

    Parameters
    ----------
    model
        A run directory, a model's folder or a hub name.
    data
        Files, folders, globs, or - for stdin.
    column
        The column of .jsonl, .json, .csv and .tsv files that holds the text.
    suite
        A suite of tasks (a later version).
    json_
        Print one JSON object on stdout.
    """
    if suite is not None:
        raise UsageError("--suite is not there yet", where="--suite", hint="name text to measure bits per byte on")
    result = api.evaluate(model, inputs(data), column=column)
    if json_:
        print(json.dumps(result))
        return
    bits, stderr, perplexity, loss = (result[name] for name in ("bits_per_byte", "stderr", "perplexity", "loss"))
    num_bytes, tokens, documents = (f"{result[name]:,}" for name in ("bytes", "tokens", "documents"))
    if language() == "zh":
        print(f"每字节 {bits:.4f} 比特（± {stderr:.4f}）· 困惑度 {perplexity:,.2f} · 每词元 {loss:.4f} 奈特")
        print(f"{num_bytes} 字节，{tokens} 个词元，{documents} 篇文档")
    else:
        print(f"{bits:.4f} bits per byte (± {stderr:.4f}) · perplexity {perplexity:,.2f} · {loss:.4f} nats a token")
        print(f"{num_bytes} bytes, {tokens} tokens, {documents} documents")
