"""How much of what the model writes is its own: copies, repetition and variety, beside the same of people's text."""

from newleaf.conversion.facts import Row, RunFacts, number, table
from newleaf.conversion.wording import COPIED_TOKENS, Words, copied, count, percent
from newleaf.evaluation.originality import PHRASE, SAMPLE_TOKENS
from newleaf.evaluation.report.markup import Html, tag
from newleaf.evaluation.report.parts import section

ROWS = (  # name in summary.json, what it is called
    ("copied_share", Words(f"copied word for word, {COPIED_TOKENS} tokens or more", f"一字不差地照抄（连续 {COPIED_TOKENS} 个词元以上）")),
    ("longest_copy", Words("longest copied stretch, in tokens", "照抄的最长一段（词元）")),
    ("repetition", Words(f"repeats itself, {PHRASE} tokens in a row", f"自己重复自己（连续 {PHRASE} 个词元）")),
    ("distinct_1", Words("different tokens, of all", "不同词元的占比（distinct-1）")),
    ("distinct_2", Words("different pairs of tokens, of all", "不同词元对的占比（distinct-2）")),
    ("tokens", Words("tokens looked at", "考察的词元数")),
)


def originality(facts: RunFacts) -> Html | None:
    """A sentence and a table; of a task whose answers are no text, or that wrote none, nothing."""
    title, found = Words("Its own words, or those of the text", "自己写的，还是照抄的"), table(facts.summary, "originality")
    if not found:
        waiting = Words("Measured at the end of a run, on text that it writes.", "训练结束时，用它写的文字来测。")
        return None if facts.task else section("originality", title, tag("p", waiting))
    theirs = Words("right answers", "标准答案") if facts.task else Words("held-out text", "留出文本")
    head = tag("tr", [tag("th", name, scope="col") for name in ("", Words("this model", "这个模型"), theirs)])
    body = [
        tag("tr", tag("th", words, scope="row"), [tag("td", shown(row, name)) for row in (found, table(found, "held_out"))])
        for name, words in ROWS
    ]
    figures = tag("div", tag("table", tag("thead", head), tag("tbody", body), class_="figures rivals"), class_="scroll")
    return section("originality", title, tag("p", copied(found, bool(facts.task))), figures, longest(found), method(facts, found))


def shown(row: Row, name: str) -> str:
    """A count, a share, or a dash."""
    value = number(row, name)
    if value is None:
        return "–"
    return count(value) if name in ("longest_copy", "tokens") else percent(value)


def longest(found: Row) -> list[Html] | None:
    """What was copied."""
    text = str(found.get("longest_text") or "")
    about = Words("The longest stretch that it copied:", "照抄的最长一段：")
    return [tag("p", about, class_="fine"), tag("pre", text, dir="auto")] if text.strip() else None


def method(facts: RunFacts, found: Row) -> Html:
    """How it was measured, and how far."""
    if facts.task:
        greedy = Words(
            "Of the answers that it wrote to held-out examples, always the likeliest token.",
            "用它对留出样例的回答来测（每次取最可能的词元）。",
        )
        return tag("p", greedy, class_="fine")
    searched, whole, train_bytes = number(found, "searched_tokens") or 0.0, facts.figure("train_tokens"), facts.figure("train_bytes")
    window = f"{COPIED_TOKENS * train_bytes / whole:.0f}" if train_bytes and whole else "?"
    english = (
        f"Of text that it wrote at temperature 0.8, at most {SAMPLE_TOKENS} tokens at a time, from nothing and after openings of the "
        f"held-out text; {COPIED_TOKENS} tokens are about {window} bytes here. What people wrote at the same places stands beside it: "
        "every text repeats something."
    )
    chinese = (
        f"用它以温度 0.8 写的文字来测，每次至多 {SAMPLE_TOKENS} 个词元：有的不给开头，有的接着留出文本的一段开头写；"
        f"这里 {COPIED_TOKENS} 个词元约合 {window} 字节。旁边是人在同样位置写下的文字：任何文字都会有些重复。"
    )
    if whole and searched < whole:
        english += f" To stay in time, copies were looked for in the last {count(searched)} of {count(whole)} training tokens only."
        chinese += f"为了按时结束，只在 {count(whole)} 个训练词元的最后 {count(searched)} 个里查找照抄。"
    return tag("p", Words(english, chinese), class_="fine")
