"""report.html, the page that a person looks at: how good the model is, what it wrote, what it learned from, why it was made so.

    markup    text is escaped unless it was built as markup        charts   curves and bars as SVG
    advice    warnings in plain words                              style    the look, and the one small script
    results · samples · originality · text · plan    the sections                parts    what they share

One file that opens without network and asks for nothing: its content security policy allows only its own style and script, by
their hashes, so that text from a person or a model could not run even if it were not escaped.
"""

import base64
import hashlib
from pathlib import Path

from newleaf import fsio
from newleaf.conversion.facts import RunFacts, read_facts
from newleaf.conversion.wording import SHARE_THE_EXPORT, Language, Words, amount, count, duration
from newleaf.evaluation.report.markup import Html, tag
from newleaf.evaluation.report.originality import originality
from newleaf.evaluation.report.plan import next_steps, plan
from newleaf.evaluation.report.results import curves, headline, speed, warnings
from newleaf.evaluation.report.samples import samples
from newleaf.evaluation.report.style import SCRIPT, STYLE
from newleaf.evaluation.report.task import examples, forgetting, mistakes, task_headline
from newleaf.evaluation.report.text import text

TEXT = (headline, warnings, curves, samples, originality, text)  # what is said of a model that learned from a text
LEAF = "M20 3C10 3 4 8 4 15c0 2 0 3 1 4C7 13 11 10 16 8c-5 3-8 7-10 12 2 1 3 1 4 1C17 21 21 14 20 3z"
LANGUAGES = {"en": "English", "zh": "中文"}


def write_report(folder: Path, lang: Language) -> Path:
    """Write report.html into the run in `folder`, from the files that are there. It opens in `lang`."""
    path = folder / "report.html"
    fsio.write_text(path, render(read_facts(folder, lang)))
    return path


def render(facts: RunFacts) -> str:
    """The page of one run."""
    learned = (task_headline, warnings, mistakes, samples, originality, curves, forgetting, examples) if facts.task else TEXT
    sections = [part(facts) for part in (*learned, speed, plan, next_steps)]
    body = tag("body", switch(facts.lang), header(facts), tag("main", sections), footer(facts), tag("script", Html(SCRIPT)))
    language = "zh-Hans" if facts.lang == "zh" else "en"
    return f"<!DOCTYPE html>\n{tag('html', head(facts), body, lang=language)}\n"


def head(facts: RunFacts) -> Html:
    """What the browser needs before the page."""
    policy = f"default-src 'none'; style-src {content_hash(STYLE)}; script-src {content_hash(SCRIPT)}; base-uri 'none'; form-action 'none'"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{facts.name} · newleaf"),
        tag("style", Html(STYLE)),
    )


def content_hash(content: str) -> str:
    """The source expression that allows exactly this inline content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def switch(lang: Language) -> list[Html]:
    """Two radio buttons before everything else: the style sheet shows one language by them, without a script."""
    return [
        tag("input", type="radio", name="language", id=f"show-{code}", checked=code == lang, aria_label=name, autocomplete="off")
        for code, name in LANGUAGES.items()
    ]


def header(facts: RunFacts) -> Html:
    """Whose page this is and how the run stands."""
    leaf = tag("svg", tag("path", d=LEAF), viewBox="0 0 24 24", aria_hidden="true")
    brand = tag("span", leaf, Words("newleaf", "新叶 newleaf"), class_="brand")
    labels = tag("div", [tag("label", name, for_=f"show-{code}") for code, name in LANGUAGES.items()], class_="languages")
    return tag("header", tag("div", brand, labels, class_="top"), tag("h1", facts.name), tag("p", status(facts), class_="status"))


def status(facts: RunFacts) -> Words:
    """One line: how it ended, after how long, how large it is."""
    endings = {
        "budget": Words("Finished", "已完成"),
        "text": Words("Finished early: more training would not have helped", "提前完成：继续训练不会更好"),
        "signal": Words("Stopped on request", "应要求停止"),
        "nan": Words("Stopped: the loss left the numbers", "已停止：损失不再是数值"),
        "error": Words("Stopped by an error", "因出错停止"),
    }
    ending = endings.get(str(facts.summary.get("stopped_by")), Words("In training, or cut off", "训练中，或被中断"))
    seconds, steps, parameters = facts.figure("seconds"), facts.figure("steps"), facts.figure("parameters")
    parts = [
        ending,
        duration(seconds) if seconds is not None else None,
        Words(f"{count(steps)} steps", f"{count(steps)} 步") if steps is not None else None,
        Words(f"{amount(parameters).en} parameters", f"参数 {amount(parameters).zh}") if parameters is not None else None,
    ]
    known = [part for part in parts if part is not None]
    return Words(" · ".join(part.en for part in known), " · ".join(part.zh for part in known))


def footer(facts: RunFacts) -> Html:
    """What not to share, and what the numbers hold for."""
    version, fingerprint = (str(facts.summary.get(name) or "") for name in ("version", "fingerprint"))
    seed = facts.figure("seed")
    made = " · ".join(part for part in (f"newleaf {version}".strip(), fingerprint, f"seed {seed:.0f}" if seed is not None else "") if part)
    return tag("footer", tag("p", SHARE_THE_EXPORT), tag("p", made))
