"""What the model wrote after the same prompts, from the first sample to the newest."""

import re
from collections.abc import Sequence

from newleaf.conversion.facts import Row, RunFacts, number, table
from newleaf.conversion.wording import Words, count, duration, languages
from newleaf.evaluation.report.markup import Html, tag
from newleaf.evaluation.report.parts import section, thinned

MOST_SAMPLES = 8  # of one prompt
MOST_CHARACTERS = 1_200  # of one sample


def samples(facts: RunFacts) -> Html:
    """What the model wrote after the same prompts, from the first sample to the newest."""
    title = Words("What it wrote, through time", "它写的文字，从早到晚")
    if not facts.samples:
        return section("samples", title, tag("p", Words("No sample has been written yet.", "还没有生成样本。")))
    code = looks_like_code("\n".join(str(row.get("text", "")) for row in facts.samples))
    spoken = next(iter(languages(table(facts.manifest, "scripts"))), None)
    by_prompt: dict[str, list[Row]] = {}
    for row in facts.samples:
        by_prompt.setdefault(str(row.get("prompt", "")), []).append(row)
    articles = [timeline(prompt, rows, code, spoken) for prompt, rows in by_prompt.items()]
    about = Words("The beginning in green was given; the model went on from there.", "绿色的开头是给定的，后面由模型续写。")
    return section("samples", title, tag("p", about, class_="fine"), articles)


def timeline(prompt: str, rows: Sequence[Row], code: bool, spoken: str | None) -> Html:
    """The samples of one prompt."""
    rows = thinned(sorted(rows, key=lambda row: number(row, "step") or 0), MOST_SAMPLES)
    entries = []
    for row in rows:
        text = shorten(str(row.get("text", "")), MOST_CHARACTERS)
        given = tag("span", prompt, class_="prompt") if prompt else None
        step, seconds = count(number(row, "step") or 0), duration(number(row, "seconds") or 0)
        when = Words(f"step {step} · {seconds.en}", f"第 {step} 步 · {seconds.zh}")
        written = tag("pre", given, text, class_="code" if code else None, lang=spoken, dir="auto")
        entries.append(tag("li", tag("p", when, class_="when"), written))
    heading = tag("q", shorten(" ".join(prompt.split()), 60), lang=spoken) if prompt.strip() else Words("From nothing", "不给开头")
    return tag("article", tag("h3", heading), tag("ol", entries, class_="timeline"))


def looks_like_code(text: str) -> bool:
    """Whether brackets and operators are frequent, as in programs and never in prose.

    >>> looks_like_code("def f(x): return {x[0]: x == 1}"), looks_like_code("To be, or not to be: that is the question.")
    (True, False)
    """
    return len(re.findall(r"[(){}\[\]=_<>#]", text)) > 0.03 * max(1, len(text))


def shorten(text: str, at_most: int) -> str:
    """
    >>> shorten("a long sentence", 6)
    'a long …'
    """
    return text if len(text) <= at_most else f"{text[:at_most]} …"
