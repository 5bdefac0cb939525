"""Every setting with its reason, what the plan expected, and the commands that go on from here."""

from collections.abc import Iterable

from newleaf.conversion.facts import RunFacts, number, shown
from newleaf.conversion.uses import command_of
from newleaf.conversion.wording import SETTINGS, Words
from newleaf.evaluation.report.markup import Html, tag
from newleaf.evaluation.report.parts import quoted, section
from newleaf.runs import in_shell


def plan(facts: RunFacts) -> Html:
    """The choices that have a reason, then all settings."""
    title = Words("The plan, and why", "训练方案与理由")
    if not facts.plan and not facts.reasons:
        return section("plan", title, tag("p", Words("The plan is missing.", "缺少训练方案。")))
    about = Words(
        "`newleaf.toml` is the plan; as a `--recipe` it repeats the run.",
        "方案就是 `newleaf.toml`；用作 `--recipe` 可重复这次训练。",
    )
    if facts.manifest.get("added"):
        about = Words("`newleaf.toml` is the plan. More text was added to it later.", "方案就是 `newleaf.toml`。后来又加入了更多文本。")
    others = settings_table(facts, [name for name in facts.plan if name not in facts.reasons])
    return section(
        "plan",
        title,
        expectation(facts),
        settings_table(facts, facts.reasons, with_reasons=True) if facts.reasons else None,
        tag("details", tag("summary", Words("All other settings", "其余设置")), others),
        tag("p", about, class_="fine"),
    )


def expectation(facts: RunFacts) -> Html | None:
    """What the plan foresaw and what came of it."""
    low, high, came = number(facts.foreseen, "val_bpb_low"), number(facts.foreseen, "val_bpb_high"), facts.figure("val_bpb")
    if low is None or high is None:
        return None
    english = f"Before it began, {low:.2f} to {high:.2f} bits per byte were expected"
    chinese = f"开始之前预计每字节 {low:.2f} 到 {high:.2f} 比特"
    became = Words(f"; it became {came:.2f}.", f"；结果是 {came:.2f}。") if came is not None else Words(".", "。")
    return tag("p", Words(english + became.en, chinese + became.zh))


def settings_table(facts: RunFacts, names: Iterable[str], with_reasons: bool = False) -> Html:
    """One row a setting."""
    heads = [Words("setting", "设置"), Words("value", "取值"), Words("reason", "理由")][: 3 if with_reasons else 2]
    rows = [
        tag(
            "tr",
            tag("th", SETTINGS.get(name), tag("code", name), scope="row"),
            tag("td", shown(facts.plan[name]) if name in facts.plan else None),
            tag("td", reason(facts, name)) if with_reasons else None,
        )
        for name in names
    ]
    head = tag("thead", tag("tr", [tag("th", head, scope="col") for head in heads]))
    return tag("div", tag("table", head, tag("tbody", rows), class_="figures plan"), class_="scroll")


def reason(facts: RunFacts, name: str) -> Words | str:
    """The sentence for a setting."""
    found = facts.reasons[name]
    return Words(str(found.get("en", "")), str(found.get("zh", ""))) if isinstance(found, dict) else str(found)


def next_steps(facts: RunFacts) -> Html:
    """The commands that go on from here."""
    run, finished = quoted(facts), facts.summary.get("stopped_by") in ("budget", "text")
    commands = using(facts, run)
    if not finished:
        verb = "tune" if facts.task else "train"
        commands += [(f"newleaf {verb} --out {run} --resume", Words("bring it to the end of its budget", "继续训练，直到用完预算"))]
    elif not facts.task:
        commands += [
            (f"newleaf train --out {run} --extend --minutes 30", Words("train it 30 minutes more", "再训练 30 分钟")),
            (f"newleaf train MORE --out {run} --extend", Words("the same, with the text in MORE added", "加入 MORE 中的文本，继续训练")),
        ]
    commands += [(f"newleaf verify {run}", Words("check every file", "检查每个文件"))]
    rows = [tag("div", tag("dt", tag("code", command)), tag("dd", purpose)) for command, purpose in commands]
    return section("next", Words("How to go on", "接下来"), tag("dl", rows, class_="commands"))


def using(facts: RunFacts, run: str) -> list[tuple[str, Words]]:
    """The commands that use the model."""
    if facts.task:
        judged, tried = f"newleaf evaluate {run} FILE", command_of(facts.task, run)
        asked = [] if tried == judged else [(tried, Words("ask it", "问它"))]
        return [*asked, (judged, Words("measure it on other examples", "换一批样例来测"))]
    prompt = next((given for row in facts.samples if (given := prompt_word(str(row.get("prompt", ""))))), "")
    return [
        (f"newleaf generate {run} {prompt}".rstrip(), Words("let it write", "让它写")),
        (f"newleaf chat {run}", Words("write together with it", "和它一起写")),
    ]


def prompt_word(prompt: str) -> str:
    r"""A prompt as one argument; none where it would not stand on one line.

    >>> prompt_word("Once upon"), prompt_word("two\nlines")
    ("'Once upon'", '')
    """
    return in_shell(prompt) if prompt.isprintable() and prompt else ""
