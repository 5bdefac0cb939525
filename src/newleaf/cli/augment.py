"""`newleaf augment`."""

import json
from typing import Annotated, Any

from cyclopts import Parameter

from newleaf import api
from newleaf.cli.console import Console
from newleaf.cli.words import Input, Json, Minutes, Seed, Settings, Steps, Val, Whole, column_names, inputs, typed
from newleaf.conversion.wording import Words
from newleaf.errors import UsageError
from newleaf.runs import in_shell
from newleaf.runtime import language, seconds_since_exec
from newleaf.training.settings import Recipe

REASONS = {  # why a text was rejected
    "unfinished": Words("without an end", "没写完"),
    "too short": Words("shorter than the examples", "比样例短"),
    "copy": Words("nearly a copy of an example", "与样例几乎相同"),
    "held out": Words("nearly a copy of a held-out example", "与留出的样例几乎相同"),
    "repeated": Words("nearly a copy of one that passed", "与已通过的几乎相同"),
    "other label": Words("taken for another label by the classifier", "分类器认成了别的标签"),
    "unsure": Words("the classifier is not sure", "分类器没有把握"),
}


def augment(
    model: str,
    *data: str,
    out: Annotated[str | None, Parameter(help="The file to write, JSON lines; the runs behind it stand in a folder beside it.")] = None,
    n: Annotated[Whole | None, Parameter(help="The most examples to write; as many as there are to learn from by default.")] = None,
    minutes: Minutes = None,
    steps: Annotated[Steps, Parameter(help="Instead of minutes: updates of the weights in each of the three tunings.")] = None,
    val: Val = None,
    column: str | None = None,
    input_: Input = None,
    second_input: str | None = None,
    label: str | None = None,
    columns: str | None = None,
    seed: Seed = None,
    json_: Json = False,
    settings: Settings = Recipe(),  # noqa: B008 (frozen)
) -> None:
    """Let a model write more labelled examples, keep those that a classifier finds good, and measure whether they help.

    The same command goes on where it was stopped.

    Parameters
    ----------
    model
        A model that writes: a run, a model's folder or a hub name.
    data
        Files of examples, each a text and its label.
    column
        The column of texts; the same as --input.
    input_
        The column of texts.
    second_input
        Refused: a pair of texts is nothing that it can write.
    label
        The column of labels.
    columns
        Names for the columns of a table without a header, between commas.
    """
    console = Console()
    missing = "DATA" if not data else "--out" if out is None else None
    if missing or out is None:
        raise UsageError(f"{missing} is missing", where=missing, expected="newleaf augment MODEL DATA --out FILE.jsonl")
    named: dict[str, Any] = {"input": input_ or column, "second_input": second_input, "label": label, "columns": column_names(columns)}
    budget: dict[str, Any] = {"minutes": minutes, "steps": steps}
    words: dict[str, Any] = {"out": out, "n": n, "val": val, "seed": seed or 0, "settings": typed(settings)}
    try:
        found = api.augment(model, inputs(data), **words, **named, **budget, view=console, seconds_before=seconds_since_exec())
    finally:
        console.close()
    print(json.dumps(found, ensure_ascii=False) if json_ else said(found, chinese=language() == "zh"))
    if found["verdict"] == "helps":
        command = next_command(model, data, found, named, val)
        console.event(f"try: {command}", f"试试：{command}")


def said(found: dict[str, Any], chinese: bool) -> str:
    """What was written, what was not and why, and whether it helps."""
    written, rejected, out = found["written"], found["rejected"], found["out"]
    lines = [
        f"{out}：写入 {written:,} 条新样例，舍去 {rejected:,} 条" if chinese else f"{out}: {written:,} new examples, {rejected:,} rejected"
    ]
    reasons = [(REASONS[name].say("zh" if chinese else "en"), count) for name, count in found["reasons"].items() if count]
    width = max((len(f"{count:,}") for _, count in reasons), default=0)
    lines += [f"  {count:{width},} {'条' * chinese}{why}" for why, count in reasons]
    return "\n".join([*lines, *(figures(found, chinese) if found["accuracy_with"] else [nothing(found, chinese)])])


VERDICTS = {
    "helps": Words("They help here: the difference is {gain}.", "这里有用：准确率变化 {gain}。"),
    "harms": Words("They do not help here, they harm: the difference is {gain}.", "这里没有用，反而有害：准确率变化 {gain}。"),
    "unclear": Words(
        "They do not help here: the difference, {gain}, is within the error of {count} examples.",
        "这里看不出有用：准确率变化 {gain}，在 {count} 个样例的误差之内。",
    ),
}


def figures(found: dict[str, Any], chinese: bool) -> list[str]:
    """The accuracies, and the verdict on them."""
    without, with_ = (shown(found[name], chinese) for name in ("accuracy_without", "accuracy_with"))
    gain = ("+" if found["gain"]["value"] > 0 else "") + shown(found["gain"], chinese)
    count = f"{found['held_out']:,}"
    verdict = VERDICTS[found["verdict"]].say("zh" if chinese else "en").format(gain=gain, count=count)
    if chinese:
        return [f"{count} 个留出样例上的准确率：不用它们 {without}，用上 {with_}", verdict]
    return [f"accuracy on {count} held-out examples: {without} without them, {with_} with them", verdict]


def nothing(found: dict[str, Any], chinese: bool) -> str:
    """Where no text passed."""
    without = shown(found["accuracy_without"], chinese)
    return f"没有一条通过；不用新样例的准确率：{without}" if chinese else f"None passed; the accuracy without any is {without}."


def shown(figure: dict[str, Any], chinese: bool = False) -> str:
    """In percent.

    >>> shown({"value": 0.8125, "stderr": 0.01}), shown({"value": 1.0, "stderr": None})
    ('81.2 % (± 1.0)', '100.0 %')
    """
    error = "" if figure["stderr"] is None else ("（± {:.1f}）" if chinese else " (± {:.1f})").format(100 * figure["stderr"])
    return f"{100 * figure['value']:.1f} %{error}"


def next_command(model: str, data: tuple[str, ...], found: dict[str, Any], named: dict[str, Any], val: str | None) -> str:
    """To use them; the same examples stay held out."""
    words = [model, *data, found["out"], "--task", "classify", "--val", val or f"{found['runs']}/held-out.jsonl"]
    words += [word for name in ("input", "label") if named[name] for word in (f"--{name}", named[name])]
    words += ["--columns", ",".join(named["columns"])] if named["columns"] else []
    return f"newleaf tune {' '.join(map(in_shell, words))}"
