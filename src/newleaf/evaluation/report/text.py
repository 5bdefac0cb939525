"""What was read, what was kept from the model to judge it, and what was left out."""

from collections.abc import Mapping, Sequence

from newleaf.conversion.facts import Row, RunFacts, number, table
from newleaf.conversion.wording import SCRIPTS, Words, count, percent, reason, significant
from newleaf.evaluation.report.charts import stacked, swatch
from newleaf.evaluation.report.markup import Html, tag
from newleaf.evaluation.report.parts import Figure, counted, figures, section, sized

MOST_NAMES = 200


def text(facts: RunFacts) -> Html:
    """What was read, what was kept from the model to judge it, and what was left out."""
    manifest, title = facts.manifest, Words("The text it learned from", "它学习的文本")
    if not manifest:
        return section("text", title, tag("p", Words("The record of the text is missing.", "缺少文本记录。")))
    train_bytes, train_tokens = number(manifest, "train_bytes") or facts.figure("train_bytes"), facts.figure("train_tokens")
    per_token = train_bytes / train_tokens if train_bytes and train_tokens else None
    rows: list[Figure] = [
        (Words("documents", "文档"), counted(number(manifest, "documents"))),
        (Words("identical copies, counted once", "完全相同的副本（只算一次）"), counted(number(manifest, "duplicates"))),
        (Words("all text", "全部文本"), sized(number(manifest, "bytes"))),
        (Words("for training", "用于训练"), sized(train_bytes)),
        (Words("held out to judge it", "留出用于评估"), sized(number(manifest, "val_bytes"))),
        (Words("training tokens", "训练词元"), counted(train_tokens)),
        (Words("bytes a token", "每词元字节数"), f"{per_token:.2f}" if per_token else None),
        (Words("times read", "读过的遍数"), significant(epochs) if (epochs := facts.figure("epochs")) is not None else None),
    ]
    return section("text", title, figures(rows), scripts(table(manifest, "scripts")), left_out(manifest), mended(manifest))


def scripts(letters: Row) -> Html | None:
    """Which scripts the letters are in, as one bar."""
    known = {str(name): n for name in letters if (n := number(letters, name))}
    whole = sum(known.values())
    if not whole:
        return None
    ordered = sorted(known.items(), key=lambda item: -item[1])
    kinds = {name: f"part-{min(index, 5)}" for index, (name, _) in enumerate(ordered)}
    names = [tag("li", swatch(kinds[name]), SCRIPTS.get(name, Words(name, name)), " ", tag("b", percent(n / whole))) for name, n in ordered]
    return tag("div", stacked([(n, kinds[name]) for name, n in ordered], whole), tag("ul", names, class_="legend"), class_="scripts")


def left_out(manifest: Row) -> Html:
    """What could not be read, by reason and by name."""
    skipped = rows_of(manifest, "skipped")
    num_skipped = int(number(manifest, "num_skipped") or len(skipped))
    if not num_skipped:
        return tag("p", Words("Nothing was left out.", "没有遗漏任何输入。"), class_="fine")
    sums = [tag("li", reason(str(why)), ": ", str(n)) for why, n in table(manifest, "skipped_counts").items()]
    more = num_skipped - int(sum(number(row, "count") or 1 for row in skipped))
    title = Words(f"Left out: {count(num_skipped)}", f"没有用上：{count(num_skipped)} 个")
    return tag("div", tag("h3", title), tag("ul", sums) if sums else None, named(skipped, "reason", more), id="left-out")


def mended(manifest: Row) -> Html | None:
    """What was read although it was damaged."""
    repaired = rows_of(manifest, "repaired")
    title = Words("Read although damaged", "有损坏但仍读入")
    return tag("div", tag("h3", title), named(repaired, "repair", 0), id="mended") if repaired else None


def rows_of(manifest: Row, name: str) -> list[Row]:
    """The objects of a list in the manifest, at most so many as a person reads."""
    return [row for row in manifest.get(name) or () if isinstance(row, Mapping)][:MOST_NAMES]


def named(rows: Sequence[Row], what: str, more: int) -> Html | None:
    """Inputs by name, each with what is said of it; folded."""
    if not rows:
        return None
    head = tag("tr", tag("th", Words("input", "输入"), scope="col"), tag("th", Words("what was found", "情况"), scope="col"))
    body = [tag("tr", tag("td", str(row.get("source", ""))), tag("td", reason(str(row.get(what, ""))))) for row in rows]
    listed = tag("div", tag("table", tag("thead", head), tag("tbody", body), class_="figures names"), class_="scroll")
    rest = tag("p", Words(f"and {count(more)} more", f"以及另外 {count(more)} 个"), class_="fine") if more > 0 else None
    return tag("details", tag("summary", Words("Each by name", "逐个列出")), listed, rest)
