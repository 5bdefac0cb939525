"""A run's facts in, plain warnings out: what looks wrong, why it matters, and the one change to make.

One rule a function; those on the text itself are in advice_on_text.py. A rule that does not apply, or lacks the figures to tell, says
nothing; thresholds are wide enough to leave healthy runs alone.
"""

from newleaf.conversion.facts import RunFacts, number
from newleaf.conversion.wording import BASELINES, Words, count, significant, size
from newleaf.evaluation.report.advice_on_text import (
    copying,
    few_held_out,
    held_out_in_part,
    known_before,
    repetition,
    small_held_out,
    text_left_out,
)
from newleaf.evaluation.report.parts import Advice, quoted

WORSE = 1.01  # times the best held-out figure: less than 1 % is noise
MANY_EPOCHS = 20
LITTLE_TEXT = 100_000  # bytes


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
    verb = "tune" if facts.task else "train"
    resume = f"`newleaf {verb} --out {quoted(facts)} --resume`"
    lower = Words("Start again with half the learning rate: `--optim.lr`.", "用一半的学习率重新训练：`--optim.lr`。")
    go_on = Words(f"Nothing is lost: {resume} goes on where it stopped.", f"什么都没有丢：{resume} 会从停下的地方继续。")
    title = Words("This run is not finished", "这次训练尚未完成")
    return Advice("stopped", title, why, lower if reason == "nan" else go_on)


def overfitting(facts: RunFacts) -> Advice | None:
    """Held-out bits per byte, or of a task the held-out loss, were lower once than they are at the end."""
    unit = "val_loss" if facts.task else "val_bpb"
    evaluated = [row for row in facts.metrics if number(row, unit) is not None]
    best, final = (None, None) if facts.task else (facts.figure("val_bpb"), facts.figure("final_val_bpb"))
    if final is None and evaluated:  # of a task, or of an unfinished run: both from the sample that is scored while training
        figures = [number(row, unit) or 0.0 for row in evaluated]
        best, final = min(figures), figures[-1]
    if best is None or final is None or final <= WORSE * best:
        return None
    step = int(facts.figure("best_step") or 0)
    seconds = next((number(row, "seconds") for row in facts.metrics if row.get("step") == step), None)
    minutes = f"{significant(seconds / 60)}" if seconds else None
    what = Words("the examples", "样例") if facts.task else Words("the training text", "训练文本")
    measure = Words("a held-out loss of ", "留出损失") if facts.task else Words("", "每字节")
    bits = Words("", " ") if facts.task else Words(" bits per byte", " 比特")
    more = Words("examples", "样例") if facts.task else Words("text", "文本")
    return Advice(
        "overfitting",
        Words(f"It began to learn your {more.en} by heart", "模型开始死记硬背"),
        Words(
            f"After step {count(step)} it got better at {what.en} and worse at what it had not seen: {measure.en}{best:.3f}{bits.en} "
            f"became {final:.3f}. `model.safetensors` is the best one, not the last.",
            f"第 {count(step)} 步之后，它对{what.zh}越来越熟，对没见过的却越来越差：{measure.zh}从 {best:.3f}{bits.zh}升到 {final:.3f}。"
            "`model.safetensors` 保存的是最好的一步，不是最后一步。",
        ),
        Words(
            f"Give it more {more.en}" + (f"; with these alone {minutes} minutes are enough." if minutes else "."),
            f"给它更多{more.zh}" + (f"；只用现有的，{minutes} 分钟就够了。" if minutes else "。"),
        ),
    )


def too_little_text(facts: RunFacts) -> Advice | None:
    """More passes over the text than it has to give."""
    epochs, train_bytes = facts.figure("epochs") or 0.0, facts.figure("train_bytes")
    ended_early = facts.summary.get("stopped_by") == "text"
    little = train_bytes is not None and train_bytes < LITTLE_TEXT
    if facts.task or overfitting(facts) or not (ended_early or epochs >= MANY_EPOCHS or little):
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
    few_held_out,
    text_left_out,
    inexact,
    short_of_memory,
)
