"""How well a model does what it was tuned for: the figure, beside what it has to beat, what it mistakes, and what it forgot."""

from collections.abc import Mapping
from typing import Any

from newleaf.conversion.facts import Row, RunFacts, number, table
from newleaf.conversion.wording import (
    BY_HEART,
    LEARNED_LOSS,
    LOWER_IS_BETTER,
    METRICS,
    RIVALS,
    TASKS,
    Words,
    count,
    headline_metric,
    metric_shown,
    metric_value,
    significant,
)
from newleaf.evaluation.report.markup import Html, tag
from newleaf.evaluation.report.parts import Figure, counted, figures, section

MOST_LABELS = 20  # of a table of mistakes


def task_headline(facts: RunFacts) -> Html:
    """The task's own figure in a sentence, then everything beside its rivals."""
    name = TASKS.get(facts.task, Words("the task", "任务"))
    main = headline_metric(table(facts.summary, "metrics"))
    value = metric_value(own_figures(facts), main)
    if value is None or not table(facts.summary, "metrics"):
        sentence = Words("There is no figure yet: it comes at the end of the run.", "还没有成绩：训练结束时才会有。")
        return section("result", name, tag("p", sentence, class_="lead"), rivals(facts))
    unit = tag("span", named(facts, main), class_="unit")
    big = tag("p", tag("span", metric_shown(main, value), class_="big"), " ", unit, class_="figure")
    return section("result", name, big, tag("p", verdict(facts, main, value), class_="lead"), rivals(facts), handful(facts))


def named(facts: RunFacts, metric: str) -> Words:
    """What people call a figure."""
    return METRICS[metric] if facts.held_out or metric != "val_loss" else LEARNED_LOSS


def own_figures(facts: RunFacts) -> Row:
    """Of this model, under the names that its rivals' have."""
    return {**table(facts.summary, "metrics"), "val_loss": facts.figure("val_loss")}


def verdict(facts: RunFacts, main: str, value: float) -> Words:
    """Whether it beats the best of its rivals, plainly."""
    known = {name: metric_value(table(table(facts.summary, "baselines"), name), main) for name in table(facts.summary, "baselines")}
    sign = -1 if main in LOWER_IS_BETTER else 1
    others = {name: sign * found for name, found in known.items() if found is not None}
    if not others:
        return Words("Nothing was measured beside it.", "没有测量可比的方法。")
    best = max(others, key=others.__getitem__)
    rival, error = RIVALS.get(best, Words(best, best)), number(table(table(facts.summary, "metrics"), main), "stderr") or 0.0
    theirs = metric_shown(main, sign * others[best])
    if sign * value > others[best] + 2 * error:
        return Words(f"Better than everything beside it: {rival.en} reaches {theirs}.", f"胜过所有对照：{rival.zh}得到 {theirs}。")
    if sign * value >= others[best] - 2 * error:
        return Words(
            f"Not to be told apart from {rival.en}, which reaches {theirs}: the difference is within two standard errors.",
            f"与{rival.zh}（{theirs}）分不出高下：差距在两个标准误以内。",
        )
    return Words(
        f"Not good enough yet: {rival.en} reaches {theirs}. More examples, or a model that has read more text, would help.",
        f"还不够好：{rival.zh}得到 {theirs}。更多样例，或读过更多文本的模型，会有帮助。",
    )


def rivals(facts: RunFacts) -> Html | None:
    """A row a rival, a column a figure; the model last."""
    rows = {name: row for name, row in table(facts.summary, "baselines").items() if isinstance(row, Mapping)}
    own = own_figures(facts)
    columns = [name for name in METRICS if any(name in row for row in (own, *rows.values()))]
    if not rows:
        return None
    body = [line(RIVALS.get(name, Words(name, name)), row, columns, "other") for name, row in rows.items()]
    body.append(line(Words("this model", "这个模型"), own, columns, "own"))
    heads = [tag("th", "", scope="col"), *(tag("th", named(facts, name), better(name), scope="col") for name in columns)]
    table_ = tag("table", tag("thead", tag("tr", heads)), tag("tbody", body), class_="figures rivals")
    note = Words("On the same held-out examples; ± is the standard error.", "都在同样的留出样例上测得；± 后是标准误。")
    if not facts.held_out:
        note = Words("On the same examples; ± is the standard error.", "都在同样的样例上测得；± 后是标准误。")
    return tag("div", tag("div", table_, class_="scroll"), tag("p", note, class_="fine"))


def better(metric: str) -> Words | None:
    """A hint for the few figures that should be small."""
    return Words(" (lower is better)", "（越低越好）") if metric in LOWER_IS_BETTER else None


def line(name: Words, row: Row, columns: list[str], kind: str) -> Html:
    """One row of the table."""
    return tag("tr", tag("th", name, scope="row"), [tag("td", cell(column, row.get(column))) for column in columns], class_=kind)


def cell(metric: str, found: Any) -> str:
    """A figure with its standard error, or a dash."""
    value = metric_value({metric: found}, metric)
    if value is None:
        return "–"
    error = number(found, "stderr") if isinstance(found, Mapping) else None
    return metric_shown(metric, value) + (f" ± {metric_shown(metric, error).removesuffix(' %')}" if error is not None else "")


def handful(facts: RunFacts) -> Html | None:
    """Where too few examples were there to hold any out."""
    return None if facts.held_out else tag("p", BY_HEART, class_="fine")


def mistakes(facts: RunFacts) -> Html | None:
    """Which label was taken for which."""
    rows, names = facts.summary.get("confusion"), facts.summary.get("labels")
    if not isinstance(rows, list) or not isinstance(names, list) or len(names) > MOST_LABELS:
        return None
    head = tag("tr", tag("th", Words("is ↓ · taken for →", "实际 ↓ · 判为 →")), [tag("th", str(name), scope="col") for name in names])
    body = [
        tag("tr", tag("th", str(name), scope="row"), [tag("td", count(n), class_="own" if i == j else None) for j, n in enumerate(row)])
        for i, (name, row) in enumerate(zip(names, rows, strict=False))
    ]
    return section(
        "mistakes",
        Words("What it mistakes for what", "把什么认成了什么"),
        tag("div", tag("table", tag("thead", head), tag("tbody", body), class_="figures"), class_="scroll"),
    )


def forgetting(facts: RunFacts) -> Html | None:
    """What tuning cost of what the model could do before."""
    found = table(facts.summary, "forgotten")
    before, after = number(found, "before"), number(found, "after")
    if before is None or after is None:
        return None
    change = after / before - 1 if before else 0.0
    words = Words(
        f"On the text that it held out when it was trained, the model needed {before:.3f} bits per byte before, and {after:.3f} now "
        f"({100 * change:+.1f} %).",
        f"在当初训练时留出的文本上，调优之前每字节 {before:.3f} 比特，现在 {after:.3f}（{100 * change:+.1f} %）。",
    )
    cure = Words(
        " It has forgotten a good deal: --tune.replay 0.25 mixes its own text in, --lora changes less.",
        "忘了不少：--tune.replay 0.25 会混入它自己的文本，--lora 改动更小。",
    )
    if facts.task == "prefer":  # which has no place for text in its batches
        cure = Words(" It has forgotten a good deal: --lora changes less.", "忘了不少：--lora 改动更小。")
    more = change > MUCH
    return section("forgetting", Words("What it forgot", "忘了多少"), tag("p", Words(words.en + cure.en * more, words.zh + cure.zh * more)))


MUCH = 0.05  # more bits per byte than this is a good deal


def examples(facts: RunFacts) -> Html:
    """What it was tuned with."""
    manifest = facts.manifest
    train, val = table(manifest, "train"), table(manifest, "val")
    rows: list[Figure] = [
        (Words("examples to learn from", "训练样例"), counted(number(train, "num_examples"))),
        (Words("held out to judge it", "留出用于评估"), counted(number(val, "num_examples") if facts.held_out else 0)),
        (Words("tokens of them all", "共有词元"), counted(number(train, "num_tokens"))),
        (Words("of these, learned", "其中要学的词元"), counted(number(train, "num_learned"))),
        (Words("cut, because they were too long", "太长而截短"), counted(number(manifest, "cut"))),
        (Words("left out, because they were too long", "太长而略去"), counted(number(manifest, "too_long"))),
        (Words("rows left out for other reasons", "因其他原因略去的行"), counted(number(manifest, "num_skipped"))),
        (Words("times read", "读过的遍数"), significant(epochs) if (epochs := facts.figure("epochs")) is not None else None),
    ]
    named = [tag("li", f"{row.get('source')}: {row.get('reason')}") for row in manifest.get("skipped", [])[:50]]
    return section("text", Words("The examples", "样例"), figures(rows), tag("ul", named) if named else None)
