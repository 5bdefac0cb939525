"""A run's facts in, plain warnings out: what looks wrong, why it matters, and the one change to make.

One rule a function. A rule that does not apply, or lacks the figures to tell, says nothing; thresholds are wide enough to leave
healthy runs alone.
"""

import re
from collections import Counter
from dataclasses import dataclass

from newleaf.conversion.facts import RunFacts, number, table
from newleaf.conversion.wording import BASELINES, Words, count, percent, significant, size
from newleaf.runs import in_shell

WORSE = 1.01  # times the best held-out figure: less than 1 % is noise
MANY_EPOCHS = 20
LITTLE_TEXT = 100_000  # bytes
LITTLE_HELD_OUT = 10_000  # bytes
NO_SURPRISE = ("hidden", "empty", "a run of newleaf")  # reasons for leaving something out that need no warning
MUCH_COPIED = 0.1  # of what it writes, beyond what people's text shares with the training text
KNOWN = 0.5  # of the held-out text
MUCH_REPEATED = 0.2  # more than people repeat
LOOPING = 0.6  # share of repeated pieces of 8 characters; in 99 of 100 pieces of 300 characters of Python it is below 0.43, in prose 0.13


@dataclass(frozen=True)
class Advice:
    """One warning."""

    key: str
    title: Words
    why: Words
    change: Words


def advise(facts: RunFacts) -> list[Advice]:
    """The warnings of a run, the gravest first."""
    return [advice for rule in RULES if (advice := rule(facts)) is not None]


def stopped(facts: RunFacts) -> Advice | None:
    """The run ended before its budget, other than by its own choice."""
    reason = facts.summary.get("stopped_by")
    if reason in ("budget", "text"):
        return None
    causes = {
        "signal": Words("It was asked to stop.", "它收到了停止信号。"),
        "nan": Words(
            "The loss became infinite or not a number, again after going back twice.", "损失变成了无穷大或非数值，退回两次后仍然如此。"
        ),
        "error": Words("It failed.", "它因出错而停止。"),
    }
    why = causes.get(str(reason), Words("It is still training, or was killed without notice.", "它仍在训练，或被直接中断。"))
    resume = f"`newleaf train --out {quoted(facts)} --resume`"
    lower = Words("Start again with half the learning rate: `--optim.lr`.", "用一半的学习率重新训练：`--optim.lr`。")
    go_on = Words(f"Nothing is lost: {resume} goes on where it stopped.", f"什么都没有丢：{resume} 会从停下的地方继续。")
    title = Words("This run is not finished", "这次训练尚未完成")
    return Advice("stopped", title, why, lower if reason == "nan" else go_on)


def overfitting(facts: RunFacts) -> Advice | None:
    """Held-out bits per byte were lower once than they are at the end."""
    evaluated = [row for row in facts.metrics if number(row, "val_bpb") is not None]
    best, final = facts.figure("val_bpb"), facts.figure("final_val_bpb")
    if final is None and evaluated:  # an unfinished run: both from the sample that is scored while training
        figures = [number(row, "val_bpb") or 0.0 for row in evaluated]
        best, final = min(figures), figures[-1]
    if best is None or final is None or final <= WORSE * best:
        return None
    step = int(facts.figure("best_step") or 0)
    seconds = next((number(row, "seconds") for row in facts.metrics if row.get("step") == step), None)
    minutes = f"{significant(seconds / 60)}" if seconds else None
    return Advice(
        "overfitting",
        Words("It began to learn your text by heart", "模型开始死记硬背"),
        Words(
            f"After step {count(step)} it got better at the training text and worse at text it had not seen: {best:.3f} bits per byte "
            f"became {final:.3f}. `model.safetensors` is the best one, not the last.",
            f"第 {count(step)} 步之后，它对训练文本越来越熟，对没见过的文本却越来越差：每字节从 {best:.3f} 比特升到 {final:.3f}。"
            "`model.safetensors` 保存的是最好的一步，不是最后一步。",
        ),
        Words(
            "Give it more text" + (f"; with this text alone {minutes} minutes are enough." if minutes else "."),
            "给它更多文本" + (f"；只用现有文本的话，{minutes} 分钟就够了。" if minutes else "。"),
        ),
    )


def too_little_text(facts: RunFacts) -> Advice | None:
    """More passes over the text than it has to give."""
    epochs, train_bytes = facts.figure("epochs") or 0.0, facts.figure("train_bytes")
    ended_early = facts.summary.get("stopped_by") == "text"
    little = train_bytes is not None and train_bytes < LITTLE_TEXT
    if overfitting(facts) or not (ended_early or epochs >= MANY_EPOCHS or little):
        return None
    amount = size(train_bytes) if train_bytes is not None else "?"
    early = Words(" It stopped early because more training would not have helped.", " 它提前结束了，因为继续训练不会更好。")
    return Advice(
        "too_little_text",
        Words("There is little text for this much time", "文本少，时间多"),
        Words(
            f"It read all {amount} of training text {significant(epochs)} times." + early.en * ended_early,
            f"它把全部 {amount} 训练文本读了 {significant(epochs)} 遍。" + early.zh.strip() * ended_early,
        ),
        Words("Add text of the same kind: it helps more than minutes now.", "加入更多同类文本：现在它比时间更有用。"),
    )


def worse_than_baseline(facts: RunFacts) -> Advice | None:
    """A method without a model needs fewer bits."""
    bpb = facts.figure("val_bpb")
    better = [name for name, value in facts.baselines.items() if bpb is not None and value <= bpb]
    if bpb is None or not better:
        return None
    best = min(better, key=facts.baselines.__getitem__)
    name = BASELINES[best]
    return Advice(
        "worse_than_baseline",
        Words("It has not learned enough yet", "学得还不够"),
        Words(
            f"Your text is predicted better even by {name.en}: {facts.baselines[best]:.2f} bits per byte, the model needs {bpb:.2f}.",
            f"连“{name.zh}”（每字节 {facts.baselines[best]:.2f} 比特）都比这个模型（{bpb:.2f}）更会预测你的文本。",
        ),
        Words("Give it more text.", "给它更多文本。") if overfitting(facts) else Words("Give it more minutes.", "多给它一些时间。"),
    )


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
    if scored is None or scored >= LITTLE_HELD_OUT or held_out_in_part(facts):
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


def inexact(facts: RunFacts) -> Advice | None:
    """Resumed where the bits cannot be the same."""
    if facts.summary.get("exact") is not False:
        return None
    return Advice(
        "inexact",
        Words("These exact weights cannot be made again", "无法逐位重现这些权重"),
        Words(
            "The run was resumed with another version of torch or on another machine. The model is as good, its last bits differ.",
            "训练中途换了 torch 版本或机器。模型质量不受影响，只是末位的比特不同。",
        ),
        Words("Where that matters, resume on the machine that began.", "若很在意这一点，请在最初的机器上恢复训练。"),
    )


def short_of_memory(facts: RunFacts) -> Advice | None:
    """Memory ran out in a step, so that fewer rows were computed at once."""
    planned, rows = number(facts.plan, "train.micro_batch"), facts.figure("micro_batch")
    if planned is None or rows is None or rows >= planned:
        return None
    return Advice(
        "short_of_memory",
        Words("Memory ran out on the way", "训练途中内存不够"),
        Words(
            f"In the end {count(rows)} rows of a batch were computed at once, where {count(planned)} were planned. The batches stayed the "
            "same, so the model is as good; it took longer, and the last bits are others.",
            f"最后一次只算批次中的 {count(rows)} 行，原计划 {count(planned)} 行。批次没有变，所以模型质量不受影响；"
            "只是用时更长，末位的比特也不同。",
        ),
        Words(
            f"Begin the next run with `--train.micro_batch {rows:.0f}`, or with more memory free.",
            f"下次训练请用 `--train.micro_batch {rows:.0f}`，或先腾出更多内存。",
        ),
    )


RULES = (
    stopped,
    overfitting,
    worse_than_baseline,
    too_little_text,
    copying,
    known_before,
    repetition,
    held_out_in_part,
    small_held_out,
    text_left_out,
    inexact,
    short_of_memory,
)


def quoted(facts: RunFacts) -> str:
    """The run as a shell takes it."""
    return in_shell(facts.path or facts.name)
