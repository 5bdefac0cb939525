"""`newleaf evaluate`."""

import json
from typing import Any

from newleaf import api
from newleaf.cli.console import Console, printable
from newleaf.cli.table import padded
from newleaf.cli.words import Json, column_names, inputs
from newleaf.conversion.wording import METRICS, RIVALS
from newleaf.runtime import language

FILE_HEADS = ("bits per byte", "perplexity", "bytes", "tokens", "documents", "file")
WIDTHS = (13, 11, 12, 8, 9)  # in columns, of all but the last
MOST_FILES = 40


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
    console = Console()
    try:
        result = api.evaluate(model, inputs(data), **named, columns=column_names(columns), suite=suite, between=console.share)
    finally:
        console.erase()
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
    for line in files_table(result.get("files", []), language() == "zh"):
        print(line)


def files_table(files: list[dict[str, Any]], chinese: bool) -> list[str]:
    """A line a file, the worst last; nothing where there is only one, and of very many the worst.

    >>> row = {"bits_per_byte": 1.5, "perplexity": 20.0, "bytes": 4000, "tokens": 1500, "documents": 1}
    >>> print("\\n".join(files_table([{"path": "b.txt", **row}, {"path": "a.txt", **row, "bits_per_byte": 1.25}], False)))
    bits per byte   perplexity         bytes    tokens  documents  file
           1.2500        20.00         4,000     1,500          1  a.txt
           1.5000        20.00         4,000     1,500          1  b.txt
    """
    if len(files) < 2:
        return []
    heads = ("每字节比特", "困惑度", "字节", "词元", "文档", "文件") if chinese else FILE_HEADS
    ordered = sorted(files, key=lambda row: row["bits_per_byte"])
    left_out = len(ordered[:-MOST_FILES])
    more = f"…（还有 {left_out:,} 个更好的文件；--json 列出全部）" if chinese else f"… and {left_out:,} better ones (--json has all)"
    lines = [heads, *(file_line(row) for row in ordered[-MOST_FILES:])]
    table = ["  ".join([*(padded(text, width) for text, width in zip(line, WIDTHS, strict=False)), line[-1]]) for line in lines]
    return [table[0], *([more] if left_out else []), *table[1:]]


def file_line(row: dict[str, Any]) -> tuple[str, ...]:
    """The cells of one file."""
    counts = (f"{row[name]:,}" for name in ("bytes", "tokens", "documents"))
    return f"{row['bits_per_byte']:.4f}", f"{row['perplexity']:,.2f}", *counts, printable(row["path"])


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
        print(counts(result, spoken == "zh"))


def counts(result: dict[str, Any], chinese: bool) -> str:
    """How many examples the figures are of.

    >>> counts({"examples": 2000, "left_out": 3, "written": 1000}, False)
    '2,000 examples (answers to the first 1,000 were written), 3 rows left out'
    """
    examples, written, left_out = (result.get(name, 0) for name in ("examples", "written", "left_out"))
    if chinese:
        return f"{examples:,} 个样例" + f"（写了前 {written:,} 个的回答）" * bool(written) + f"，略去 {left_out:,} 行" * bool(left_out)
    told = f" (answers to the first {written:,} were written)" * bool(written) + f", {left_out:,} rows left out" * bool(left_out)
    return f"{examples:,} examples{told}"
