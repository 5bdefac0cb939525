"""Warnings on the text: what was held out, what was left out, and how much of what the model writes is its own. The rules of advice.py."""

import re
from collections import Counter

from newleaf.conversion.facts import RunFacts, number, table
from newleaf.conversion.wording import Words, count, percent, size
from newleaf.evaluation.report.parts import Advice, quoted

LITTLE_HELD_OUT, FEW_HELD_OUT = 10_000, 100  # bytes of text, and examples of a task
NO_SURPRISE = ("hidden", "empty", "a run of newleaf")  # reasons for leaving something out that need no warning
MUCH_COPIED = 0.1  # of what it writes, beyond what people's text shares with the training text
KNOWN = 0.5  # of the held-out text
MUCH_REPEATED = 0.2  # more than people repeat
LOOPING = 0.6  # share of repeated pieces of 8 characters; in 99 of 100 pieces of 300 characters of Python it is below 0.43, in prose 0.13


def copying(facts: RunFacts) -> Advice | None:
    """It writes the training text down."""
    found = table(facts.summary, "originality")
    share, people = number(found, "copied_share"), number(table(found, "held_out"), "copied_share") or 0.0
    if facts.task or share is None or share - people < MUCH_COPIED:
        return None
    return Advice(
        "copying",
        Words("It recites the text", "它在背诵原文"),
        Words(
            f"{percent(share)} of what it writes stands word for word in the training text; of held-out text it is {percent(people)}. "
            "The text is too small for so much training.",
            f"它写的文字里，有 {percent(share)} 与训练文本一字不差；留出文本里只有 {percent(people)}。对这么多训练来说，文本太少了。",
        ),
        Words(
            "Give it more text, or less time. Before you share what it writes, look whose words they are.",
            "给它更多文本，或者少练一些。把它写的东西给别人之前，先看看是谁的原话。",
        ),
    )


def known_before(facts: RunFacts) -> Advice | None:
    """Much of the held-out text stands in the training text."""
    share = number(table(table(facts.summary, "originality"), "held_out"), "copied_share")
    if facts.task or share is None or share < KNOWN:
        return None
    return Advice(
        "known_before",
        Words("The held-out text is not new to it", "留出文本对它并不新"),
        Words(
            f"{percent(share)} of what was looked at stands word for word in the training text, too: the figure says how well the model "
            "remembers, not how well it does on new text.",
            f"抽查的部分里，有 {percent(share)} 在训练文本里也一字不差：这个成绩说明的是记性，不是它在新文本上的本事。",
        ),
        Words(
            "Take out what stands in the text more than once, or judge it by other text: `--val`.",
            "去掉重复的内容，或用 `--val` 换别的文本来评。",
        ),
    )


def repetition(facts: RunFacts) -> Advice | None:
    """What it writes turns in circles: what was measured at the end, or the newest samples."""
    found = table(facts.summary, "originality")
    measured, people = number(found, "repetition"), number(table(found, "held_out"), "repetition") or 0.0
    much = measured is not None and measured - people >= MUCH_REPEATED
    newest = max((number(row, "step") or 0.0 for row in facts.samples), default=0.0)
    texts = [str(row.get("text", "")) for row in facts.samples if (number(row, "step") or 0.0) == newest]
    shares = [share for text in texts if (share := repeated_share(text)) is not None]
    if not much and (not shares or sum(shares) / len(shares) < LOOPING):
        return None
    repeated = percent(measured if much and measured is not None else sum(shares) / len(shares))
    return Advice(
        "repetition",
        Words("Its text turns in circles", "生成的文本在兜圈子"),
        Words(
            f"{repeated} of its newest text repeats what it said already. Small or young models do this.",
            f"最新写的文字里有 {repeated} 是在重复前面的内容。模型太小或训练太短时常会这样。",
        ),
        Words(
            "Train longer; until then `newleaf generate --repetition-penalty 1.2` breaks the circle.",
            "训练久一些；在此之前，可用 `newleaf generate --repetition-penalty 1.2` 打破循环。",
        ),
    )


def repeated_share(text: str, length: int = 8) -> float | None:
    """Share of the pieces of `length` characters that occurred before; None where the text is too short to tell.

    >>> round(repeated_share("the king of " * 20), 2), repeated_share("short")
    (0.95, None)
    """
    text = re.sub(r"\s+", " ", text)
    pieces = Counter(text[start : start + length] for start in range(len(text) - length + 1))
    total = pieces.total()
    return 1 - len(pieces) / total if total >= 10 * length else None


def held_out_in_part(facts: RunFacts) -> Advice | None:
    """The final figure does not cover all of the held-out text."""
    scored, whole = facts.figure("val_bytes"), number(facts.manifest, "val_bytes")
    if scored is None or whole is None or scored >= whole:
        return None
    return Advice(
        "held_out_in_part",
        Words("Only part of the held-out text was scored", "留出文本只评了一部分"),
        Words(
            f"To stay in time, the figure covers its first {size(scored)} of {size(whole)}.",
            f"为了按时结束，这个数字只覆盖了 {size(whole)} 中开头的 {size(scored)}。",
        ),
        Words(
            f"`newleaf evaluate {quoted(facts)} FILE` scores all of a file.", f"`newleaf evaluate {quoted(facts)} FILE` 会评完整个文件。"
        ),
    )


def small_held_out(facts: RunFacts) -> Advice | None:
    """The held-out text is so short that the figure says little."""
    scored = facts.figure("val_bytes")
    if facts.task or scored is None or scored >= LITTLE_HELD_OUT or held_out_in_part(facts):
        return None
    return Advice(
        "small_held_out",
        Words("The held-out text is short", "留出文本很短"),
        Words(
            f"{size(scored)} decide the figure: differences of a few percent mean little.",
            f"只有 {size(scored)} 文本决定这个数字：几个百分点的差别说明不了什么。",
        ),
        Words("Add text, or name a longer file with `--val`.", "加入更多文本，或用 `--val` 指定一个更长的文件。"),
    )


def few_held_out(facts: RunFacts) -> Advice | None:
    """So few examples are held out that the figure says little."""
    held = number(table(facts.manifest, "val"), "num_examples")
    if not facts.task or held is None or held >= FEW_HELD_OUT or not facts.manifest.get("held_out"):
        return None
    return Advice(
        "few_held_out",
        Words("Few examples are held out", "留出的样例很少"),
        Words(
            f"{count(int(held))} examples decide the figure: look at its error.",
            f"只有 {count(int(held))} 个样例决定这个数字：请看它的误差。",
        ),
        Words("Add examples, or name a file of them with `--val`.", "加入更多样例，或用 `--val` 指定一个文件。"),
    )


def text_left_out(facts: RunFacts) -> Advice | None:
    """Some inputs could not be read."""
    counts = table(facts.manifest, "skipped_counts")
    expected = sum(number(counts, reason) or 0 for reason in counts if str(reason).startswith(NO_SURPRISE))
    skipped = int((number(facts.manifest, "num_skipped") or 0) - expected)
    if not skipped:
        return None
    return Advice(
        "text_left_out",
        Words(f"{count(skipped)} inputs were left out", f"有 {count(skipped)} 个输入没有用上"),
        Words("They are named below, each with its reason.", "下文逐一列出了名称和原因。"),
        Words("Save as UTF-8 text what should have been read, and train again.", "把本应读入的内容存成 UTF-8 文本，再重新训练。"),
    )
