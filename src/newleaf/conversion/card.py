"""README.md of a run: the model card. What the model is, what it learned from (counts, never the text), figures, limits, how to load.

Written in English and in Chinese, each in its own words. Text from a person or a model is escaped, or fenced with more backticks
than it holds.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from newleaf import fsio
from newleaf.conversion.facts import RunFacts, number, read_facts, shown, table
from newleaf.conversion.uses import limit_of, use_of
from newleaf.conversion.wording import (
    BASELINES,
    BY_HEART,
    METRICS,
    RIVALS,
    SCRIPTS,
    SETTINGS,
    SHARE_THE_EXPORT,
    TASKS,
    Language,
    Words,
    amount,
    copied,
    count,
    duration,
    languages,
    metric_shown,
    percent,
    significant,
    size,
)

MOST_SAMPLES = 3
MOST_CHARACTERS = 600


def write_card(folder: Path, lang: Language) -> Path:
    """Write README.md into the run in `folder`, from the files that are there; `lang` comes first."""
    path = folder / "README.md"
    fsio.write_text(path, card(read_facts(folder, lang)))
    return path


def card(facts: RunFacts) -> str:
    """The card of one run, as Markdown with YAML front matter; the language of `facts` first."""
    other: Language = "en" if facts.lang == "zh" else "zh"
    parts = [front_matter(facts), f"# {escape(facts.name)}", "[English](#english) · [中文](#中文)"]
    return "\n\n".join([*parts, *chapter(facts, facts.lang), *chapter(facts, other)]) + "\n"


def front_matter(facts: RunFacts) -> str:
    """What a hub reads. The languages are guessed from the scripts; the licence is for the owner of the text to choose."""
    spoken = languages(table(facts.manifest, "scripts"))
    lines = ["---", *(["language:", *(f"- {code}" for code in spoken)] if spoken else [])]
    kind = "text-classification" if facts.task == "classify" else "text-generation"
    lines += [f"pipeline_tag: {kind}", "library_name: transformers", "tags:", "- newleaf"]
    lines += (
        ["- pretrained-from-scratch"] if not facts.base else [f"base_model: {json.dumps(clean(facts.base))}"] if "/" in facts.base else []
    )
    bpb = facts.figure("val_bpb")
    if bpb is not None and not facts.task:
        metric = {"type": "bits_per_byte", "name": "bits per byte, held-out text", "value": round(bpb, 4)}
        dataset = {"name": "held-out part of the training text", "type": "text"}
        result = {"task": {"type": "text-generation"}, "dataset": dataset, "metrics": [metric]}
        lines += [f"model-index: {json.dumps([{'name': clean(facts.name), 'results': [result]}])}"]  # JSON is YAML
    return "\n".join([*lines, "---"])


def chapter(facts: RunFacts, language: Language) -> list[str]:
    """The whole card in one language."""
    title = {"en": "## English", "zh": "## 中文"}[language]
    sections = (introduction, training_text, figures, settings, samples, limits, loading)
    return [title, *(section for write in sections for section in write(facts, language))]


def introduction(facts: RunFacts, language: Language) -> list[str]:
    """What it is, in two sentences."""
    parameters, context, seconds = facts.figure("parameters"), facts.figure("context"), facts.figure("seconds")
    large = amount(parameters) if parameters is not None else Words("an unknown number of", "未知")
    long = duration(seconds) if seconds is not None else Words("an unknown time", "未知")
    sees = count(context) if context is not None else "?"
    on = escape(facts.base)
    if facts.task:
        task = TASKS.get(facts.task, Words(facts.task, facts.task))
        words = Words(
            f"A GPT with {large.en} parameters, tuned from {on} for {task.en} in {long.en} by newleaf (新叶). "
            f"It sees {sees} tokens at once.",
            f"一个 GPT，参数量 {large.zh}，由新叶（newleaf）在 {on} 的基础上调来做{task.zh}，用时 {long.zh}；一次能看到 {sees} 个词元。",
        )
        return [words.say(language), f"**{SHARE_THE_EXPORT.say(language)}**"]
    began = Words(f"trained on from {on}", f"在 {on} 的基础上继续训练而成") if on else Words("trained from nothing", "从零训练而成")
    words = Words(
        f"A GPT with {large.en} parameters, {began.en} in {long.en} by newleaf (新叶) on one person's text. "
        f"It goes on writing where a text stops; it sees {sees} tokens at once.",
        f"一个 GPT，参数量 {large.zh}，由新叶（newleaf）用一个人自己的文本{began.zh}，用时 {long.zh}。"
        f"给它开头，它会接着写；一次能看到 {sees} 个词元。",
    )
    return [words.say(language), f"**{SHARE_THE_EXPORT.say(language)}**"]


def training_text(facts: RunFacts, language: Language) -> list[str]:
    """Counts of the text; the text itself is the owner's."""
    manifest = facts.manifest
    documents, whole = number(manifest, "documents"), number(manifest, "bytes")
    training = number(manifest, "train_bytes") or facts.figure("train_bytes")
    held_out, duplicates, skipped = (number(manifest, name) for name in ("val_bytes", "duplicates", "num_skipped"))
    epochs = facts.figure("epochs")
    rows = [
        (Words("documents", "文档"), count(documents) if documents is not None else None),
        (Words("identical copies, counted once", "完全相同的副本（只算一次）"), count(duplicates) if duplicates is not None else None),
        (Words("inputs left out", "没有用上的输入"), count(skipped) if skipped is not None else None),
        (Words("all text", "全部文本"), size(whole) if whole is not None else None),
        (Words("for training", "用于训练"), size(training) if training is not None else None),
        (Words("held out", "留出"), size(held_out) if held_out is not None and facts.held_out else None),
        (Words("scripts", "文字"), scripts(facts, language)),
        (Words("times read", "读过的遍数"), significant(epochs) if epochs is not None else None),
    ]
    return [Words("### Text", "### 文本").say(language), markdown_table(rows, Words("", ""), Words("", ""), language)]


def scripts(facts: RunFacts, language: Language) -> str | None:
    """The scripts of at least 1 % of the letters."""
    letters = table(facts.manifest, "scripts")
    known = {name: n for name in letters if (n := number(letters, name))}
    whole = sum(known.values())
    frequent = sorted((name for name in known if known[name] >= 0.01 * whole), key=lambda name: -known[name])
    names = {name: SCRIPTS.get(name, Words(escape(name), escape(name))).say(language) for name in frequent}
    return ", ".join(f"{names[name]} {percent(known[name] / whole)}" for name in frequent) or None


def figures(facts: RunFacts, language: Language) -> list[str]:
    """Held-out bits per byte beside the baselines, and the other figures."""
    bpb, final, loss, scored = (facts.figure(name) for name in ("val_bpb", "final_val_bpb", "val_loss", "val_bytes"))
    compared = sorted(facts.baselines.items(), key=lambda pair: -pair[1])
    rows: list[tuple[Words, str | None]] = [(BASELINES[name], f"{value:.3f}") for name, value in compared]
    rows += [(Words("**this model**", "**这个模型**"), f"**{bpb:.3f}**" if bpb is not None else None)]
    if final is not None and bpb is not None and final > bpb:
        rows += [(Words("its last step, which is not this file", "最后一步（不是这个文件）"), f"{final:.3f}")]
    title = Words("### Figures", "### 成绩").say(language)
    if facts.task:
        return [title, *task_figures(facts, language)]
    if bpb is None or loss is None or scored is None:
        return [title, Words("Not evaluated yet.", "还没有评估。").say(language)]
    part = facts.baseline_bytes
    about = Words(
        f"Bits per byte of {size(scored)} of text held out of training, fewer is better. The model's loss there: {loss:.3f} nats a token."
        + (f" The other methods were judged by the first {size(part)} of it." if part else ""),
        f"在 {size(scored)} 没有参与训练的文本上，每字节的比特数，越少越好。模型在其上的损失：每词元 {loss:.3f} 奈特。"
        + (f"其他方法只用其中开头的 {size(part)} 来评。" if part else ""),
    )
    bits = markdown_table(rows, Words("", ""), Words("bits per byte", "每字节比特"), language)
    return [title, about.say(language), bits, *own_words(facts, language)]


def own_words(facts: RunFacts, language: Language) -> list[str]:
    """How much of what it writes is copied: counts, never the text."""
    found = table(facts.summary, "originality")
    return [copied(found, bool(facts.task)).say(language)] if found else []


def task_figures(facts: RunFacts, language: Language) -> list[str]:
    """The figures of its task beside those of what it has to beat, a table a figure."""
    own, rivals = table(facts.summary, "metrics"), table(facts.summary, "baselines")
    found = []
    for name in (name for name in METRICS if name in own):
        values = {RIVALS.get(key, Words(escape(key), escape(key))): number(table(row, name), "value") for key, row in rivals.items()}
        rows = [(words, metric_shown(name, value)) for words, value in values.items() if value is not None]
        mine = number(table(own, name), "value")
        rows += [(Words("**this model**", "**这个模型**"), f"**{metric_shown(name, mine)}**" if mine is not None else "–")]
        found.append(markdown_table(rows, Words("", ""), METRICS[name], language))
    by_heart = [] if facts.held_out else [BY_HEART.say(language)]
    return [*found, *by_heart, *own_words(facts, language)] if found else [Words("Not evaluated yet.", "还没有评估。").say(language)]


def settings(facts: RunFacts, language: Language) -> list[str]:
    """Every setting of the plan."""
    rows = [(Words(f"`{name}`", f"`{name}`"), escape(shown(value))) for name, value in facts.plan.items() if name in SETTINGS]
    title = Words("### Settings", "### 设置").say(language)
    heads = Words("setting", "设置"), Words("value", "取值")
    missing = Words("The plan is missing.", "缺少训练方案。").say(language)
    return [title, markdown_table(rows, *heads, language) if rows else missing]


def samples(facts: RunFacts, language: Language) -> list[str]:
    """The newest samples, fenced."""
    newest = max((number(row, "step") or 0 for row in facts.samples), default=0)
    last = [row for row in facts.samples if (number(row, "step") or 0) == newest][:MOST_SAMPLES]
    title = Words("### Samples", "### 样本").say(language)
    if not last:
        return [title, Words("None yet.", "还没有。").say(language)]
    return [title, *(fenced((str(row.get("prompt", "")) + str(row.get("text", "")))[:MOST_CHARACTERS]) for row in last)]


def limits(facts: RunFacts, language: Language) -> list[str]:
    """What not to expect."""
    own = limit_of(facts)
    words = Words(
        f"- {own.en}\n"
        "- It repeats the opinions, mistakes and private details of its text, and may repeat passages word for word.\n"
        "- The figures hold for text like its own; on other text it does worse.\n"
        "- A licence is not chosen here: that depends on the rights in the text.",
        f"- {own.zh}\n"
        "- 文本里的观点、错误和隐私它都会学去，也可能一字不差地背出原文。\n"
        "- 这些成绩只对同类文本成立，换一种文本会更差。\n"
        "- 这里没有替你选许可证：那取决于你对文本拥有的权利。",
    )
    return [Words("### Limits", "### 局限").say(language), words.say(language)]


def loading(facts: RunFacts, language: Language) -> list[str]:
    """How other tools and newleaf open the directory."""
    program, command, call = use_of(facts)
    words = Words("In this directory, with `transformers`:", "在这个目录里，用 `transformers`：")
    ours = Words(f"Or with newleaf: `{command}`, in Python `{call}`.", f"或用新叶：`{command}`，在 Python 里是 `{call}`。")
    return [Words("### Use", "### 使用").say(language), words.say(language), fenced(program.strip(), "python"), ours.say(language)]


def markdown_table(rows: Sequence[tuple[Words, str | None]], left: Words, right: Words, language: Language) -> str:
    """Two columns; rows without a value are left out. The cells must be safe already."""
    body = [f"| {name.say(language)} | {value} |" for name, value in rows if value is not None]
    return "\n".join([f"| {left.say(language)} | {right.say(language)} |", "|---|---|", *body])


def fenced(text: str, kind: str = "text") -> str:
    """A code block that its content cannot close.

    >>> print(fenced("a ``` b"))
    ````text
    a ``` b
    ````
    """
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return "\n".join([f"{fence}{kind}", clean(text, keep="\n\t"), fence])


def escape(text: str) -> str:
    r"""One line of Markdown that shows `text` as it is.

    >>> escape("<b>|*x*")
    '\\<b\\>\\|\\*x\\*'
    """
    return re.sub(r"([\\`*_{}\[\]<>()#+\-!|~$&:])", r"\\\1", clean(text))


def clean(text: str, keep: str = "") -> str:
    """Without control characters, lone surrogates and marks that turn the direction of what follows."""
    hidden = "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
    return re.sub(hidden, lambda found: found[0] if found[0] in keep else " ", text)
