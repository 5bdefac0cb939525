"""Metrics of texts and of labels against naive twins, and against the tools whose names they bear; what a tuned model has to beat."""

import math
import re
import string
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import sklearn.model_selection
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from newleaf.evaluation import rivals
from newleaf.evaluation.labels import calibration_error, confusion, label_figures, macro_f1
from newleaf.evaluation.metrics import (
    common_subsequence,
    exact_match,
    f1,
    figure,
    mean,
    normal,
    rouge_l,
    words,
)
from newleaf.evaluation.rivals import certain, majority, tfidf

# words in common --------------------------------------------------------------------------------------------------------

few_words = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12)
texts = st.text(st.sampled_from("the a an cat Dog, 北京。.\t-"), max_size=30)


def common_subsequence_slowly(first: Sequence[str], second: Sequence[str]) -> int:
    """The table of Wagner and Fischer, cell by cell."""
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@given(few_words, few_words)
def test_common_subsequence_equals_its_slow_twin(first: list[str], second: list[str]) -> None:
    assert common_subsequence(first, second) == common_subsequence_slowly(first, second)


@pytest.mark.parametrize("length", [31, 64, 65, 500])
def test_common_subsequence_equals_its_slow_twin_on_long_texts(length: int) -> None:
    random = np.random.default_rng(length)
    first, second = ([str(word) for word in random.integers(0, 9, size)] for size in (length, length + 7))
    assert common_subsequence(first, second) == common_subsequence_slowly(first, second)


@given(few_words, few_words)
def test_rouge_l_is_the_harmonic_mean_of_precision_and_recall(first: list[str], second: list[str]) -> None:
    common = common_subsequence_slowly(first, second)
    expected = float(first == second)
    if common:
        precision, recall = common / len(first), common / len(second)
        expected = 2 * precision * recall / (precision + recall)
    assert rouge_l(" ".join(first), " ".join(second)) == pytest.approx(expected)


@given(texts, texts)
def test_measures_of_two_texts_are_between_none_and_all(first: str, second: str) -> None:
    for metric in (exact_match, f1, rouge_l):
        assert 0 <= metric(first, second) <= 1
        assert metric(first, second) == metric(second, first)
        assert metric(first, first) == 1
    assert exact_match(first, second) <= f1(first, second)


@pytest.mark.parametrize(
    ("written", "wanted", "exact", "shared"),
    [
        ("The Eiffel Tower", "eiffel tower", 1, 1),
        ("the  cat\nsat.", "A cat, sat!", 1, 1),
        ("in 1969", "1969", 0, 2 / 3),
        ("Denver Broncos", "The Denver Broncos", 1, 1),
        ("gold gold gold", "gold medal", 0, 2 / 5),  # of three times gold only one is right
        ("Saint Bernadette Soubirous", "Bernadette", 0, 1 / 2),
        ("nothing at all", "something else", 0, 0),
        ("well-known", "wellknown", 1, 1),
        ("", "something", 0, 0),
        ("the", "an", 1, 1),  # nothing is left of either
        ("北京大学", "北京", 0, 2 / 3),
        ("《红楼梦》。", "红楼梦", 1, 1),
    ],
)
def test_answers_are_compared_as_by_the_script_of_squad(written: str, wanted: str, exact: float, shared: float) -> None:
    assert exact_match(written, wanted) == exact
    assert f1(written, wanted) == pytest.approx(shared)


def normalize_answer(text: str) -> str:
    """The function of this name in SQuAD's evaluate-v2.0.py: lower case, then no punctuation, then no articles, then single spaces."""
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


@pytest.mark.parametrize("text", ["U.S.A.", "USA", "an A-frame", "A.", "the-cat", "vitamin a-b", "rock'n'a'roll", "(The) end", "a/the/an"])
def test_punctuation_goes_before_the_articles_as_in_the_script_of_squad(text: str) -> None:
    assert normal(text) == normalize_answer(text).split()


@given(st.text(st.sampled_from("aAnthe.-' bc"), max_size=20))
def test_english_is_normalised_as_by_the_script_of_squad(text: str) -> None:
    assert normal(text) == normalize_answer(text).split()


def test_a_chinese_character_is_a_word_and_so_is_what_stands_between_spaces() -> None:
    assert words("他用Python3写 hello-world，好。") == ["他", "用", "Python3", "写", "hello-world，", "好", "。"]
    assert words(" \n\t") == []


# figures ----------------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30))
def test_standard_error_of_a_mean_is_that_of_the_books(values: list[float]) -> None:
    middle = math.fsum(values) / len(values)
    variance = math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1)
    found = mean(values)
    assert found.value == pytest.approx(middle, abs=1e-9)
    assert found.stderr == pytest.approx(math.sqrt(variance / len(values)), rel=1e-6, abs=1e-9)


def test_one_value_has_no_standard_error() -> None:
    assert mean([0.25]).as_json() == {"value": 0.25, "stderr": None}


@pytest.mark.parametrize("name", ["exact_match", "f1", "rouge_l"])
def test_the_best_of_several_right_answers_counts(name: str) -> None:
    found = figure(name, ["Paris", "red"], [["London", "Paris"], ["blue"]])
    assert found == mean([1.0, 0.0])


ENGLISH = ["The cat sat on the mat.", "It rained all day, and nobody went out.", "She sells sea shells.", "I don't know."]
ENGLISH_WRITTEN = ["The cat sat on a mat.", "It rained the whole day and nobody left.", "She sells shells by the sea.", "I don't know."]
CHINESE = ["今天天气很好，我们去公园散步。", "他在北京大学学习计算机。", "请把窗户关上。", "我不知道他什么时候回来。"]
CHINESE_WRITTEN = ["今天天气不错，我们去公园走走。", "他在北京大学读计算机专业。", "请关上窗户。", "我不知道他什么时候回来。"]
LANGUAGES = pytest.mark.parametrize(
    ("written", "wanted", "tokens"), [(ENGLISH_WRITTEN, ENGLISH, "13a"), (CHINESE_WRITTEN, CHINESE, "zh")], ids=["English", "Chinese"]
)


@LANGUAGES
def test_chrf_and_bleu_are_those_of_sacrebleu(written: list[str], wanted: list[str], tokens: str) -> None:
    answers = [[answer] for answer in wanted]
    assert figure("chrf", written, answers).value == CHRF().corpus_score(written, [wanted]).score
    assert figure("bleu", written, answers).value == BLEU(tokenize=tokens).corpus_score(written, [wanted]).score
    assert 10 < figure("bleu", written, answers).value < 100


@LANGUAGES
def test_texts_may_have_different_numbers_of_right_answers(written: list[str], wanted: list[str], tokens: str) -> None:
    answers = [[wanted[0], written[1], wanted[2]], [wanted[1]], [wanted[2], written[2]], [wanted[3]]]
    theirs: list[Any] = [[each[number] if number < len(each) else None for each in answers] for number in range(3)]
    assert figure("chrf", written, answers).value == pytest.approx(CHRF().corpus_score(written, theirs).score, rel=1e-12)
    assert figure("bleu", written, answers).value == pytest.approx(BLEU(tokenize=tokens).corpus_score(written, theirs).score, rel=1e-12)


@pytest.mark.parametrize("name", ["chrf", "bleu"])
@LANGUAGES
def test_what_is_right_to_the_letter_has_a_hundred_points(name: str, written: list[str], wanted: list[str], tokens: str) -> None:
    found = figure(name, wanted, [[answer] for answer in wanted])
    assert found.value == pytest.approx(100) and found.stderr == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", ["chrf", "bleu"])
def test_standard_error_of_a_metric_of_all_texts_comes_from_drawing_them_again(name: str) -> None:
    answers = [[answer] for answer in ENGLISH * 9]
    found, fewer = figure(name, ENGLISH_WRITTEN * 9, answers), figure(name, ENGLISH_WRITTEN, answers[:4])
    assert found == figure(name, ENGLISH_WRITTEN * 9, answers)
    assert found.stderr is not None and fewer.stderr is not None
    assert fewer.stderr > found.stderr > 0
    assert figure(name, ENGLISH_WRITTEN[:1], answers[:1]).stderr is None


@pytest.mark.parametrize("name", ["exact_match", "f1", "rouge_l", "chrf", "bleu"])
def test_who_writes_nothing_has_no_points(name: str) -> None:
    assert figure(name, [""] * 4, [[answer] for answer in ENGLISH]).value == 0


# labels -----------------------------------------------------------------------------------------------------------------


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """(labels (N), log-probabilities (N, labels))"""
    num_labels, number = draw(st.integers(2, 6)), draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 10_000)))
    scores = random.normal(size=(number, num_labels)) * draw(st.floats(0.1, 5))
    return random.integers(0, num_labels, number), scores - np.log(np.exp(scores).sum(1, keepdims=True))


@given(judged())
def test_figures_of_labels_are_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = case
    found, figures = scores.argmax(1), label_figures(labels, scores)
    assert figures["accuracy"]["value"] == pytest.approx(sklearn.metrics.accuracy_score(labels, found))
    there = np.unique(labels)  # a label that no text has would count as one that is never found
    expected = sklearn.metrics.f1_score(labels, found, labels=there, average="macro", zero_division=0.0)
    assert figures["macro_f1"]["value"] == pytest.approx(expected)
    assert 0 <= figures["calibration_error"]["value"] <= 1


@given(judged())
def test_confusion_is_that_of_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = case
    num_labels = scores.shape[1]
    table = confusion(labels, scores.argmax(1), num_labels)
    assert np.array_equal(table, sklearn.metrics.confusion_matrix(labels, scores.argmax(1), labels=range(num_labels)))


def test_rows_of_a_confusion_are_labels_and_its_columns_what_was_found() -> None:
    table = confusion(np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 0, 2, 2]), 4)
    assert table.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    assert macro_f1(table) == pytest.approx((1 / 2 + 2 / 3 + 4 / 5) / 3)


def test_a_label_that_the_model_has_no_score_for_is_never_found() -> None:
    figures = label_figures(np.array([0, 1, 2, 2]), np.log(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3]])))
    assert figures["accuracy"]["value"] == 0.5
    assert figures["macro_f1"]["value"] == pytest.approx((2 / 4 + 1 + 0) / 3)


def test_calibration_error_is_that_of_an_example_by_hand() -> None:
    right = np.array([True, False, True, False, False])
    confidence = np.array([0.95, 0.95, 0.55, 0.65, 0.62])
    # two are in the bin from 0.9, half of them right; one from 0.5, right; two from 0.6, of a mean of 0.635, none right
    expected = 2 / 5 * abs(0.5 - 0.95) + 1 / 5 * abs(1 - 0.55) + 2 / 5 * abs(0 - 0.635)
    assert calibration_error(right, confidence) == pytest.approx(expected)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_who_is_always_certain_is_off_by_all_errors(share: float) -> None:
    right = np.arange(10) < round(share * 10)
    assert calibration_error(right, np.ones(10)) == pytest.approx(1 - share)


def test_whose_confidence_is_the_accuracy_is_calibrated() -> None:
    assert calibration_error(np.array([True] * 3 + [False]), np.full(4, 0.75)) == pytest.approx(0)


# rivals -----------------------------------------------------------------------------------------------------------------

EASY: dict[str, dict[str, tuple[list[str], list[str]]]] = {
    "English": {
        "good": (["a lovely film", "what a great story", "really great acting"], ["a great and lovely story", "great film"]),
        "bad": (["a dull film", "what an awful story", "really awful acting", "so dull and long"], ["an awful, dull story", "awful film"]),
    },
    "Chinese": {
        "好评": (["非常好看，喜欢", "很喜欢这部电影", "好看极了"], ["这部电影好看，我喜欢", "喜欢"]),
        "差评": (["非常难看，无聊", "很无聊的一部电影", "难看极了", "太无聊了"], ["这部电影难看，无聊", "无聊"]),
    },
    "three labels": {
        "sport": (["the team won the match", "a goal in the last minute", "the coach and the team"], ["the match and the goal"]),
        "food": (["bake the bread slowly", "soup with fresh bread", "salt the soup"], ["bread and soup"]),
        "sky": (["the moon and a comet", "stars around the moon", "a comet among stars", "stars"], ["a comet by the stars"]),
    },
}


def rows(sets: dict[str, tuple[list[str], list[str]]], part: int) -> tuple[list[str], list[str]]:
    """(texts, labels) to learn from (0), or to be judged by (1)."""
    pairs = [(text, label) for label, parts in sets.items() for text in parts[part]]
    return [text for text, _ in pairs], [label for _, label in pairs]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("sets", EASY.values(), ids=EASY)
def test_tfidf_beats_the_most_frequent_label(sets: dict[str, tuple[list[str], list[str]]], times: int) -> None:
    names = sorted(sets)
    (texts, labels), (test, wanted) = rows(sets, 0), rows(sets, 1)
    ids = np.array([names.index(label) for label in wanted])
    said = tfidf(texts * times, labels * times, names, test)
    assert said.shape == (len(test), len(names))
    np.testing.assert_allclose(np.exp(said).sum(1), 1)
    most = label_figures(ids, certain([names.index(majority(labels))] * len(test), len(names)))
    assert label_figures(ids, said)["accuracy"]["value"] == 1 > most["accuracy"]["value"]


@pytest.mark.parametrize("sets", EASY.values(), ids=EASY)
def test_tfidf_knows_a_label_that_one_example_alone_has(sets: dict[str, tuple[list[str], list[str]]]) -> None:
    names = ["zebra", *sorted(sets)]  # scores stand in the order of the names, not of the alphabet
    texts, labels = rows(sets, 0)
    said = tfidf([*texts, "a zebra with stripes"], [*labels, "zebra"], names, ["zebra stripes", *rows(sets, 1)[0]])
    assert np.isfinite(said).all()
    np.testing.assert_allclose(np.exp(said).sum(1), 1)
    assert said[0].argmax() == 0
    assert [names[place] for place in said[1:].argmax(1)] == rows(sets, 1)[1]


def test_tfidf_holds_a_label_for_impossible_that_no_example_has() -> None:
    (texts, labels), names = rows(EASY["Chinese"], 0), ["差评", "中评", "好评"]
    said = tfidf(texts, labels, names, ["喜欢", "无聊"])
    assert said.argmax(1).tolist() == [2, 0]
    assert np.isneginf(said[:, 1]).all()


def test_of_a_file_that_is_sorted_by_label_the_strength_is_chosen_on_all_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[set[str]]()
    real = sklearn.model_selection.cross_val_score
    monkeypatch.setattr(rivals, "MOST_COMPARED", 20)
    monkeypatch.setattr(
        sklearn.model_selection, "cross_val_score", lambda model, x, y, cv: (seen.append(set(y)), real(model, x, y, cv=cv))[1]
    )
    texts, labels = rows({name: (texts * 20, []) for name, (texts, _) in EASY["English"].items()}, 0)
    tfidf(texts, labels, ["bad", "good"], texts)
    assert seen and all(each == {"bad", "good"} for each in seen)


def test_tfidf_finds_the_same_each_time() -> None:
    texts, labels = rows(EASY["English"], 0)
    first, second = (tfidf(texts * 3, labels * 3, ["bad", "good"], texts, seed=1) for _ in range(2))
    assert np.array_equal(first, second)


def test_tfidf_reads_words_where_texts_have_spaces() -> None:
    """Both texts have the same runs of up to three characters, and the same words: only pairs of words tell."""
    texts = ["ab1ab ab2ab x", "ab2ab ab1ab x"] * 9
    said = tfidf(texts, ["first", "second"] * 9, ["first", "second"], texts[:2])
    assert said.argmax(1).tolist() == [0, 1]


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["x", "y", "z"]), min_size=1))
def test_the_majority_is_the_most_frequent_label(labels: list[str]) -> None:
    assert labels.count(majority(labels)) == max(labels.count(label) for label in labels)


def test_who_is_certain_of_a_label_gives_the_others_no_chance() -> None:
    assert np.exp(certain([2, 0], 3)).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert label_figures(np.array([2, 1]), certain([2, 0], 3))["calibration_error"]["value"] == 0.5


def test_the_libraries_of_the_metrics_are_installed_where_tests_run() -> None:
    from newleaf.evaluation import metrics

    assert rivals.installed() and all(metrics.installed(name) for name in (*metrics.EACH, *metrics.TOGETHER))
