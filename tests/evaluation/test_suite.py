"""Suites: what is likely is counted as transformers would, and what a file says wrongly is one sentence."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tokens.foreign_examples import MAKERS

import newleaf
from newleaf.cli.main import run
from newleaf.evaluation import choice
from newleaf.evaluation.choice import Item, ids_of, measured
from newleaf.evaluation.suite import read_suite, shipped
from newleaf.tokens.foreign import load_tokenizer
from newleaf.tokens.tokenizer import Tokenizer
from newleaf.workers import Workers

ITEMS = [
    Item("the leaf is", ("green", "a", "new, and old"), 1, " "),
    Item("春眠不觉晓", ("，处处", "。"), 0),
    Item("", ("spring", "wood"), 1),
]


def test_the_likeliest_choice_is_the_one_that_transformers_finds_likeliest(trained: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model, judge = newleaf.load(trained), transformers.AutoModelForCausalLM.from_pretrained(trained, dtype=torch.float32)
    right, normed = [], []
    for item in ITEMS:
        sums = []
        for prompt, way in item.pairs:
            ids, said = ids_of(model.tokenizer, prompt, way, model.config.context)
            with torch.inference_mode():
                scores = judge(torch.tensor([ids[:-1]])).logits[0].log_softmax(-1)
            sums.append(float(sum(scores[place - 1, ids[place]] for place in range(len(ids) - said, len(ids)))))
        right.append(max(range(len(sums)), key=sums.__getitem__) == item.right)
        lengths = [len(way) for way in item.choices]
        normed.append(max(range(len(sums)), key=lambda n, s=sums, c=lengths: s[n] / c[n]) == item.right)
    found = measured(model.decoder, model.tokenizer, "choice", ITEMS, Workers(1))
    assert found["accuracy"].value == pytest.approx(sum(right) / len(right))
    assert found["accuracy_norm"].value == pytest.approx(sum(normed) / len(normed))


def test_white_space_at_the_end_of_a_prompt_belongs_to_the_choice(trained: Path) -> None:
    tokenizer = newleaf.load(trained).tokenizer
    assert ids_of(tokenizer, "the leaf ", "green", 64) == ids_of(tokenizer, "the leaf", " green", 64)
    ids, said = ids_of(tokenizer, "", "green", 64)
    assert (ids[0], said) == (tokenizer.end_of_text, len(ids) - 1)
    assert len(ids_of(tokenizer, "leaf " * 100, "green", 16)[0]) == 17


def test_lengths_are_those_of_the_choices_in_characters(monkeypatch: pytest.MonkeyPatch, trained: Path) -> None:
    """Without what stands before them, and a character of Chinese is one: 20 nats for 4 characters against 11 for 2."""
    model = newleaf.load(trained)
    nats = np.array([20.0, 11.0]), np.array([False, False])
    monkeypatch.setattr(choice, "log_likelihoods", lambda *arguments: nats)
    figures = measured(model.decoder, model.tokenizer, "choice", [Item("a", ("leaf", "新叶"), 0, " ")], Workers(1))
    assert {name: figure.value for name, figure in figures.items()} == {"accuracy": 0.0, "accuracy_norm": 1.0}
    figures = measured(model.decoder, model.tokenizer, "cloze", [Item("a", ("b",)), Item("c", ("d",))], Workers(1))
    assert figures["perplexity"].value == pytest.approx(math.exp(15.5))


@pytest.mark.parametrize("kind", MAKERS)
def test_without_a_prompt_stands_what_the_model_reads_for_none(kind: str, tmp_path: Path) -> None:
    """The token that a text begins with, if there is one: not always the one that ends it."""
    MAKERS[kind](tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    begin = tokenizer.prompt("")
    assert ids_of(tokenizer, "", "to be", 64) == ([*begin, *tokenizer.encode("to be")], len(tokenizer.encode("to be")))
    assert (begin == [tokenizer.end_of_text]) == (kind not in ("llama3", "llama2"))


def test_a_token_across_the_border_counts_for_nothing_unless_it_is_all() -> None:
    tokenizer = Tokenizer.train(["新叶", "the"] * 40, 300)
    first, second = tokenizer.encode("新"), tokenizer.encode("叶")
    assert len(tokenizer.encode("新叶")) == 1 < len(second), "the two letters are one token"
    ids, said = ids_of(tokenizer, "新", "叶 the", 64)
    assert (ids, said) == ([*first, *tokenizer.encode("新叶 the")[len(first) :]], len(tokenizer.encode("新叶 the")) - len(first))
    assert ids_of(tokenizer, "新", "叶", 64) == ([*first, *second], len(second))
    assert ids_of(tokenizer, "the", "", 64) == ([*tokenizer.encode("the"), tokenizer.end_of_text], 1)


@pytest.mark.parametrize(("said", "expected"), [("", ""), ('delimiter = " "', " ")])
def test_a_pair_begins_with_a_delimiter_only_where_the_suite_says_so(said: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(
        f'[[task]]\nname = "p"\nkind = "pairs"\n{said}\nitems = [{{ sentence_good = "a", sentence_bad = "b" }}]\n'
    )
    [task] = read_suite(str(tmp_path / "p.toml"), None)
    assert [item.pairs for item in task.items()] == [[("", expected + "a"), ("", expected + "b")]]


def test_a_cloze_is_right_where_the_model_would_write_it(trained: Path) -> None:
    model = newleaf.load(trained)
    encode, prompts = model.tokenizer.encode, ("spring", "leaf", "the", "春", "雨", "a", "x", ".", "?")
    written = {prompt: model.generate(prompt, temperature=0, max_tokens=3) for prompt in prompts}
    prompt = next(each for each in prompts if encode(each + written[each])[:-3] == encode(each))  # cut into tokens as it was written
    items = [Item(prompt, (written[prompt],)), Item(prompt, ("\x01\x02",))]
    assert measured(model.decoder, model.tokenizer, "cloze", items, Workers(1))["accuracy"].value == 0.5


@pytest.mark.parametrize("name", ["grammar", "verses"])
def test_suites_without_files_run_anywhere(name: str, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(trained), "--suite", name, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out).values()
    assert found["items"] >= 20
    assert 0 <= found["accuracy"]["value"] <= 1


def test_a_suite_of_ones_own_reads_files_beside_it(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"query": "a", "choices": ["b", "c"], "gold": 0}\n' * 5, "utf-8")
    (tmp_path / "mine.toml").write_text('[[task]]\nname = "q"\nkind = "choice"\nfiles = "q.jsonl"\nmost = 3\n', "utf-8")
    found = newleaf.evaluate(trained, suite=tmp_path / "mine.toml")
    assert (found["q"]["items"], found["q"].keys()) == (3, {"items", "accuracy", "accuracy_norm"})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--column", "a"), "--column says nothing beside --suite (expected columns as the suite names them)."),
        (("one", "two"), "--suite was given 2 folders (expected one, with the files that it names)."),
    ],
)
def test_what_a_suite_does_not_read_is_refused(
    words: tuple[str, ...], sentence: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["evaluate", str(trained), *words, "--suite", "verses"]) == 2
    assert sentence in capsys.readouterr().err


def test_every_suite_that_comes_along_can_be_read() -> None:
    assert shipped() == ["english", "grammar", "pairs", "verses"]
    assert all(read_suite(name, None) for name in shipped())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no [[task]] (expected one or more)."),
        ('[[task]]\nname = "q"\nkind = "quiz"\n', "has the name 'q' and the kind 'quiz' (expected choice or pairs or cloze or search)."),
        ('[[task]]\nname = "q"\nkind = "cloze"\n', "says neither files nor items, or both"),
        ('[[task]]\nname = "q"\nkind = "cloze"\nfile = "a"\n', "says file (expected "),
        ('[[task]]\nname = "q"\nkind = "cloze"\nitems = [{ context = "a" }]\n', "q, item 1 has no column 'continuation'"),
        (
            '[[task]]\nname = "q"\nkind = "choice"\nitems = [{ query = "a", choices = ["b"], gold = 1 }]\n',
            "has the answer 1 (expected 0 to 0).",
        ),
        ('[[task]]\nname = "q"\nkind = "choice"\nitems = [{ query = "a", choices = "b", gold = 0 }]\n', "q, item 1 has no list of choices"),
        ('[[task]]\nname = "q"\nkind = "cloze"\nitems = [1]\n', "q, item 1 is no row with columns (expected context, continuation)."),
        ('[[task]]\nname = "q"\nkind = "cloze"\nitems = 1\n', "has items = 1 (expected a list)."),
        ('[[task]]\nname = "q"\nkind = "cloze"\nfiles = 3\n', "has files = 3 (expected a name, or a list of names)."),
        ('[[task]]\nname = "q"\nkind = "cloze"\nfiles = "a"\nmost = "5"\n', "has most = '5' (expected a whole number from 1 on)."),
        ("task = [1]\n", "has no [[task]] (expected one or more)."),
        ('[[task]]\nname = "q"\nkind = "cloze"\nfiles = "broken.jsonl"\n', "broken.jsonl:2 is no row with columns"),
        ('[[task]]\nname = "q"\nkind = "cloze"\nfiles = "broken.json"\n', "broken.json cannot be read: broken JSON"),
    ],
)
def test_what_a_suite_says_wrongly_is_one_sentence(
    text: str, sentence: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.toml").write_text(text, "utf-8")
    (tmp_path / "broken.jsonl").write_text('{"context": "a", "continuation": "b"}\n{"context": \n')
    (tmp_path / "broken.json").write_text("[1, 2")
    assert run(["evaluate", str(trained), "--suite", str(tmp_path / "mine.toml")]) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]
