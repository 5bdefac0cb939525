"""The report of every kind of run: whole, in both languages, calling nobody, and with everybody's text as text."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from evaluation import example_runs
from evaluation.example_runs import ATTACK

from newleaf import fsio
from newleaf.conversion.card import card
from newleaf.conversion.facts import RunFacts, read_facts
from newleaf.conversion.wording import Words
from newleaf.evaluation.report import render, write_report
from newleaf.evaluation.report.charts import Frame, Reference, Series, buckets, chart, ticks
from newleaf.evaluation.report.markup import VOID, Html, escape, tag

RUNS = {
    "finished": example_runs.finished(),
    "chinese": example_runs.finished("zh"),
    "unfinished": example_runs.unfinished(),
    "overfitted": example_runs.overfitted(),
    "empty": example_runs.empty(),
    "hostile": example_runs.hostile(),
    "one step": example_runs.finished(steps=5),
    "text that only repeats itself": replace(
        example_runs.finished(),
        summary={
            **example_runs.finished().summary,
            "val_bpb": 0.0,
            "baselines": {"uniform": 8.0, "unigram": 0.02, "fivegram": 0.0, "xz": 0.0},
        },
    ),
    "no evaluation": replace(example_runs.finished(), metrics=[{"step": 1, "loss": 7.0, "lr": 0.0}], summary={}),
}
SECTIONS = ["result", "warnings", "curves", "samples", "originality", "text", "speed", "plan", "next"]


class Page(HTMLParser):
    """A page as a strict reader sees it: elements, their attributes, and text; every element must be closed where it ought to be."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.shown = {"en": "", "zh": ""}
        self.feed(page)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice in {tag}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(f"{tag}.{dict(attrs).get('class') or ''}")

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop().startswith(f"{tag}."), f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if not any(name.startswith(("style.", "script.", "title.")) for name in self.open):
            self.text += data
            for language, other in (("en", "zh"), ("zh", "en")):
                self.shown[language] += "" if any(name.endswith(f".{other}") for name in self.open) else data

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.elements if name == tag)


@pytest.fixture(params=RUNS, ids=list(RUNS))
def run(request: pytest.FixtureRequest) -> RunFacts:
    return RUNS[request.param]


def test_every_page_is_well_formed(run: RunFacts) -> None:
    page = Page(render(run))
    assert next(page.all("html"))["lang"]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_page_has_all_sections(run: RunFacts) -> None:
    assert [attributes["id"] for attributes in Page(render(run)).all("section")] == SECTIONS


def test_every_sentence_is_in_both_languages(run: RunFacts) -> None:
    page = Page(render(run))
    codes = [attributes["lang"] for attributes in page.all("span") if attributes.get("class") in ("en", "zh")]
    assert codes.count("en") == codes.count("zh-Hans") > 10
    if run.lang == "en":
        assert not re.search("[一-鿿]", page.shown["en"].replace("中文", ""))


def test_the_headings_are_translated(run: RunFacts) -> None:
    shown = Page(render(run)).shown
    assert all(heading in shown["en"] for heading in ("What to watch", "How it learned", "Speed", "How to go on"))
    assert all(heading in shown["zh"] for heading in ("需要注意", "学习过程", "速度", "接下来"))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_opens_in_the_language_asked_for(lang: str) -> None:
    inputs = list(Page(render(replace(RUNS["finished"], lang=lang))).all("input"))
    assert [attributes["id"] for attributes in inputs if "checked" in attributes] == [f"show-{lang}"]


def test_where_the_curve_does_not_end_at_the_headline_the_page_says_why() -> None:
    whole, why = RUNS["finished"], "On the way it is scored on a part of the held-out text: "
    assert why not in Page(render(whole)).shown["en"]
    summary = {**whole.summary, "val_bpb": 1.06 * whole.summary["val_bpb"]}
    found = Page(render(replace(whole, summary=summary)))
    assert f"{why}{whole.summary['val_bpb']:.3f} for the model that was kept. The {summary['val_bpb']:.3f} above" in found.shown["en"]
    assert f"上面的 {summary['val_bpb']:.3f} 是结束时" in found.shown["zh"]
    assert why not in Page(render(replace(whole, summary={**summary, "final_val_bpb": None}))).shown["en"]


def test_no_page_asks_for_anything_outside_itself(run: RunFacts) -> None:
    page = Page(render(run))
    outward = {"src", "href", "srcset", "action", "data", "poster", "background", "ping", "style"}
    assert not [name for _, attributes in page.elements for name in attributes if name in outward]
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp|WebSocket", render(run))


def test_only_our_own_style_and_script_may_run(run: RunFacts) -> None:
    page = render(run)
    policy = next(a["content"] for a in Page(page).all("meta") if a.get("http-equiv") == "Content-Security-Policy") or ""
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for name in ("style", "script"):
        (content,) = re.findall(rf"<{name}>(.*?)</{name}>", page, re.DOTALL)
        assert f"{name}-src 'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'" in policy


def test_hostile_text_stays_text() -> None:
    page = render(RUNS["hostile"])
    parsed = Page(page)
    assert len(list(parsed.all("script"))) == len(list(parsed.all("style"))) == 1
    assert not list(parsed.all("img"))
    assert not [name for _, attributes in parsed.elements for name in attributes if name.startswith("on")]
    assert "<img" not in page and "<script>alert" not in page
    assert parsed.text.count("<script>alert(1)</script>") > 10  # shown, as what it is
    page.encode("utf-8")  # no lone surrogate
    assert not set(page) & set("\x00\u202e")


@pytest.mark.parametrize("place", ["name", "path", "lang_sample", "prompt", "setting", "reason", "source", "script"])
def test_no_place_lets_markup_through(place: str) -> None:
    run = RUNS["finished"]
    changed = {
        "name": {"name": ATTACK},
        "path": {"path": ATTACK, "summary": {}},
        "lang_sample": {"samples": [{"step": 1, "prompt": "", "text": ATTACK}]},
        "prompt": {"samples": [{"step": 1, "prompt": ATTACK, "text": ""}]},
        "setting": {"plan": {ATTACK: ATTACK}},
        "reason": {"reasons": {"model.width": {"en": ATTACK, "zh": ATTACK}}},
        "source": {"manifest": {"num_skipped": 1, "skipped": [{"source": ATTACK, "reason": ATTACK}]}},
        "script": {"manifest": {"scripts": {ATTACK: 3}}},
    }[place]
    page = render(replace(run, **changed))
    assert "<script>alert" not in page and "<img" not in page
    assert "alert(1)" in Page(page).text


def test_a_finished_run_shows_its_figure_and_every_baseline() -> None:
    text = Page(render(RUNS["finished"])).shown["en"]
    assert all(figure in text for figure in ("1.60", "8.00", "4.83", "2.41", "2.52", "34% fewer", "58%", "1.50 to 1.90"))


def test_what_a_model_copied_stands_beside_what_people_repeat() -> None:
    shown = Page(render(RUNS["finished"])).shown
    sentence = (
        "1.2% of what it writes stands word for word in the training text, 32 tokens in a row or more; the longest stretch is 41 tokens."
    )
    assert sentence in shown["en"] and f"{sentence} Of the held-out text, which people wrote, it is 0%, and 19 tokens." in card(
        RUNS["finished"]
    )
    assert (
        "有 1.2% 与训练文本一字不差（连续 32 个词元以上）；最长的一段有 41 个词元。作为对照，人写的留出文本里是 0%，最长 19 个词元。"
        in shown["zh"]
    )
    assert all(figure in shown["en"] for figure in ("63%", "70%", "4,096", "3,990", " of fire, th", "about 89 bytes"))
    assert "copies were looked for" not in shown["en"]
    assert " of fire, th" not in card(replace(RUNS["finished"], samples=()))  # the card holds counts, never the text


def test_how_far_copies_were_looked_for_is_said_where_it_was_not_everywhere() -> None:
    run = RUNS["finished"]
    part = {**run.summary, "originality": {**run.summary["originality"], "searched_tokens": 90_000}}
    shown = Page(render(replace(run, summary=part))).shown
    assert "copies were looked for in the last 90,000 of 361,000 training tokens only" in shown["en"]
    assert "只在 361,000 个训练词元的最后 90,000 个里查找照抄" in shown["zh"]


def test_without_windows_of_32_tokens_the_longest_stretch_is_told_alone() -> None:
    run = RUNS["finished"]
    short = {**run.summary, "originality": {"copied_share": None, "longest_copy": 7, "held_out": {"copied_share": None, "longest_copy": 5}}}
    shown = Page(render(replace(run, summary=short))).shown
    assert "The longest stretch of what it writes that stands in the training text is 7 tokens; of the held-out text" in shown["en"]
    assert "它写的文字里，与训练文本一字不差的最长一段有 7 个词元；人写的留出文本里是 5 个。" in shown["zh"]


def test_a_finished_run_is_extended_and_an_unfinished_one_resumed() -> None:
    finished, unfinished = (Page(render(RUNS[name])).text for name in ("finished", "unfinished"))
    assert "newleaf train --out runs/shakespeare --extend" in finished and "--resume" not in finished
    assert "newleaf train --out runs/shakespeare --resume" in unfinished and "--extend" not in unfinished


def test_what_was_left_out_is_named_with_its_reason() -> None:
    shown = Page(render(RUNS["overfitted"])).shown
    assert "scans/page-011.png" in shown["en"] and "not text: 12" in shown["en"] and "and 2 more" in shown["en"]
    assert "不是文本: 12" in shown["zh"]


def test_what_was_mended_is_named() -> None:
    run = replace(RUNS["finished"], manifest={**RUNS["finished"].manifest, "repaired": [{"source": "old.txt", "repair": "2 bad bytes"}]})
    assert "old.txt2 bad bytes" in Page(render(run)).shown["en"]


def test_the_page_warns_of_the_data_folder() -> None:
    assert "data/ holds your text" in Page(render(RUNS["finished"])).shown["en"]
    assert "data/ 里有你的原文" in Page(render(RUNS["finished"])).shown["zh"]


def test_samples_of_one_prompt_stand_in_order_of_time() -> None:
    run = RUNS["finished"]
    page = render(replace(run, samples=list(reversed(run.samples))))
    steps = [int(step.replace(",", "")) for step in re.findall(r"step ([\d,]+) ·", Page(page).shown["en"])]
    assert steps == sorted(steps[:5]) * 2


def test_thousands_of_steps_and_samples_are_thinned() -> None:
    run = example_runs.finished(steps=20_000)
    many = [{"step": step, "seconds": step, "prompt": "", "text": f"sample {step}"} for step in range(500)]
    page = render(replace(run, samples=many))
    assert len(page) < 150_000
    assert "sample 0" in page and "sample 499" in page


def test_values_under_the_pointer_are_numbers_for_each_line() -> None:
    figures = list(Page(render(RUNS["finished"])).all("figure"))
    rows = json.loads(figures[0]["data-hover"] or "")
    assert len(figures) == 3
    assert all(0 <= row[0] <= 1 and len(row) == 4 for row in rows)
    assert rows[-1][1] == "1,240"


def test_written_from_a_folder_it_equals_the_rendered_facts(tmp_path: Path) -> None:
    run, folder = RUNS["finished"], tmp_path / "poems"
    fsio.make_folders(folder / "data")
    fsio.write_json(folder / "summary.json", run.summary)
    fsio.write_json(folder / "data" / "manifest.json", run.manifest)
    fsio.write_text(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in run.metrics) + '{"step": 9')
    fsio.write_text(folder / "samples.jsonl", "".join(json.dumps(row) + "\n" for row in run.samples))
    fsio.write_text(
        folder / "newleaf.toml",
        'seed = 7\n[model]\nwidth = 256\n[foreseen]\nval_bpb_low = 1.5\nval_bpb_high = 1.9\n[config]\nnorm = "rmsnorm"\n'
        '[reasons_en]\n"model.width" = "fits"\n[reasons_zh]\n"model.width" = "合适"\n',
    )
    facts = read_facts(folder, "zh")
    assert (facts.name, facts.lang, facts.plan) == ("poems", "zh", {"seed": 7, "model.width": 256})
    assert facts.reasons == {"model.width": {"en": "fits", "zh": "合适"}}
    assert facts.metrics == run.metrics and facts.samples == run.samples
    assert write_report(folder, "zh").read_text("utf-8") == render(facts)


def test_missing_and_damaged_files_still_give_a_page(tmp_path: Path) -> None:
    write_report(tmp_path, "en")
    for name in ("summary.json", "metrics.jsonl", "samples.jsonl", "newleaf.toml"):
        fsio.write_bytes(tmp_path / name, b"\xff{[broken")
    fsio.make_folders(tmp_path / "data")
    fsio.write_text(tmp_path / "data" / "manifest.json", "[]")
    page = Page(write_report(tmp_path, "en").read_text("utf-8"))
    assert [attributes["id"] for attributes in page.all("section")] == SECTIONS


@pytest.mark.parametrize("values", [[(1, 2.0)], [(1, 2.0), (2, 2.0)], [(1, 0.0), (2, 0.0)], [(1, -1e-9), (9000, 1e9)]])
def test_any_curve_can_be_drawn(values: list[tuple[float, float]]) -> None:
    words = Words("loss", "损失")
    page = Page(chart(words, [Series("training", words, values)], values[-1][0], [Reference("xz", words, 2.0)]))
    assert {attributes["class"] for attributes in page.all("svg") if "class" in attributes} == {"wide", "narrow"}


def test_buckets_keep_every_step() -> None:
    points = [(float(step), float(step % 7)) for step in range(1000)]
    gathered = buckets(points, 60)
    assert len(gathered) <= 60
    assert (min(b.low for b in gathered), max(b.high for b in gathered), gathered[-1].x) == (0, 6, 999)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 7), (1.598, 2.443), (0, 3e-4), (0, 123_456), (-5, 5), (1.0, 1.0001)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    values = ticks(low, high, 5)
    assert 2 <= len(values) <= 7
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in values)


def test_a_frame_puts_values_inside_itself() -> None:
    frame = Frame(720, 300, (0, 10), (1, 2))
    assert (frame.across(0), frame.across(10), frame.up(1), frame.up(2)) == (46, 710, 274, 10)


def test_plain_strings_are_text_and_only_tags_are_markup() -> None:
    assert tag("p", "<b>", tag("b", "x & y"), class_='"') == '<p class="&quot;">&lt;b&gt;<b>x &amp; y</b></p>'
    assert isinstance(tag("p"), Html) and not isinstance("<p></p>", Html)
    assert escape("a\x00b\ud800\u202e") == "a\ufffdb\ufffd\ufffd"


def test_baselines_that_were_judged_by_a_part_say_so_in_report_and_card() -> None:
    whole = example_runs.finished()
    part = replace(whole, foreseen={**whole.foreseen, "baseline_bytes": 42_000.0})
    said = {"en": "the first 42 KB of", "zh": "开头的 42 KB"}
    for facts, expected in ((whole, False), (replace(whole, foreseen={"baseline_bytes": 4e6}), False), (part, True)):
        page = Page(render(facts))
        for language, words in said.items():
            assert (words in page.shown[language]) is expected
            assert (words in card(facts)) is expected
