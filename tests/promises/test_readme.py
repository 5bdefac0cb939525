"""The README says what is there: its commands, its tree, its Python, its links; and both languages say the same."""

import ast
import re
from pathlib import Path

import pytest
from pages import GUIDES, PAGES, READMES, ROOT, blocks, commands, headings, named, tree

import newleaf
from newleaf.cli.main import LATER, app
from newleaf.cli.words import check_settings
from newleaf.jobs.loaded import Model

SOURCE = Path(newleaf.__file__).parent
VERBS = ("train", "plan", "tune", "augment", "generate", "chat", "evaluate", "export", "verify")
WITH_COMMANDS = [*READMES, ROOT / "CONTRIBUTING.md", *GUIDES]


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=named)
def test_every_newleaf_line_can_be_parsed(page: Path) -> None:
    for _, *words in commands(page, "newleaf"):
        check_settings(words)
        command, bound, unused, *_ = app.parse_known_args(words)
        assert command.__name__ == words[0], words
        assert not [*unused, *(value for value in bound.arguments.values() if str(value).startswith("--"))], words


def test_newleaf_lines_are_found() -> None:
    assert len(commands(ROOT / "README.md", "newleaf")) >= 5


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=named)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert {words[1] for words in commands(page, "make")} <= set(targets)


def test_the_first_two_commands_are_the_demo_and_the_tests() -> None:
    for page in READMES:
        assert [words[1] for words in commands(page, "make")][:2] == ["demo", "test"]
        assert blocks(page, "sh")[0].startswith("make demo")


@pytest.mark.parametrize("page", READMES, ids=named)
def test_the_table_of_verbs_is_the_verbs_that_there_are(page: Path) -> None:
    assert re.findall(r"^\| `newleaf (\w+)` \|", page.read_text("utf-8"), re.M) == list(VERBS)
    assert {name for name in app if not name.startswith("-")} == set(VERBS)


@pytest.mark.parametrize("page", READMES, ids=named)
def test_the_verbs_that_are_not_there_are_the_ones_it_says(page: Path) -> None:
    line = next(line for line in page.read_text("utf-8").splitlines() if "`doctor`" in line)
    assert set(re.findall(r"`(\w+)`", line)) == set(LATER)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_verbs_in_the_prose_exist(page: Path) -> None:
    assert set(re.findall(r"`newleaf ([a-z]+)", page.read_text("utf-8"))) <= set(VERBS)


@pytest.mark.parametrize("page", READMES, ids=named)
def test_the_tree_is_the_source(page: Path) -> None:
    there = {path.name for path in SOURCE.iterdir() if not path.name.startswith("__")} - {"version.py"}
    assert set(tree(page, "src/newleaf/")) == there


@pytest.mark.parametrize("page", READMES, ids=named)
def test_its_python_uses_what_newleaf_has(page: Path) -> None:
    (program,) = blocks(page, "python")
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.attr in (newleaf.__all__ if node.value.id == "newleaf" else dir(Model)), ast.unparse(node)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8"))
    assert not [target for target in targets if "://" not in target and not (page.parent / target.split("#")[0]).exists()]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_placeholder_is_left(page: Path) -> None:
    assert not re.findall(r"<<[A-Z_]+>>", page.read_text("utf-8"))


def test_both_languages_have_the_same_sections_and_commands() -> None:
    english, chinese = READMES
    assert headings(english) == headings(chinese)
    for program in ("make", "newleaf"):
        assert [shape(words) for words in commands(english, program)] == [shape(words) for words in commands(chinese, program)]
    assert tree(english, "runs/poems/") == tree(chinese, "runs/poems/")


def shape(words: list[str]) -> list[str]:
    """A command without its prompt, which each language has of its own."""
    return words[:3] if words[1] == "generate" else words
