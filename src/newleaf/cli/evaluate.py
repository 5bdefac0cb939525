"""`newleaf evaluate`."""

import json
from typing import Any

from newleaf import api
from newleaf.cli.words import Json, column_names, inputs
from newleaf.conversion.wording import METRICS, RIVALS
from newleaf.runtime import language


def evaluate(
    model: str,
    *data: str,
    column: str | None = None,
    second_input: str | None = None,
    output: str | None = None,
    label: str | None = None,
    columns: str | None = None,
    suite: str | None = None,
    json_: Json = False,
) -> None:
    """Measure a model on text in bits per byte, or on examples of its task; without DATA on what the run itself held out.

    Parameters
    ----------
    model
        A run directory, a model's folder or a hub name.
    data
        Files, folders, globs, or - for stdin.
    column
        The column of .jsonl, .json, .csv and .tsv files that holds the text.
    second_input
        The column of the second text, where there are two.
    output
        The column that answers.
    label
        The column of labels.
    columns
        Names for the columns of a table without a header, between commas.
    suite
        A suite of tasks: a TOML file, or one of english, grammar, pairs, verses; DATA is then the folder of its files.
    json_
        Print one JSON object on stdout.
    """
    named = {"column": column, "second_input": second_input, "output": output, "label": label}
    result = api.evaluate(model, inputs(data), **named, columns=column_names(columns), suite=suite)
    if json_:
        print(json.dumps(result))
    elif suite is not None:
        for name, figures in result.items():
            print(name)
            show_metrics({"examples": figures.pop("items"), **figures})
            for rival, theirs in figures.get("rivals", {}).items():
                print(RIVALS[rival].say(language()))
                show_metrics(theirs)
    elif "bits_per_byte" in result:
        show_bits(result)
    else:
        show_metrics(result)


def show_bits(result: dict[str, Any]) -> None:
    bits, stderr, perplexity, loss = (result[name] for name in ("bits_per_byte", "stderr", "perplexity", "loss"))
    num_bytes, tokens, documents = (f"{result[name]:,}" for name in ("bytes", "tokens", "documents"))
    if language() == "zh":
        print(f"每字节 {bits:.4f} 比特（± {stderr:.4f}）· 困惑度 {perplexity:,.2f} · 每词元 {loss:.4f} 奈特")
        print(f"{num_bytes} 字节，{tokens} 个词元，{documents} 篇文档")
    else:
        print(f"{bits:.4f} bits per byte (± {stderr:.4f}) · perplexity {perplexity:,.2f} · {loss:.4f} nats a token")
        print(f"{num_bytes} bytes, {tokens} tokens, {documents} documents")


def show_metrics(result: dict[str, Any]) -> None:
    """One line a figure."""
    spoken = language()
    colon, plus = ("：", "（± {:.4f}）") if spoken == "zh" else (": ", " (± {:.4f})")
    for name, figure in result.items():
        if name in METRICS and isinstance(figure, dict):
            error = "" if figure["stderr"] is None else plus.format(figure["stderr"])
            print(f"{METRICS[name].say(spoken)}{colon}{figure['value']:.4f}{error}")
    if "loss" in result:
        print(f"每词元 {result['loss']:.4f} 奈特" if spoken == "zh" else f"{result['loss']:.4f} nats a token")
    if "examples" in result:
        print(f"{result['examples']:,} 个样例" if spoken == "zh" else f"{result['examples']:,} examples")
