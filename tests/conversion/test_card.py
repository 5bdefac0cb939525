"""The model card: readable by a hub, in both languages, and not to be broken out of by any text."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from evaluation import example_runs
from evaluation.example_runs import ATTACK
from markdown_it import MarkdownIt

from newleaf.conversion.card import card, escape, fenced, write_card
from newleaf.conversion.facts import RunFacts, read_facts

RUNS = {
    "finished": example_runs.finished(),
    "chinese": example_runs.finished("zh"),
    "unfinished": example_runs.unfinished(),
    "overfitted": example_runs.overfitted(),
    "empty": example_runs.empty(),
    "hostile": example_runs.hostile(),
}
FENCES = ["```", "````\n```", "```text\n```\n# heading", "`" * 40, "a ` b `` c", "~~~", "\n```\n\n<script>", "\r```\r"]


@pytest.fixture(params=RUNS, ids=list(RUNS))
def run(request: pytest.FixtureRequest) -> RunFacts:
    return RUNS[request.param]


def body(text: str) -> str:
    return text.split("\n---\n", 1)[1]


def test_front_matter_is_yaml_that_a_hub_reads(run: RunFacts) -> None:
    yaml = pytest.importorskip("yaml")
    fields = yaml.safe_load(card(run).split("---\n")[1])
    assert (fields["pipeline_tag"], fields["library_name"]) == ("text-generation", "transformers")
    assert "newleaf" in fields["tags"]


def test_language_is_that_of_the_letters() -> None:
    yaml = pytest.importorskip("yaml")
    assert [yaml.safe_load(card(RUNS[name]).split("---\n")[1])["language"] for name in ("finished", "chinese")] == [["en"], ["zh"]]


def test_the_figure_for_machines_is_the_held_out_one() -> None:
    yaml = pytest.importorskip("yaml")
    fields = yaml.safe_load(card(RUNS["overfitted"]).split("---\n")[1])
    assert fields["model-index"][0]["results"][0]["metrics"][0]["value"] == 2.44


def test_both_languages_have_every_section(run: RunFacts) -> None:
    headings = re.findall(r"^#+ (.+)$", body(card(run)), re.MULTILINE)
    english, chinese = (
        ["English", "Text", "Figures", "Settings", "Samples", "Limits", "Use"],
        ["中文", "文本", "成绩", "设置", "样本", "局限", "使用"],
    )
    assert [heading for heading in headings if heading in english] == english
    assert [heading for heading in headings if heading in chinese] == chinese


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_language_asked_for_comes_first(lang: str) -> None:
    text = card(replace(RUNS["finished"], lang=lang))
    assert (text.index("## English") < text.index("## 中文")) is (lang == "en")


def test_no_text_becomes_markup(run: RunFacts) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(body(card(run)))
    inline = [child for token in tokens for child in token.children or []]
    assert not [token.content for token in (*tokens, *inline) if token.type in ("html_block", "html_inline", "image")]
    links = [token.attrs["href"] for token in inline if token.type == "link_open"]
    assert links == ["#english", "#%E4%B8%AD%E6%96%87"]


@pytest.mark.parametrize("text", [*FENCES, ATTACK])
def test_no_sample_leaves_its_fence(text: str) -> None:
    run = replace(RUNS["finished"], samples=[{"step": 1, "prompt": "", "text": text}])
    blocks = [token.content for token in MarkdownIt("commonmark").parse(body(card(run))) if token.type == "fence"]
    assert len(blocks) == 4  # a sample and a program, in each language
    assert blocks[0] == blocks[2] and blocks[0].split() == re.sub("[\x00\u202e\ud800]", " ", text).split()


@pytest.mark.parametrize("text", FENCES)
def test_a_fence_is_longer_than_any_inside(text: str) -> None:
    (block,) = MarkdownIt("commonmark").parse(fenced(text))
    assert block.content.split() == text.split()


@pytest.mark.parametrize("text", ["*a* _b_ [c](d) <e> `f` | g", "# h", "- i", "1. j & k; \\l ~m~ $n$", "https://o.example", "![p](q)"])
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    page = f"# {escape(text)}\n\n| {escape(text)} | 1 |\n|---|---|\n"
    heading, cell, _ = [token for token in MarkdownIt("commonmark").enable("table").parse(page) if token.type == "inline"]
    for shown in (heading.children, cell.children):
        assert "".join(child.content for child in shown or []) == text
        assert all(child.type in ("text", "text_special") for child in shown or [])


def test_the_card_warns_of_the_data_folder_and_says_how_to_load() -> None:
    text = card(RUNS["finished"])
    assert "Share the export, not the run" in text and "请分享导出的模型" in text
    assert 'AutoModelForCausalLM.from_pretrained(".")' in text and "newleaf generate ." in text


@pytest.mark.parametrize(
    ("task", "command", "warned"),
    [
        ("chat", "newleaf chat .", "what its examples show"),
        ("qa", "newleaf evaluate . FILE", "what its examples show"),
        ("complete", "newleaf chat .", "what its examples show"),
        ("classify", "newleaf evaluate . FILE", "watch the probability"),
        ("", 'newleaf generate . "PROMPT"', "is not a chat assistant"),
    ],
)
def test_a_tuned_model_is_opened_by_what_it_was_tuned_for(task: str, command: str, warned: str) -> None:
    run = RUNS["finished"]
    text = card(replace(run, summary={**run.summary, "task": task}))
    assert f"Or with newleaf: `{command}`" in text and warned in text
    assert ("chat assistant" in text) == (not task)


def test_the_last_step_is_told_from_the_best() -> None:
    assert "| its last step, which is not this file | 2.610 |" in card(RUNS["overfitted"])
    assert "its last step" not in card(RUNS["finished"])


def test_only_known_settings_are_published(run: RunFacts) -> None:
    assert "data.column" not in card(run)


def test_written_into_an_empty_folder_it_equals_the_card_of_its_facts(tmp_path: Path) -> None:
    assert write_card(tmp_path, "zh").read_text("utf-8") == card(read_facts(tmp_path, "zh"))
