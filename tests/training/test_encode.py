"""Examples become what is trained on: split by their hashes, encoded as far as they fit, written, and read as they were written."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text.samples import lines
from tokens.examples import bytes_alone

from newleaf.errors import ShardError, TextError
from newleaf.runs import Run
from newleaf.text.examples import Columns, Conversation, Example, Labelled, Preference, Turns
from newleaf.tokens.foreign import load_tokenizer
from newleaf.tokens.interface import AnyTokenizer
from newleaf.tokens.templates import chat_template
from newleaf.training.encode import Encoder
from newleaf.training.example_data import (
    HELD_OUT,
    HELD_OUT_FROM,
    MOST_HELD_OUT,
    ExampleData,
    as_json,
    content_key,
    files_of,
    from_json,
    label_ids,
    open_examples,
    prepare_examples,
    split,
)
from newleaf.training.prepare import read_manifest, write_manifest
from newleaf.training.tasks import TASKS

ROOMY = 1000
DATA: dict[str, Callable[[int], dict[str, Any]]] = {
    "chat": lambda n: {"messages": [{"role": "user", "content": f"{n} + 1?"}, {"role": "assistant", "content": f"是 {n + 1}"}]},
    "complete": lambda n: {"title": f"题 {n}", "paragraphs": [f"一句 {n}", "又一句"]},
    "qa": lambda n: {"context": f"It is {n}.", "question": "What?", "answer": f"{n}", "answers": [f"{n}", f"it is {n}"]},
    "classify": lambda n: {"premise": f"leaf {n}", "hypothesis": f"叶 {n}", "label": n % 3},
    "prefer": lambda n: {"prompt": f"say {n}", "chosen": f"{n}!", "rejected": "no"},
}


def tokenizer_for(task: str) -> AnyTokenizer:
    """Each byte is a token, so that lengths can be counted."""
    return bytes_alone().with_template(chat_template(bytes_alone(), TASKS[task].words))


def longest(lengths: np.ndarray) -> int:
    return int(lengths.max())


def prepared(
    folder: Path,
    task: str,
    rows: Sequence[object],
    val: Sequence[object] | None = None,
    choose_context: Callable[[np.ndarray], int] = longest,
) -> tuple[dict[str, Any], ExampleData]:
    """(the manifest, what is opened again) of some rows."""
    (folder / "data.jsonl").write_text(lines(list(rows)), "utf-8")
    (folder / "val.jsonl").write_text(lines(list(val or [])), "utf-8")
    run, tokenizer = Run(folder / "run"), tokenizer_for(task)
    files = files_of([str(folder / "data.jsonl")], TASKS[task], Columns(), ())
    held = files_of([str(folder / "val.jsonl")], TASKS[task], Columns(), ()) if val is not None else None
    manifest = prepare_examples(run, TASKS[task], files, held, tokenizer, choose_context, lambda en, zh: None)
    write_manifest(run, manifest)
    written = read_manifest(run)
    assert {name: value for name, value in written.items() if name != "sha256"} == json.loads(json.dumps(manifest))
    return manifest, open_examples(run, written, load_tokenizer(run.path))


def texts(data: ExampleData, part: str, learned: bool) -> list[str]:
    """The text of each row, or what of it is learned."""
    examples = data.train if part == "train" else data.val
    rows = [examples.row(number) for number in range(len(examples.starts) - 1)]
    return [data.tokenizer.decode(ids[answers] if learned else ids) for ids, answers in rows]


def numbered(num: int) -> list[Example]:
    return [Labelled((f"text {number}",), str(number % 2), f"a.jsonl:{number + 1}") for number in range(num)]


# split ------------------------------------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(0, 400), st.randoms(use_true_random=False))
def test_a_tenth_is_held_out_by_its_hash_and_nothing_of_a_handful(num: int, random: Any) -> None:
    """Whatever the order of the files; what is learned stands in it, what is held out in that of the hashes."""
    examples = numbered(num)
    random.shuffle(examples)
    parts = split(examples, None)
    if num < HELD_OUT_FROM:
        assert parts == {"train": examples, "val": examples}
        return
    keys = [content_key(example) for example in parts["val"]]
    assert len(keys) == num // HELD_OUT
    assert keys == sorted(keys)
    assert max(keys) < min(map(content_key, parts["train"]))
    held = set(keys)
    assert parts["train"] == [example for example in examples if content_key(example) not in held]
    assert parts["val"] == split(sorted(examples, key=lambda example: example.source), None)["val"]


@pytest.mark.parametrize(("num", "held_out"), [(91, 0), (100, 10)])
def test_of_conversations_below_a_hundred_nothing_is_held_out(num: int, held_out: int) -> None:
    """A persona is learned by heart: each of its lines says something that no other says."""
    talk: list[Example] = [Conversation((("user", f"{n}?"), ("assistant", "Leaf.")), f"a.jsonl:{n}") for n in range(num)]
    parts = split(talk, None)
    assert len(parts["train"]) == num - held_out
    assert len(parts["val"]) == (held_out or num)


def test_of_very_many_a_thousand_are_held_out() -> None:
    parts = split(numbered(11 * MOST_HELD_OUT), None)
    assert {name: len(part) for name, part in parts.items()} == {"train": 10 * MOST_HELD_OUT, "val": MOST_HELD_OUT}


def test_where_an_example_is_from_does_not_decide_about_it() -> None:
    moved = [replace(example, source="b.jsonl:7") for example in numbered(100)]
    assert list(map(content_key, moved)) == list(map(content_key, numbered(100)))


@pytest.mark.parametrize("num", [3, 200])
def test_what_is_named_to_be_held_out_leaves_training_and_counts_once(num: int) -> None:
    examples, others = numbered(num), [Labelled(("other",), "1", "val.jsonl:2")]
    named = [replace(example, source="val.jsonl:1") for example in examples[:2]]
    parts = split(examples, [*named, *others, *named])
    assert parts["train"] == examples[2:]
    assert sorted(example.texts for example in parts["val"] if isinstance(example, Labelled)) == [("other",), ("text 0",), ("text 1",)]
    assert list(map(content_key, parts["val"])) == sorted(map(content_key, parts["val"]))


# labels -----------------------------------------------------------------------------------------------------------------


def of_labels(*labels: str) -> list[Example]:
    return [Labelled((f"text {number}",), label, f"a.jsonl:{number + 1}") for number, label in enumerate(labels)]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["10", "9", "-1", "0"], ["-1", "0", "9", "10"]),
        (["pos", "neg", "10", "9"], ["10", "9", "neg", "pos"]),
        (["体育", "财经", "a"], ["a", "体育", "财经"]),
        (["2", "1", "2", "1"], ["1", "2"]),
    ],
)
def test_labels_are_numbered_in_their_order_numbers_by_their_size(labels: list[str], expected: list[str]) -> None:
    examples = of_labels(*labels)
    assert label_ids({"train": examples, "val": examples}, named=False) == {label: id for id, label in enumerate(expected)}


@given(st.lists(st.text("-019a٣²", min_size=1, max_size=3), min_size=2, max_size=6, unique=True))
def test_any_words_can_be_labels(labels: list[str]) -> None:
    examples = of_labels(*labels)
    found = label_ids({"train": examples, "val": examples}, named=False)
    assert sorted(found) == sorted(labels)
    assert list(found.values()) == list(range(len(labels)))


@pytest.mark.parametrize("labels", [["x"], ["x", "x", "x"]])
def test_a_single_label_is_refused(labels: list[str]) -> None:
    examples = of_labels(*labels)
    with pytest.raises(TextError, match=r"all examples have the label 'x' \(expected two labels or more\)"):
        label_ids({"train": examples, "val": examples}, named=False)


def test_a_label_that_only_val_has_is_refused_with_its_line(tmp_path: Path) -> None:
    val = [{"text": "c", "label": "good"}, {"text": "d", "label": "odd"}]
    with pytest.raises(TextError) as caught:
        prepared(tmp_path, "classify", [{"text": "a", "label": "good"}, {"text": "b", "label": "bad"}], val)
    place = f"{tmp_path / 'val.jsonl'}:2"
    assert str(caught.value).startswith(f"{place} has the label 'odd', which no training example has (expected bad or good); ")
    assert caught.value.where == place


def test_an_example_that_chance_held_out_goes_back_where_it_alone_has_its_label(tmp_path: Path) -> None:
    examples = numbered(60)
    rare = split(examples, None)["val"][0]
    rows = [
        {"text": example.texts[0], "label": "rare" if example == rare else example.label}
        for example in examples
        if isinstance(example, Labelled)
    ]
    manifest, data = prepared(tmp_path, "classify", rows)
    assert manifest["labels"] == ["0", "1", "rare"]
    assert 2 in data.train.labels
    assert manifest["train"]["num_examples"] + manifest["val"]["num_examples"] == 60


# what does not fit ------------------------------------------------------------------------------------------------------

TALK: Turns = (
    *(("system", "be kind"), ("user", "1+1?"), ("assistant", "2")),
    *(("user", "and three?"), ("assistant", "是五。")),
    *(("user", "?"), ("assistant", "x" * 30)),
)


def test_a_conversation_that_is_too_long_is_cut_at_the_end_of_an_answer() -> None:
    """For every context: as many turns as fit, none where not even the first does. A row has one token more than is read at once."""
    tokenizer = tokenizer_for("chat")
    example = Conversation(TALK)
    [rows] = Encoder(TASKS["chat"], tokenizer).parts([example])
    ends = np.cumsum([len(part.before) + len(part.answer) for part in rows[0]]).tolist()
    [(whole, learned)] = Encoder(TASKS["chat"], tokenizer).fitting(example, rows, ROOMY)
    assert len(whole) == ends[-1]
    assert tokenizer.decode([id for id, counts in zip(whole, learned, strict=True) if counts]) == (
        f"2<|im_end|>是五。<|im_end|>{'x' * 30}<|im_end|>"
    )
    for context in range(1, ends[-1] + 3):
        encoder = Encoder(TASKS["chat"], tokenizer)
        found = encoder.fitting(example, rows, context)
        length = max([end for end in ends if end <= context + 1], default=0)
        assert found == ([(whole[:length], learned[:length])] if length else [])
        assert (encoder.cut, encoder.too_long) == (int(0 < length < ends[-1]), int(length == 0))


def test_what_was_cut_is_kept_as_it_was_learned() -> None:
    """So that a sample shows the question that is answered."""
    encoder, example = Encoder(TASKS["chat"], tokenizer_for("chat")), Conversation(TALK, answers=("y",))
    parts = encoder.parts([example])
    ends = np.cumsum([len(part.before) + len(part.answer) for part in parts[0][0]]).tolist()
    for kept, end in zip((3, 5, 7), ends, strict=True):
        [(found, _)] = encoder.all_fitting([example], parts, end - 1)
        assert found == Conversation(TALK[:kept], answers=("y",) if kept == 7 else ())


@pytest.mark.parametrize(("chosen", "rejected"), [("五", "f" * 30), ("f" * 20 + "ive", "f" * 20 + "our"), ("five!", "five")])
def test_two_answers_are_cut_alike_and_left_out_where_they_do_not_differ_so_far(chosen: str, rejected: str) -> None:
    """For every context, against the whole rows cut as lists; a pair is counted once."""
    example = Preference((*TALK[:3], ("user", "and three?")), chosen, rejected)
    [rows] = Encoder(TASKS["prefer"], tokenizer_for("prefer")).parts([example])
    question = sum(len(part.before) + len(part.answer) for part in rows[0][:-1]) + len(rows[0][-1].before)
    whole = [[id for part in row for id in part.before + part.answer] for row in rows]
    for context in range(1, max(map(len, whole)) + 2):
        encoder = Encoder(TASKS["prefer"], tokenizer_for("prefer"))
        found = encoder.fitting(example, rows, context)
        kept = [ids[: context + 1] for ids in whole]
        assert found == ([] if kept[0] == kept[1] else [(ids, [place >= question for place in range(len(ids))]) for ids in kept])
        assert (encoder.cut, encoder.too_long) == (int(bool(found) and kept != whole), int(not found))


def test_of_a_preference_the_last_answer_alone_is_learned() -> None:
    tokenizer = tokenizer_for("prefer")
    example = Preference((*TALK[:3], ("user", "and three?")), "五", "six")
    encoder = Encoder(TASKS["prefer"], tokenizer)
    [rows] = encoder.parts([example])
    said = [tokenizer.decode([id for id, counts in zip(*row, strict=True) if counts]) for row in encoder.fitting(example, rows, ROOMY)]
    assert said == ["五<|im_end|>", "six<|im_end|>"]


@given(st.text(max_size=40), st.one_of(st.none(), st.text(max_size=40)), st.integers(1, 60))
def test_texts_are_cut_to_their_beginning_and_two_keep_half_each(first: str, second: str | None, context: int) -> None:
    """What one does not need the other has; a line end stands between them."""
    tokenizer = bytes_alone()
    example = Labelled((first,) if second is None else (first, second), "x")
    encoder = Encoder(TASKS["classify"], tokenizer)
    [rows] = encoder.parts([example])
    [(ids, learned)] = encoder.fitting(example, rows, context)
    one, two = tokenizer.prompt(first), [] if second is None else tokenizer.encode(f"\n{second}")
    assert len(ids) == len(learned) == min(context, len(one) + len(two))
    assert not any(learned)
    halves = min(len(one), context // 2), min(len(two), context // 2)
    assert any(one[:kept] + two[: len(ids) - kept] == ids for kept in range(halves[0], len(ids) - halves[1] + 1))
    assert (encoder.cut, encoder.too_long) == (int(len(one) + len(two) > context), 0)


@pytest.mark.parametrize("num", [7, 110])
def test_what_was_cut_and_what_was_left_out_is_counted(tmp_path: Path, num: int) -> None:
    """Once, also where all examples are held out as well, because they are few."""
    rows = [DATA["chat"](number) for number in range(num)]
    short, question = {"role": "assistant", "content": "ok"}, {"role": "user", "content": "one more?"}
    rows[1] = {"messages": [*rows[1]["messages"], question, {"role": "assistant", "content": "long " * 50}]}
    rows[2] = {"messages": [{"role": "user", "content": "long " * 50}, short]}
    rows[3] = {"messages": [{"role": "user", "content": "longer " * 50}, short]}
    manifest, data = prepared(tmp_path, "chat", rows, choose_context=lambda lengths: 50)
    assert (manifest["cut"], manifest["too_long"], manifest["context"]) == (1, 2, 50)
    assert manifest["held_out"] == (num == 110)
    kept = {example.source for part in ("train", "val") for example in data.rows(part)}
    assert len(kept) == num - 2
    assert max(data.train.lengths.max(), data.val.lengths.max()) <= 51


def test_where_no_example_fits_it_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"no example fits 3 tokens \(expected shorter examples\)"):
        prepared(tmp_path, "chat", [DATA["chat"](1)], choose_context=lambda lengths: 3)


@pytest.mark.parametrize("task", ["chat", "classify"])
def test_where_everything_is_held_out_it_is_one_sentence(tmp_path: Path, task: str) -> None:
    """As where --val names the same file."""
    rows = [DATA[task](number) for number in range(9)]
    with pytest.raises(TextError):
        prepared(tmp_path, task, rows, rows)


# written and read -------------------------------------------------------------------------------------------------------

WRITTEN: dict[str, Callable[[int], tuple[Example, list[str], list[str]]]] = {  # the example, its rows, and what of them is learned
    "chat": lambda n: (
        Conversation((("user", f"{n} + 1?"), ("assistant", f"是 {n + 1}"))),
        [f"<|im_start|>user\n{n} + 1?<|im_end|>\n<|im_start|>assistant\n是 {n + 1}<|im_end|>"],
        [f"是 {n + 1}<|im_end|>"],
    ),
    "complete": lambda n: (
        Conversation((("user", f"题 {n}"), ("assistant", f"一句 {n}\n又一句"))),
        [f"题 {n}\n一句 {n}\n又一句<|endoftext|>"],
        [f"一句 {n}\n又一句<|endoftext|>"],
    ),
    "qa": lambda n: (
        Conversation((("user", f"It is {n}.\n\nWhat?"), ("assistant", f"{n}")), answers=(f"{n}", f"it is {n}")),
        [f"<|im_start|>question\nIt is {n}.\n\nWhat?<|im_end|>\n<|im_start|>answer\n{n}<|im_end|>"],
        [f"{n}<|im_end|>"],
    ),
    "classify": lambda n: (Labelled((f"leaf {n}", f"叶 {n}"), str(n % 3)), [f"leaf {n}\n叶 {n}"], [""]),
    "prefer": lambda n: (
        Preference((("user", f"say {n}"),), f"{n}!", "no"),
        [f"<|im_start|>user\nsay {n}<|im_end|>\n<|im_start|>assistant\n{said}<|im_end|>" for said in (f"{n}!", "no")],
        [f"{n}!<|im_end|>", "no<|im_end|>"],
    ),
}


@pytest.mark.parametrize("task", WRITTEN)
def test_examples_are_read_as_they_were_written(tmp_path: Path, task: str) -> None:
    told: list[list[int]] = []

    def choose(lengths: np.ndarray) -> int:
        told.append(lengths.tolist())
        return longest(lengths)

    manifest, data = prepared(tmp_path, task, [DATA[task](number) for number in range(110)], choose_context=choose)
    numbers = {part: [int(example.source.rpartition(":")[2]) - 1 for example in data.rows(part)] for part in ("train", "val")}
    assert sorted(numbers["train"] + numbers["val"]) == list(range(110))
    assert numbers["train"] == sorted(numbers["train"])
    assert len(numbers["val"]) == 11
    for part, examples in (("train", data.train), ("val", data.val)):
        expected = [WRITTEN[task](number) for number in numbers[part]]
        assert [replace(example, source="") for example in data.rows(part)] == [example for example, _, _ in expected]
        assert texts(data, part, learned=False) == [row for _, rows, _ in expected for row in rows]
        assert texts(data, part, learned=True) == [said for _, _, learned in expected for said in learned]
        assert len(examples) == manifest[part]["num_examples"] == len(expected)
        assert manifest[part]["num_tokens"] == len(examples.ids)
        assert manifest[part]["num_learned"] == examples.answers.sum()
        plain = [said.removesuffix("<|im_end|>").removesuffix("<|endoftext|>") for _, _, learned in expected for said in learned]
        labels = [example.label for example, _, _ in expected if isinstance(example, Labelled)]
        assert manifest[part]["num_bytes"] == len("".join(labels or plain).encode())
        assert examples.labels.tolist() == list(map(int, labels))
    assert told == [data.train.lengths.tolist()]
    assert manifest["labels"] == (["0", "1", "2"] if task == "classify" else [])
    assert (manifest["task"], manifest["num_files"], manifest["held_out"]) == (task, 1, True)
    assert data.tokenizer.chat_template == tokenizer_for(task).chat_template


def test_a_handful_is_learned_and_judged_by(tmp_path: Path) -> None:
    manifest, data = prepared(tmp_path, "chat", [DATA["chat"](number) for number in range(5)])
    assert not manifest["held_out"]
    assert data.rows("train") == data.rows("val")
    assert (data.train.ids == data.val.ids).all()


def test_examples_that_were_named_are_held_out(tmp_path: Path) -> None:
    rows = [DATA["chat"](number) for number in range(9)]
    manifest, data = prepared(tmp_path, "chat", rows, [*rows[:2], {"messages": []}, DATA["chat"](70)], lambda lengths: ROOMY)
    assert manifest["held_out"]
    assert [example.source for example in data.rows("train")] == [f"{tmp_path / 'data.jsonl'}:{number}" for number in range(3, 10)]
    assert sorted(example.source for example in data.rows("val")) == [f"{tmp_path / 'val.jsonl'}:{number}" for number in (1, 2, 4)]
    assert manifest["skipped"] == [{"source": f"{tmp_path / 'val.jsonl'}:3", "reason": "no answer in it", "count": 1}]


@pytest.mark.parametrize("task", WRITTEN)
def test_identical_examples_count_once(tmp_path: Path, task: str) -> None:
    """In the order in which they came first."""
    rows = [DATA[task](number) for number in (0, 1, 0, 2, 1, 0)]
    manifest, data = prepared(tmp_path, task, rows)
    assert manifest["train"]["num_examples"] == 3
    assert [replace(example, source="") for example in data.rows("train")] == [WRITTEN[task](number)[0] for number in range(3)]


def test_what_was_left_out_is_in_the_manifest(tmp_path: Path) -> None:
    rows = [DATA["chat"](number) for number in range(3)] + [{"messages": []}] * 30
    manifest, _ = prepared(tmp_path, "chat", rows)
    assert manifest["num_skipped"] == 30
    assert len(manifest["skipped"]) == 21
    assert manifest["skipped"][0] == {"source": f"{tmp_path / 'data.jsonl'}:4", "reason": "no answer in it", "count": 1}
    assert manifest["skipped"][-1] == {"source": f"{tmp_path / 'data.jsonl'}: more rows", "reason": "no answer in it", "count": 10}


@pytest.mark.parametrize("name", ["train.safetensors", "train.jsonl", "val.safetensors", "val.jsonl"])
@pytest.mark.parametrize("how", ["a byte", "cut", "gone"])
def test_a_file_that_has_changed_is_refused(tmp_path: Path, name: str, how: str) -> None:
    _, data = prepared(tmp_path, "classify", [DATA["classify"](number) for number in range(60)])
    path = data.folder / name
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if how == "cut" else content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    with pytest.raises(ShardError, match=rf"{name} has changed since it was written; restore it, or start a new run"):
        open_examples(Run(tmp_path / "run"), read_manifest(Run(tmp_path / "run")), data.tokenizer)


def test_lines_within_a_text_are_no_lines_of_the_file(tmp_path: Path) -> None:
    """Unicode has ten characters that end a line for str.splitlines."""
    odd = ["a\nb\r\nc", "\x0b\x0c\x1c\x1d\x1e", "one\x85two", "one\u2028two\u2029three"]
    _, data = prepared(tmp_path, "classify", [{"text": f"text {text}", "label": number % 2} for number, text in enumerate(odd)])
    assert [example.texts[0] for example in data.rows("train") if isinstance(example, Labelled)] == [f"text {text}" for text in odd]


TURNS = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(max_size=5)), max_size=4).map(tuple)


@given(
    st.one_of(
        st.builds(Conversation, TURNS, st.text(max_size=5), st.lists(st.text(max_size=3), max_size=2).map(tuple)),
        st.builds(Labelled, st.lists(st.text(max_size=5), min_size=1, max_size=2).map(tuple), st.text(max_size=5), st.text(max_size=5)),
        st.builds(Preference, TURNS, st.text(max_size=5), st.text(max_size=5), st.text(max_size=5)),
    )
)
def test_an_example_goes_through_json_and_comes_back(example: Example) -> None:
    assert from_json(json.loads(json.dumps(as_json(example), ensure_ascii=False))) == example


# columns ----------------------------------------------------------------------------------------------------------------


def test_two_named_columns_of_a_table_are_question_and_answer(tmp_path: Path) -> None:
    """Of a third nothing is known, and of texts with labels the names say it themselves."""
    (tmp_path / "a.tsv").write_text("leaf\t叶\tby Tom\nroot\t根\tby Ann\n", "utf-8")
    found = list(files_of([str(tmp_path / "a.tsv")], TASKS["rewrite"], Columns(), ["from", "to"]))
    assert [example.turns for example in found if isinstance(example, Conversation)] == [
        (("user", "leaf"), ("assistant", "叶")),
        (("user", "root"), ("assistant", "根")),
    ]
    turned = files_of([str(tmp_path / "a.tsv")], TASKS["rewrite"], Columns("to", None, "from"), ["from", "to"])
    assert [example.turns[0] for example in turned if isinstance(example, Conversation)] == [("user", "叶"), ("user", "根")]
    labelled = list(files_of([str(tmp_path / "a.tsv")], TASKS["classify"], Columns(), ["text", "label"]))
    assert [example.label for example in labelled if isinstance(example, Labelled)] == ["叶", "根"]
