"""`newleaf evaluate`."""

import json

from newleaf import api
from newleaf.cli.words import Json, inputs
from newleaf.errors import UsageError


def evaluate(model: str, *data: str, column: str | None = None, suite: str | None = None, json_: Json = False) -> None:
    """Measure a model on text in bits per byte; without DATA on the run's own held-out text.

    Parameters
    ----------
    model
        A run directory.
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
    print(
        f"{result['bits_per_byte']:.4f} bits per byte (± {result['stderr']:.4f}) · "
        f"perplexity {result['perplexity']:,.2f} · {result['loss']:.4f} nats a token\n"
        f"{result['bytes']:,} bytes, {result['tokens']:,} tokens, {result['documents']:,} documents"
    )
