"""Passages found by their questions: scores are what their formulas say, and the suite puts the model beside them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import newleaf
from newleaf.cli.main import run
from newleaf.evaluation import search
from newleaf.evaluation.choice import Item

PASSAGES = ["the leaf is green", "the wood is old and the wood is dry", "春天的新叶是绿的"]


def test_bm25_is_what_its_formula_says() -> None:
    found = search.bm25(["wood leaf"], PASSAGES)
    terms = [search.terms(passage) for passage in PASSAGES]
    mean = np.mean([len(each) for each in terms])
    for place, each in enumerate(terms):
        expected = 0.0
        for term in search.terms("wood leaf"):
            there, often = sum(term in other for other in terms), each.count(term)
            frequency = math.log(1 + (len(terms) - there + 0.5) / (there + 0.5))
            expected += frequency * often * 2.2 / (often + 1.2 * (0.25 + 0.75 * len(each) / mean))
        assert found[0, place] == pytest.approx(expected)


def test_each_question_finds_its_passage_by_its_words() -> None:
    items = [Item("how is the wood?", (PASSAGES[1],)), Item("什么叶是绿的", (PASSAGES[2],)), Item("a leaf", (PASSAGES[0],))]
    found = search.measured(lambda texts: np.ones((len(texts), 1)), items)
    assert found["rivals"]["bm25"]["recall_at_1"]["value"] == found["rivals"]["tf-idf"]["recall_at_1"]["value"] == 1
    assert found["recall_at_1"]["value"] == 0 and found["recall_at_10"]["value"] == 1  # who cannot tell them apart finds none


def test_a_model_embeds_alone_and_among_longer_texts_alike(trained: Path) -> None:
    model = newleaf.load(trained)
    together = model.embed(["spring", "a leaf " * 30, "春天"])
    for place, text in enumerate(["spring", "a leaf " * 30, "春天"]):
        ids = model.tokenizer.prompt(text)[: model.config.context]
        alone = model.embed([text])[0]
        np.testing.assert_allclose(together[place], alone, atol=1e-5)
        assert float(alone.norm()) == pytest.approx(1, abs=1e-5) and len(alone) == model.config.width and ids


def test_a_suite_searches_in_squad_s_files(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [{"question": f"what of {text[:8]}?", "answers": [{"text": text[:3], "answer_start": 0}]} for text in PASSAGES]
    data = [{"paragraphs": [{"context": text, "qas": [each]}]} for text, each in zip(PASSAGES, asked, strict=True)]
    (tmp_path / "squad.json").write_text(json.dumps({"data": data}), "utf-8")
    (tmp_path / "find.toml").write_text('[[task]]\nname = "find"\nkind = "search"\nfiles = "squad.json"\n', "utf-8")
    assert run(["evaluate", str(trained), "--suite", str(tmp_path / "find.toml"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["find"]
    assert found["items"] == 3 and 0 <= found["recall_at_1"]["value"] <= found["recall_at_10"]["value"] == 1
    assert found["rivals"]["bm25"]["recall_at_1"]["value"] == 1
    assert run(["evaluate", str(trained), "--suite", str(tmp_path / "find.toml")]) == 0
    assert "BM25" in capsys.readouterr().out
