"""What a model writes is judged by what stands where, and every place that it begins at is the held-out text's own."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import text

import newleaf
from newleaf.batches.examples import Examples
from newleaf.evaluation.originality import (
    PROMPT_TOKENS,
    SAMPLE_TOKENS,
    continuations,
    distinct,
    openings,
    originality,
    repetition,
)
from newleaf.evaluation.written import Answer, answers_of_its_own
from newleaf.generation.engine import Engine
from newleaf.generation.settings import Sampling
from newleaf.jobs.writing import SEARCH_SHARE, WRITING_SHARE, Writing
from newleaf.runs import Run
from newleaf.training.clock import Stopwatch
from newleaf.training.prepare import open_data

PIECES = st.lists(st.lists(st.integers(0, 2), max_size=12), max_size=4)


def repetition_slowly(pieces: list[list[int]], length: int) -> float | None:
    seen = again = 0
    for piece in pieces:
        phrases = [tuple(piece[at : at + length]) for at in range(len(piece) - length + 1)]
        seen += len(phrases)
        again += sum(phrase in phrases[:at] for at, phrase in enumerate(phrases))
    return again / seen if seen else None


def distinct_slowly(pieces: list[list[int]], length: int) -> float | None:
    grams = [tuple(piece[at : at + length]) for piece in pieces for at in range(len(piece) - length + 1)]
    return len(set(grams)) / len(grams) if grams else None


@given(pieces=PIECES, length=st.integers(1, 4))
def test_repetition_and_variety_are_those_of_their_slow_twins(pieces: list[list[int]], length: int) -> None:
    arrays = [np.array(piece, np.int64) for piece in pieces]
    for fast, slow in ((repetition, repetition_slowly), (distinct, distinct_slowly)):
        expected = slow(pieces, length)
        assert fast(arrays, length) == (None if expected is None else pytest.approx(expected))


EOT = 0


@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=12), most=st.integers(1, 9), context=st.sampled_from([2, 16, 64, 256, 2048])
)
def test_no_held_out_token_counts_twice_and_no_piece_leaves_its_document(lengths: list[int], most: int, context: int) -> None:
    ids = iter(range(1, 10**6))  # every token another one
    held_out = np.array([EOT, *(token for length in lengths for token in [*(next(ids) for _ in range(length)), EOT])])
    found = openings(held_out, EOT, context, most)
    assert 1 <= len(found) <= most
    pieces = [[*place.prompt, *place.follows.tolist()] for place in found]
    flat = [token for piece in pieces for token in piece]
    assert EOT not in flat
    assert len(flat) == len(set(flat))
    spelled = held_out.tolist()
    for place, piece in zip(found, pieces, strict=True):
        assert len(place.prompt) <= min(PROMPT_TOKENS, context // 4)
        assert len(place.follows) <= SAMPLE_TOKENS
        if piece:
            start = spelled.index(piece[0])
            assert spelled[start : start + len(piece)] == piece


def test_a_document_that_begins_near_is_begun_at() -> None:
    held_out = np.array([EOT, *([5] * 200), EOT, *range(1000, 1900), EOT])
    begun = [place.prompt[0] for place in openings(held_out, EOT, 256, 3)]
    assert 1000 in begun


def test_samples_are_those_of_the_engine_with_their_number_as_seed(trained: Path) -> None:
    model, data = newleaf.load(trained), open_data(Run(trained), verify=False)
    places = openings(data.val, data.tokenizer.end_of_text, model.config.context, 3)
    first, second = (list(continuations(model.decoder, model.tokenizer, places, 5)) for _ in range(2))
    assert [ids.tolist() for ids, _ in first] == [ids.tolist() for ids, _ in second]
    engine = Engine(model.decoder, model.tokenizer)
    prompts = [[data.tokenizer.end_of_text], places[1].prompt, places[2].prompt, places[0].prompt, [data.tokenizer.end_of_text]]
    for number, prompt in enumerate(prompts):
        assert first[number][0].tolist() == engine.generate(prompt, Sampling(max_tokens=SAMPLE_TOKENS, seed=number))[0].ids


def test_what_is_copied_is_told_with_its_text_and_beside_it_what_people_wrote(trained: Path) -> None:
    data = open_data(Run(trained), verify=False)
    training = data.train[0 : len(data.train)].astype(np.int64)
    mixed = np.concatenate([training[100:140], training[300:310]])
    found = originality([mixed], [training[50:60]], data.train, data.tokenizer)
    assert found is not None
    assert found["longest_copy"] >= 40
    assert 0 < found["copied_share"] < 1
    assert found["longest_text"] == data.tokenizer.decode(training[100:140].tolist()).strip("\ufffd")
    assert (found["held_out"]["copied_share"], found["held_out"]["longest_copy"], found["tokens"]) == (None, 10, 50)
    assert originality([np.zeros(0, np.int64)], [], data.train, data.tokenizer) is None


def test_answers_are_compared_with_answers_and_not_with_questions(trained: Path) -> None:
    tokenizer = newleaf.load(trained).tokenizer
    none = np.zeros(0, np.int64)
    ids, answers = np.arange(10, 30), np.array([False] * 10 + [True] * 10)
    examples = Examples(ids, answers, np.array([0, 20]), none, none)
    told = {}
    for name, written in (("question", list(range(10, 20))), ("answer", list(range(20, 30))), ("both", list(range(15, 25)))):
        found = answers_of_its_own([Answer("", written, True)], tokenizer, examples, [0], examples)
        assert found is not None
        told[name] = found["longest_copy"]
    assert told == {"question": 0, "answer": 10, "both": 5}


def test_a_run_that_has_a_clock_writes_no_longer_than_its_share(trained: Path) -> None:
    model, data = newleaf.load(trained), open_data(Run(trained), verify=False)
    ticks = iter(range(1000))

    class Slow(Stopwatch):  # a second for each look at it
        def __call__(self) -> float:
            return float(next(ticks))

    counted: list[int] = []
    writing = Writing(data, 6 / WRITING_SHARE, Slow(0.0, 0.0))  # six seconds
    assert writing.compared(model.decoder, counted.append) is not None
    assert len(counted) == 6  # a seventh would end after seven seconds
    assert writing.seconds() == pytest.approx(6, abs=0.01)
    writing.token_seconds = 1e-6
    assert writing.seconds() < 0.02
    assert Writing(data, 0.001, Slow(0.0, 0.0)).searched_tokens == int(SEARCH_SHARE * 0.001 * 10_000_000) == 30


def test_the_same_run_in_steps_has_the_same_figures_and_they_are_in_report_and_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text(text(200), "utf-8")
    shape = {"model.width": 64, "model.depth": 1, "model.context": 64, "train.batch_tokens": 128, "train.threads": 1}
    first, second = (newleaf.train("a.txt", out=out, steps=4, settings=shape) for out in ("one", "two"))
    assert first["originality"] == second["originality"] == json.loads(Path("one/summary.json").read_text("utf-8"))["originality"]
    assert first["originality"]["tokens"] > 100
    sentence = "of what it writes stands word for word in the training text"
    assert sentence in Path("one/report.html").read_text("utf-8")
    assert sentence in Path("one/README.md").read_text("utf-8")
