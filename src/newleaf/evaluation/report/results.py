"""How good it became and how: the headline with its baselines, the warnings, the curves, the speed."""

import math
from collections.abc import Iterable

from newleaf.conversion.facts import Row, RunFacts, number
from newleaf.conversion.wording import BASELINES, Words, amount, count, duration, operations, percent, significant, size
from newleaf.evaluation.report.advice import advise
from newleaf.evaluation.report.charts import Point, Reference, Series, bar, chart
from newleaf.evaluation.report.markup import Html, tag
from newleaf.evaluation.report.parts import Figure, counted, figures, section, thinned

MOST_EVALUATIONS = 60
SEEN = 0.005  # of a figure: a difference that one sees
NO_TEXT = ("classify", "prefer")  # tasks whose loss is of a label or of a pair of answers


def headline(facts: RunFacts) -> Html:
    """The held-out figure in a sentence, beside the baselines that give it meaning."""
    bpb = facts.figure("val_bpb")
    if bpb is None:
        sentence = Words(
            "There is no held-out figure yet: it comes with the first evaluation.", "还没有留出文本上的成绩：第一次评估之后才会有。"
        )
        return tag("section", tag("p", sentence, class_="lead"), bars(facts), id="result")
    unit = Words("bits per byte of text that it never saw", "比特／字节（在它从未见过的文本上）")
    big = tag("p", tag("span", f"{bpb:.2f}", class_="big"), " ", tag("span", unit, class_="unit"), class_="figure")
    return tag("section", big, tag("p", comparison(facts, bpb), class_="lead"), bars(facts), finer_print(facts), id="result")


def comparison(facts: RunFacts, bpb: float) -> Words:
    """What the figure means: fewer bits are better, and how far the best of the baselines is."""
    meaning = Words(
        "That is how many yes-or-no questions remain, on average, before the next byte of new text is known. Fewer is better.",
        "也就是说，平均还要问这么多个“是或否”，才能确定新文本的下一个字节。越少越好。",
    )
    if not facts.baselines:
        return meaning
    best = min(facts.baselines, key=facts.baselines.__getitem__)
    name, value = BASELINES[best], facts.baselines[best]
    if bpb < value:  # so the value is not 0, as xz's is where a text only repeats itself
        change = 1 - bpb / value
        return Words(
            f"{meaning.en} The best method without a model, {name.en}, needs {value:.2f}; this model needs {percent(change)} fewer.",
            f"{meaning.zh}不用模型的最好办法（{name.zh}）需要 {value:.2f}，这个模型少 {percent(change)}。",
        )
    return Words(
        f"{meaning.en} The best method without a model, {name.en}, needs {value:.2f}: the model is not there yet.",
        f"{meaning.zh}不用模型的最好办法（{name.zh}）只需要 {value:.2f}：模型还没有追上。",
    )


def bars(facts: RunFacts) -> Html | None:
    """Baselines and model, one bar each, from the worst to the model."""
    rows: list[tuple[Words, float, str]] = [(BASELINES[name], value, "other") for name, value in facts.baselines.items()]
    rows.sort(key=lambda row: -row[1])
    bpb = facts.figure("val_bpb")
    if bpb is not None:
        rows.append((Words("this model", "这个模型"), bpb, "own"))
    if not rows:
        return None
    whole = max(value for _, value, _ in rows)
    lines = [
        tag("tr", tag("th", name, scope="row"), tag("td", bar(value, whole, kind)), tag("td", f"{value:.2f}"), class_=kind)
        for name, value, kind in rows
    ]
    caption = Words("Bits per byte of the same held-out text", "同一份留出文本上的每字节比特数")
    return tag("table", tag("caption", caption), tag("tbody", lines), class_="bars")


def finer_print(facts: RunFacts) -> Html | None:
    """The same result in the other units that people use."""
    loss, scored = facts.figure("val_loss"), facts.figure("val_bytes")
    if loss is None or scored is None:
        return None
    tokens, vocabulary = facts.figure("val_tokens") or 0, facts.figure("vocab_size") or 0
    perplexity, part = significant(math.exp(min(loss, 50)), 3), facts.baseline_bytes
    judged = Words(
        f" To stay in time, it was judged by the first {size(part)} of that." if part else "",
        f"为了按时结束，只用其中开头的 {size(part)} 来评它们。" if part else "",
    )
    return tag(
        "p",
        Words(
            f"In tokens: {loss:.3f} nats each, perplexity {perplexity}, with a vocabulary of {count(vocabulary)}. Measured on "
            f"{size(scored)}, {count(tokens)} tokens. What it is compared with learned from the end of the same training text.{judged.en}",
            f"按词元计：每个 {loss:.3f} 奈特，困惑度 {perplexity}，词表 {count(vocabulary)}。"
            f"在 {size(scored)}、{count(tokens)} 个词元上测得。用来对比的方法学的是同一份训练文本的末尾部分。{judged.zh}",
        ),
        class_="fine",
    )


def warnings(facts: RunFacts) -> Html:
    """What looks wrong, in plain words, each with the one change to make."""
    found = advise(facts)
    to_do = tag("b", Words("What to do: ", "怎么办："))
    notes = [tag("div", tag("h3", one.title), tag("p", one.why), tag("p", to_do, one.change), class_="note", id=one.key) for one in found]
    calm = None if found else tag("p", Words("Nothing stands out. A healthy run.", "没有发现问题，训练很健康。"))
    return section("warnings", Words("What to watch", "需要注意"), notes, calm)


def curves(facts: RunFacts) -> Html:
    """Loss, bits per byte and learning rate over the steps."""
    title = Words("How it learned", "学习过程")
    loss, held_out, bits, rate = (points(facts.metrics, name) for name in ("loss", "val_loss", "val_bpb", "lr"))
    bits = [] if facts.task in NO_TEXT else bits
    if not (loss or held_out or bits):
        return section("curves", title, tag("p", Words("No step has been recorded yet.", "还没有记录任何一步。")))
    last = max(step for line in (loss, held_out, bits, rate) for step, _ in line)
    training = Series("training", Words("training", "训练"), loss)
    unseen = Series("held-out", Words("held out", "留出"), held_out, dots=True)
    own = Series("held-out", Words("this model", "这个模型"), bits, dots=True, digits=3)
    rates = Series("rate", Words("learning rate", "学习率"), rate, digits=0)
    references = [Reference(name, BASELINES[name], facts.baselines[name]) for name in ("fivegram", "xz") if name in facts.baselines]
    charts = [
        chart(loss_of(facts), [training, unseen], last) if loss or held_out else None,
        chart(Words("Held-out bits per byte", "留出文本的每字节比特数"), [own], last, references) if bits else None,
        chart(Words("Learning rate", "学习率"), [rates], last, short=True) if rate else None,
    ]
    return section("curves", title, [charts, of_a_part(facts, bits), evaluations(facts)])


def loss_of(facts: RunFacts) -> Words:
    """What the curve of the loss counts."""
    if facts.task in NO_TEXT:
        return Words("Loss, nats an example", "损失（奈特／样例）")
    return Words("Loss, nats a token", "损失（奈特／词元）")


def of_a_part(facts: RunFacts, bits: list[Point]) -> Html | None:
    """Why the curve does not end at the headline, where that is to be seen."""
    at, best = facts.figure("val_bpb"), facts.figure("best_step")
    there = next((value for step, value in bits if step == best), None)
    if at is None or there is None or facts.figure("final_val_bpb") is None or abs(at / there - 1) < SEEN:
        return None
    said = Words(
        f"On the way it is scored on a part of the held-out text: {there:.3f} for the model that was kept. The {at:.3f} above is from more "
        "of that text, measured at the end.",
        f"训练途中只在留出文本的一部分上评分：最后保留的模型在那里是 {there:.3f}。上面的 {at:.3f} 是结束时在更多的留出文本上测得的。",
    )
    return tag("p", said, class_="fine")


def points(metrics: Iterable[Row], name: str) -> list[Point]:
    """(step, value) where both are there and finite, by step."""
    pairs = ((number(row, "step"), number(row, name)) for row in metrics)
    return sorted((step, value) for step, value in pairs if step is not None and value is not None)


def evaluations(facts: RunFacts) -> Html | None:
    """The held-out figures as a table, for those who want the numbers or cannot see the curves."""
    rows = thinned([row for row in facts.metrics if number(row, "val_loss") is not None], MOST_EVALUATIONS)
    if not rows:
        return None
    mark, best = tag("span", Words(" best", " 最好"), class_="best"), facts.figure("best_step")
    heads = [Words("step", "步"), Words("after", "用时"), Words("held-out loss", "留出损失"), Words("bits per byte", "每字节比特")]
    heads = heads[:3] if facts.task in NO_TEXT else heads
    body = [
        tag(
            "tr",
            tag("td", count(number(row, "step") or 0), mark if number(row, "step") == best else None),
            tag("td", duration(number(row, "seconds") or 0)),
            tag("td", decimals(number(row, "val_loss"))),
            None if facts.task in NO_TEXT else tag("td", decimals(number(row, "val_bpb"))),
        )
        for row in rows
    ]
    table = tag("table", tag("thead", tag("tr", [tag("th", head, scope="col") for head in heads])), tag("tbody", body), class_="figures")
    return tag("details", tag("summary", Words("The held-out figures as a table", "留出成绩列表")), tag("div", table, class_="scroll"))


def decimals(value: float | None) -> str:
    """Three of them, or a dash."""
    return "–" if value is None else f"{value:.3f}"


def speed(facts: RunFacts) -> Html:
    """How fast, and how near to what the machine can do."""
    title = Words("Speed", "速度")
    rate, total, training = (facts.figure(name) for name in ("tokens_per_second", "seconds", "train_seconds"))
    share = facts.figure("mfu")
    matrix, achieved, parameters = (facts.figure(name) for name in ("matmul_flops_per_second", "flops_per_second", "parameters"))
    rows: list[Figure] = [
        (Words("parameters", "参数"), amount(parameters) if parameters is not None else None),
        (Words("tokens a second", "每秒词元"), counted(rate)),
        (Words("tokens trained on", "训练过的词元"), counted(facts.figure("tokens_trained"))),
        (Words("whole command", "整个命令"), duration(total) if total is not None else None),
        (Words("of it in steps", "其中用于训练"), percent(training / total) if training is not None and total else None),
        (Words("arithmetic done", "实际运算"), operations(achieved) if achieved is not None else None),
        (Words("matrix rate of the machine", "机器的矩阵速率"), operations(matrix) if matrix is not None else None),
    ]
    if all(value is None for _, value in rows):
        return section("speed", title, tag("p", Words("Not measured yet.", "尚未测量。")))
    used = Words(" of what this machine reaches in plain matrix products", "，相对于这台机器纯矩阵乘法的速率")
    gauge = [bar(share, 1, "own"), tag("p", tag("b", percent(share)), used, class_="fine")] if share is not None else None
    return section("speed", title, figures(rows), tag("div", gauge, class_="scripts"))
