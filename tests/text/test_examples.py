"""Examples in every shape that people have them in, and a word with its line about every row that is none."""

import gzip
import json
import os
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from text.samples import lines, write

from newleaf.errors import TextError
from newleaf.text.document import Skipped
from newleaf.text.example_files import ExampleFiles, Read
from newleaf.text.examples import (
    LABELS,
    SECOND,
    TEXTS,
    Columns,
    Conversation,
    Example,
    Labelled,
    NoExample,
    Preference,
    Turns,
    checked,
    conversation,
    labelled,
    preference,
)
from newleaf.training.tasks import TASKS

ASKED = {"role": "user", "content": "2+2?"}
SAID = {"role": "assistant", "content": "4"}
WRONG = {"role": "assistant", "content": "5"}
KIND = {"role": "system", "content": "be kind"}
TALK: Turns = (("user", "2+2?"), ("assistant", "4"))
SHORT: Turns = (("user", "q"), ("assistant", "a"))


def reader(path: Path, read: Read = conversation, columns: Columns = Columns(), names: Sequence[str] = ()) -> ExampleFiles:  # noqa: B008
    return ExampleFiles([str(path)], columns, names, read)


def examples_in(
    path: Path,
    read: Read = conversation,
    columns: Columns = Columns(),  # noqa: B008 (it is frozen)
    names: Sequence[str] = (),
) -> tuple[list[Example], dict[str, str]]:
    """(the examples without their sources, {file:line: why it was left out}) of a file or a folder."""
    files = reader(path, read, columns, names)
    found = [replace(example, source="") for example in files]
    return found, {os.path.relpath(each.source, path if path.is_dir() else path.parent): each.reason for each in files.skipped}


def for_task(name: str) -> Read:
    return partial(conversation, known=TASKS[name].columns)


# conversations ----------------------------------------------------------------------------------------------------------

CONVERSATIONS: list[tuple[dict[str, Any], Turns]] = [
    ({"messages": [ASKED, SAID]}, TALK),
    ({"messages": [KIND, ASKED, SAID]}, (("system", "be kind"), *TALK)),
    ({"messages": [ASKED, SAID, ASKED, SAID]}, TALK * 2),
    ({"messages": [ASKED, SAID, ASKED]}, TALK),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "2+2?"}, {"type": "image"}]}, SAID]}, TALK),
    ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}, SHORT),
    (
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "system": "be kind"},
        (("system", "be kind"), *SHORT),
    ),
    ({"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}], "system": ""}, SHORT),
    (
        {"conversations": [{"from": "system", "value": "be kind"}, {"from": "human", "value": "q"}, {"from": "bot", "value": "a"}]},
        (("system", "be kind"), *SHORT),
    ),
    ({"conversations": [{"role": "user", "content": "q"}, {"role": "model", "content": "a"}]}, SHORT),
    ({"prompt": "q", "completion": "a"}, SHORT),
    ({"prompt": "2+2?", "completion": [SAID]}, TALK),
    ({"prompt": "q", "response": "a", "score": 3}, SHORT),
    ({"prompt": ["one", "two"], "response": ["three", "four"]}, (("user", "one\ntwo"), ("assistant", "three\nfour"))),
    ({"prompt": [KIND, ASKED], "completion": "4"}, (("system", "be kind"), *TALK)),
    ({"prompt": [ASKED, SAID, ASKED], "completion": "4"}, TALK * 2),
    ({"prompt": [ASKED], "completion": [SAID]}, TALK),
    ({"instruction": "add", "output": "3"}, (("user", "add"), ("assistant", "3"))),
    ({"instruction": "add", "input": "1 2", "output": "3"}, (("user", "add\n1 2"), ("assistant", "3"))),
    ({"instruction": "add", "input": "", "output": ["3", "4"]}, (("user", "add"), ("assistant", "3"))),
    (
        {"instruction": "add", "input": "1 2", "output": "3", "system": "be kind", "history": [["q", "a"], ["2+2?", "4"]]},
        (("system", "be kind"), *SHORT, *TALK, ("user", "add\n1 2"), ("assistant", "3")),
    ),
    ({"instruction": "add", "output": "3", "history": [], "system": ""}, (("user", "add"), ("assistant", "3"))),
]


@pytest.mark.parametrize(("row", "turns"), CONVERSATIONS, ids=[str(row)[:60] for row, _ in CONVERSATIONS])
def test_a_conversation_is_read_in_each_shape(tmp_path: Path, row: dict[str, Any], turns: Turns) -> None:
    """In JSON lines, packed, as a whole file and in a list."""
    write(tmp_path, a_jsonl=lines([row]), b_jsonl_gz=gzip.compress(lines([row, row]).encode()), c_json=json.dumps(row))
    write(tmp_path, d_json=json.dumps([row, row], indent=1, ensure_ascii=False))
    assert examples_in(tmp_path) == ([Conversation(turns)] * 6, {})


KNOWN: list[tuple[str, dict[str, Any], Turns]] = [
    ("translate", {"source": "leaf", "target": "叶"}, (("user", "leaf"), ("assistant", "叶"))),
    ("translate", {"zh": "叶", "en": "leaf"}, (("user", "leaf"), ("assistant", "叶"))),
    ("summarize", {"title": "短", "abstract": "长长长"}, (("user", "长长长"), ("assistant", "短"))),
    ("summarize", {"article": "long", "highlights": ["one", "two"], "id": "7"}, (("user", "long"), ("assistant", "one\ntwo"))),
    ("qa", {"question": "q", "answer": "a"}, SHORT),
    ("qa", {"context": "c", "question": "q", "answer": "a"}, (("user", "c\n\nq"), ("assistant", "a"))),
    (
        "complete",
        {"title": "静夜思", "paragraphs": ["床前明月光", "疑是地上霜"]},
        (("user", "静夜思"), ("assistant", "床前明月光\n疑是地上霜")),
    ),
    ("complete", {"rhythmic": "浣溪沙", "paragraphs": ["一曲", "新词"]}, (("user", "浣溪沙"), ("assistant", "一曲\n新词"))),
    ("rewrite", {"input": "teh", "output": "the"}, (("user", "teh"), ("assistant", "the"))),
    ("rewrite", {"prompt": "q", "completion": "a", "input": "x", "output": "y"}, SHORT),  # the common shapes come first
]


@pytest.mark.parametrize(("task", "row", "turns"), KNOWN, ids=[f"{task} {', '.join(row)}" for task, row, _ in KNOWN])
def test_a_task_knows_the_columns_of_its_data(tmp_path: Path, task: str, row: dict[str, Any], turns: Turns) -> None:
    write(tmp_path, a_jsonl=lines([row]), b_json=json.dumps([row]))
    assert examples_in(tmp_path, for_task(task)) == ([Conversation(turns)] * 2, {})


def test_song_poems_and_poems_with_titles_stand_in_one_file(tmp_path: Path) -> None:
    write(tmp_path, a_json=json.dumps([{"title": "春晓", "paragraphs": ["一"]}, {"rhythmic": "浣溪沙", "paragraphs": ["二"]}]))
    found, skipped = examples_in(tmp_path, for_task("complete"))
    assert found == [Conversation((("user", title), ("assistant", line))) for title, line in (("春晓", "一"), ("浣溪沙", "二"))]
    assert not skipped


def test_a_question_of_squad_keeps_all_its_answers_and_one_without_is_named(tmp_path: Path) -> None:
    spring = {"question": "什么来了？", "answers": [{"text": "春天"}, {"text": "春"}]}
    first = {"context": "春天来了。", "qas": [spring, {"question": "谁？", "answers": []}]}
    second = {"context": "花开了。", "qas": [{"question": "什么开了？", "answers": [{"text": "花"}]}]}
    write(tmp_path, a_json=json.dumps({"version": "1.1", "data": [{"paragraphs": [first]}, {"paragraphs": [second]}]}))
    found, skipped = examples_in(tmp_path, for_task("qa"))
    assert found == [
        Conversation((("user", "春天来了。\n\n什么来了？"), ("assistant", "春天")), answers=("春天", "春")),
        Conversation((("user", "花开了。\n\n什么开了？"), ("assistant", "花")), answers=("花",)),
    ]
    assert skipped == {"a.json:2": "an empty answer"}


@pytest.mark.parametrize(
    ("columns", "asked"), [(Columns("a", None, "c"), "one"), (Columns("a", "b", "c"), "two\n\none"), (Columns("b", "a", "c"), "one\n\ntwo")]
)
def test_named_columns_come_before_every_shape(tmp_path: Path, columns: Columns, asked: str) -> None:
    """The second input stands above the first, as a paragraph above its question."""
    write(
        tmp_path,
        a_jsonl=lines([{"prompt": "q", "completion": "a", "a": "one", "b": "two", "c": ["three"]}]),
        b_csv="a,b,c\none,two,three\n",
    )
    assert examples_in(tmp_path, columns=columns) == ([Conversation((("user", asked), ("assistant", "three")))] * 2, {})


def test_a_named_second_input_goes_with_the_columns_that_a_task_knows(tmp_path: Path) -> None:
    write(tmp_path, a_jsonl=lines([{"question": "q", "answer": "a", "context": "c", "hint": "h"}]))
    found, _ = examples_in(tmp_path, for_task("qa"), Columns(second_input="hint"))
    assert found == [Conversation((("user", "h\n\nq"), ("assistant", "a")))]


# labels -----------------------------------------------------------------------------------------------------------------

LABELLED: list[tuple[dict[str, Any], Columns, Labelled]] = [
    *(({"text": "fine", name: "good"}, Columns(), Labelled(("fine",), "good")) for name in LABELS),
    *(({name: "fine", "label": "good"}, Columns(), Labelled(("fine",), "good")) for name in TEXTS),
    *(({"sentence1": "a", name: "b", "label": "same"}, Columns(), Labelled(("a", "b"), "same")) for name in SECOND),
    ({"premise": "a", "hypothesis": "b", "label": 0}, Columns(), Labelled(("a", "b"), "0")),
    ({"text": "fine", "label": -1}, Columns(), Labelled(("fine",), "-1")),
    ({"text": "fine", "label": 2.5}, Columns(), Labelled(("fine",), "2.5")),
    ({"text": ["one", "two"], "label": " good "}, Columns(), Labelled(("one\ntwo",), "good")),
    ({"title": "t", "content": "c", "label": "good"}, Columns(), Labelled(("c",), "good")),
    ({"remark": "the only other string", "stars": 3, "label": "good"}, Columns(), Labelled(("the only other string",), "good")),
    ({"text": "fine", "label": "good", "topic": "food"}, Columns(label="topic"), Labelled(("fine",), "food")),
    ({"text": "fine", "summary": "f", "label": "good"}, Columns(input="summary"), Labelled(("f",), "good")),
    ({"a": "one", "b": "two", "c": "yes"}, Columns("a", "b", None, "c"), Labelled(("one", "two"), "yes")),
]


@pytest.mark.parametrize(("row", "columns", "example"), LABELLED, ids=[", ".join(row) + str(n) for n, (row, _, _) in enumerate(LABELLED)])
def test_a_label_is_read_under_all_its_names(tmp_path: Path, row: dict[str, Any], columns: Columns, example: Labelled) -> None:
    write(tmp_path, a_jsonl=lines([row]), b_json=json.dumps([row]))
    assert examples_in(tmp_path, labelled, columns) == ([example] * 2, {})


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_table_has_texts_with_numbers_for_labels(tmp_path: Path, name: str) -> None:
    cell = "\t" if name == "a.tsv" else ","
    (tmp_path / name).write_text(f"label{cell}text_a\n1{cell}好\n\n0{cell}差\n{cell}空\n", "utf-8")
    found, skipped = examples_in(tmp_path / name, labelled)
    assert found == [Labelled(("好",), "1"), Labelled(("差",), "0")]
    assert skipped == {f"{name}:5": "an empty label"}


def test_one_text_is_never_both_of_two(tmp_path: Path) -> None:
    write(tmp_path, a_jsonl=lines([{"sentence1": "a", "sentence2": "b", "label": "same"}]))
    assert examples_in(tmp_path, labelled, Columns(input="sentence2")) == ([Labelled(("b",), "same")], {})


# preferences ------------------------------------------------------------------------------------------------------------

PREFERRED = Preference((("user", "2+2?"),), "4", "5")
PREFERENCES: list[tuple[dict[str, Any], Preference]] = [
    ({"prompt": "2+2?", "chosen": "4", "rejected": "5"}, PREFERRED),
    ({"prompt": [ASKED], "chosen": [SAID], "rejected": [WRONG]}, PREFERRED),
    ({"prompt": [KIND, ASKED], "chosen": [SAID], "rejected": [WRONG]}, replace(PREFERRED, turns=(("system", "be kind"), ("user", "2+2?")))),
    ({"prompt": "2+2?", "chosen": [ASKED, SAID], "rejected": [ASKED, WRONG]}, PREFERRED),
    ({"question": "2+2?", "chosen": "4", "rejected": "5"}, PREFERRED),
    ({"messages": [ASKED, SAID, ASKED], "chosen": SAID, "rejected": WRONG}, replace(PREFERRED, turns=(*TALK, ("user", "2+2?")))),
    (
        {
            "conversations": [{"from": "human", "value": "2+2?"}],
            "chosen": {"from": "gpt", "value": "4"},
            "rejected": {"from": "gpt", "value": "5"},
        },
        PREFERRED,
    ),
    (
        {
            "conversations": [{"from": "human", "value": "2+2?"}],
            "system": "be kind",
            "chosen": {"from": "gpt", "value": "4"},
            "rejected": {"from": "gpt", "value": "5"},
        },
        replace(PREFERRED, turns=(("system", "be kind"), ("user", "2+2?"))),
    ),
    ({"chosen": [ASKED, SAID], "rejected": [ASKED, WRONG]}, PREFERRED),
    ({"chosen": [ASKED, SAID, ASKED, SAID], "rejected": [ASKED, SAID, ASKED, WRONG]}, replace(PREFERRED, turns=(*TALK, ("user", "2+2?")))),
    ({"instruction": "2+2?", "output": ["4", "5"]}, PREFERRED),
    ({"instruction": "2+2?", "output": ["4", "four", "5"]}, PREFERRED),
    ({"instruction": "2+2?", "input": "", "chosen": "4", "rejected": "5"}, PREFERRED),
    (
        {"instruction": "add", "input": "2 2", "system": "be kind", "history": [["q", "a"]], "output": ["4", "5"]},
        replace(PREFERRED, turns=(("system", "be kind"), *SHORT, ("user", "add\n2 2"))),
    ),
]


@pytest.mark.parametrize(("row", "example"), PREFERENCES, ids=[str(row)[:60] for row, _ in PREFERENCES])
def test_a_preference_is_read_in_each_shape(tmp_path: Path, row: dict[str, Any], example: Preference) -> None:
    write(tmp_path, a_jsonl=lines([row]), b_json=json.dumps([row, row]), c_jsonl_gz=gzip.compress(lines([row]).encode()))
    assert examples_in(tmp_path, preference) == ([example] * 4, {})


# rows that are none -----------------------------------------------------------------------------------------------------

GOOD: dict[Read, dict[str, Any]] = {
    conversation: {"messages": [ASKED, SAID]},
    labelled: {"text": "fine", "label": "good"},
    preference: {"prompt": "2+2?", "chosen": "4", "rejected": "5"},
}
BAD: dict[str, tuple[Read, Any, str]] = {
    "an empty answer": (conversation, {"messages": [ASKED, {"role": "assistant", "content": " \n"}]}, "an empty answer"),
    "an answer without words": (conversation, {"messages": [ASKED, {"role": "assistant", "content": None}]}, "an empty answer"),
    "an empty completion": (conversation, {"prompt": "q", "completion": ""}, "an empty answer"),
    "an empty output": (conversation, {"instruction": "add", "output": None}, "an empty answer"),
    "an empty question": (conversation, {"messages": [{"role": "user", "content": ""}, SAID]}, "an empty question"),
    "an empty prompt": (conversation, {"prompt": "\t", "response": "a"}, "an empty question"),
    "an empty instruction": (conversation, {"instruction": "", "input": "", "output": "a"}, "an empty question"),
    "an unknown role": (
        conversation,
        {"messages": [{"role": "wizard", "content": "x"}, SAID]},
        "the role 'wizard' is unknown: it is system, user or assistant",
    ),
    "no role": (conversation, {"messages": [{"content": "x"}, SAID]}, "a message without a role"),
    "two assistants": (conversation, {"messages": [ASKED, SAID, SAID]}, "two messages of the assistant in a row"),
    "two users": (conversation, {"messages": [ASKED, ASKED, SAID]}, "two messages of the user in a row"),
    "two prompts": (conversation, {"prompt": [ASKED, SAID], "completion": "4"}, "two messages of the assistant in a row"),
    "the assistant first": (conversation, {"messages": [SAID, ASKED, SAID]}, "the assistant speaks first"),
    "the assistant alone": (conversation, {"messages": [KIND, SAID]}, "the assistant speaks first"),
    "a system prompt in the middle": (
        conversation,
        {"messages": [ASKED, SAID, KIND, ASKED, SAID]},
        "a system prompt that is not the first message",
    ),
    "two system prompts": (conversation, {"messages": [KIND, ASKED, SAID], "system": "x"}, "a system prompt that is not the first message"),
    "no answer": (conversation, {"messages": [KIND, ASKED]}, "no answer in it"),
    "no message": (conversation, {"messages": []}, "no answer in it"),
    "messages in one string": (conversation, {"messages": "hi"}, "messages is no list of messages"),
    "messages that are strings": (conversation, {"conversations": ["q", "a"]}, "conversations is no list of messages"),
    "a history of no pairs": (conversation, {"instruction": "a", "output": "b", "history": [["q"]]}, "history is no list of pairs"),
    "no shape": (conversation, {"title": "x", "body": "y"}, "no question and answer in it: it has title, body"),
    "no column at all": (conversation, {}, "no question and answer in it: it has no columns"),
    "a list": (conversation, ["q", "a"], "no object with columns"),
    "a number": (conversation, 5, "no object with columns"),
    "a label that is empty": (labelled, {"text": "x", "label": ""}, "an empty label"),
    "a label that is null": (labelled, {"text": "x", "label": None}, "an empty label"),
    "a label that is a truth value": (labelled, {"text": "x", "label": True}, "the label 'True' is no word and no number"),
    "a label that is a list": (labelled, {"text": "x", "label": ["a"]}, "the label \"['a']\" is no word and no number"),
    "no label": (labelled, {"text": "x", "tag": "y"}, "no label in it: it has text, tag"),
    "no text": (labelled, {"a": "x", "b": "y", "label": "z"}, "no text in it: it has a, b, label"),
    "an empty text": (labelled, {"text": " ", "label": "z"}, "an empty text"),
    "the same answer twice": (preference, {"prompt": "q", "chosen": "a", "rejected": "a"}, "both answers are the same"),
    "an empty chosen answer": (preference, {"prompt": "q", "chosen": " ", "rejected": "a"}, "an empty answer"),
    "an empty rejected answer": (preference, {"prompt": "q", "chosen": "a", "rejected": []}, "an empty answer"),
    "an empty question of two answers": (preference, {"prompt": "", "chosen": "a", "rejected": "b"}, "an empty question"),
    "one answer": (preference, {"prompt": "q", "chosen": "a"}, "no two answers in it: it has prompt, chosen"),
    "one ranked answer": (preference, {"instruction": "q", "output": ["a"]}, "no two answers in it: it has instruction, output"),
    "two conversations": (
        preference,
        {"chosen": [ASKED, SAID], "rejected": [{"role": "user", "content": "3+3?"}, WRONG]},
        "chosen and rejected are not two answers to the same",
    ),
    "a chosen question": (
        preference,
        {"prompt": "q", "chosen": [ASKED], "rejected": [SAID]},
        "the last message of chosen is the user's, not the assistant's",
    ),
    "a rejected system prompt": (
        preference,
        {"conversations": [ASKED], "chosen": SAID, "rejected": KIND},
        "the last message of rejected is the system's, not the assistant's",
    ),
    "conversations that end with a question": (
        preference,
        {"chosen": [ASKED, SAID, ASKED], "rejected": [ASKED, SAID, {"role": "user", "content": "3+3?"}]},
        "the last message of chosen is the user's, not the assistant's",
    ),
    "an answer of nobody": (preference, {"prompt": "q", "chosen": {"content": "a"}, "rejected": SAID}, "a message without a role"),
    "a completion that asks": (
        conversation,
        {"prompt": "q", "completion": [ASKED]},
        "the last message of completion is the user's, not the assistant's",
    ),
    "an answer to an answer": (
        preference,
        {"messages": [ASKED, SAID], "chosen": "a", "rejected": "b"},
        "two messages of the assistant in a row",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_row_that_is_no_example_is_named_with_its_line_and_the_others_are_read(tmp_path: Path, name: str) -> None:
    read, row, why = BAD[name]
    write(tmp_path, a_jsonl="\n" + lines([GOOD[read], row, GOOD[read]]), b_json=json.dumps([row, GOOD[read]]))
    found, skipped = examples_in(tmp_path, read)
    assert len(found) == 3
    assert skipped == {"a.jsonl:3": why, "b.json:1": why}


def test_broken_lines_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    good = lines([GOOD[conversation]])
    write(tmp_path, a_jsonl=good + '{"messages": [\n' + good + "nonsense\n" + good, b_json="{broken", c_jsonl=good.encode() + b"\x00\x01\n")
    found, skipped = examples_in(tmp_path)
    assert found == [Conversation(TALK)] * 4
    assert skipped.pop("b.json").startswith("broken JSON: ")
    assert skipped == {"a.jsonl:2": "broken JSON", "a.jsonl:4": "broken JSON", "c.jsonl:2": "not text"}


def test_a_packed_file_that_is_cut_gives_the_rows_before(tmp_path: Path) -> None:
    rows = lines([{"prompt": random.Random(n).randbytes(90).hex(), "completion": "a"} for n in range(500)])
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(rows.encode())[:-2000])
    found, skipped = examples_in(tmp_path)
    assert 400 < len(found) < 500
    assert skipped == {
        f"a.jsonl.gz:{len(found) + 1}": "broken JSON",
        "a.jsonl.gz": f"broken gzip: the {len(found):,} rows before are used",
    }


@pytest.mark.parametrize(
    ("read", "columns"),
    [
        (conversation, Columns(input="qq", output="label")),
        (conversation, Columns(input="text", output="qq")),
        (conversation, Columns(input="text", second_input="qq", output="label")),
        (labelled, Columns(label="qq")),
        (labelled, Columns(input="qq")),
        (labelled, Columns(second_input="qq")),
    ],
)
def test_a_column_that_is_not_there_is_named_beside_those_that_are(tmp_path: Path, read: Read, columns: Columns) -> None:
    write(tmp_path, a_jsonl=lines([{"text": "fine", "label": "good"}]))
    with pytest.raises(TextError) as caught:
        list(reader(tmp_path / "a.jsonl", read, columns))
    path = tmp_path / "a.jsonl"
    assert caught.value.message == f"no example to learn from in {path} ({path}:1: no column 'qq': it has text, label)"


USELESS = {  # files, and what is said of them
    "no JSON": ("a.jsonl", "春眠不觉晓\n", ":1: broken JSON"),
    "no whole JSON": ("a.json", "春眠不觉晓", ": broken JSON: "),
    "empty": ("a.jsonl", "", ": empty"),
    "an empty table": ("a.tsv", "", ": empty"),
    "a header alone": ("a.csv", "text,label\n", ": empty"),
    "other rows": ("a.jsonl", lines([{"text": "fine", "label": "good"}]), ":1: no two answers in it: it has text, label"),
}


@pytest.mark.parametrize("name", USELESS)
def test_a_file_without_any_example_says_why(tmp_path: Path, name: str) -> None:
    file, content, why = USELESS[name]
    (tmp_path / file).write_text(content, "utf-8")
    with pytest.raises(TextError) as caught:
        list(reader(tmp_path / file, preference))
    assert f"no example to learn from in {tmp_path / file} ({tmp_path / file}{why}" in caught.value.message


CUT = {  # a packed file without its last bytes, and the number of whole rows in it
    "jsonl": (lines([{"prompt": f"{n}", "completion": "a"} for n in range(30)]), 30),
    "tsv": ("prompt\tcompletion\n" + "".join(f"{n}\ta\n" for n in range(30)), 30),
}


@pytest.mark.parametrize("kind", CUT)
def test_a_packed_file_that_is_cut_at_a_line_end_says_so(tmp_path: Path, kind: str) -> None:
    """Everything there can be unpacked, and only the mark of its end is missing."""
    rows, count = CUT[kind]
    (tmp_path / f"a.{kind}.gz").write_bytes(gzip.compress(rows.encode())[:-8])
    found, skipped = examples_in(tmp_path)
    assert len(found) == count
    assert skipped == {f"a.{kind}.gz": f"broken gzip: the {count} rows before are used"}


def test_half_a_character_costs_one_row(tmp_path: Path) -> None:
    """It cannot be encoded later on, so it is none of the examples."""
    good, half = json.dumps({"prompt": "q", "completion": "a"}), json.dumps({"prompt": "q", "completion": "\ud800"})
    write(tmp_path, a_jsonl=f"{good}\n{half}\n{good}\n")
    found, skipped = examples_in(tmp_path)
    assert found == [Conversation(SHORT)] * 2
    assert list(skipped) == ["a.jsonl:2"]
    assert "surrogate" in skipped["a.jsonl:2"]


@pytest.mark.parametrize("rows", [{"rows": []}, {"data": [{"prompt": "q", "completion": "a"}]}, [], None, "header"], ids=str)
def test_a_file_without_an_example_is_named(tmp_path: Path, rows: Any) -> None:
    """Or its rows are found after all."""
    if rows == "header":
        write(tmp_path, a_csv="prompt,completion\n")
    else:
        write(tmp_path, a_json=json.dumps(rows) if rows is not None else "")
    write(tmp_path, z_jsonl=lines([GOOD[conversation]]))
    found, skipped = examples_in(tmp_path)
    assert len(found) == 2 or [name.split(":")[0] for name in skipped] == ["a.csv" if rows == "header" else "a.json"]


def test_of_many_bad_rows_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    write(tmp_path, a_jsonl=lines([GOOD[conversation], *[{"prompt": "q", "completion": ""}] * 100]))
    files = reader(tmp_path / "a.jsonl")
    assert len(list(files)) == 1
    assert len(files.skipped) == 21
    assert files.skipped[-1] == Skipped(f"{tmp_path / 'a.jsonl'}: more rows", "an empty answer", 80)


def test_sources_name_file_and_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"prompt": "q", "completion": "a"}
    monkeypatch.chdir(
        write(tmp_path, a_jsonl="\n" + lines([row]), b_csv='prompt,completion\n"q\nq",a\nq,a\n', c_json=json.dumps([row, row]))
    )
    files = ExampleFiles(["a.jsonl", "."], Columns(), (), conversation)
    assert [example.source for example in files] == ["a.jsonl:2", "a.jsonl:2", "b.csv:2", "b.csv:4", "c.json:1", "c.json:2"]
    assert files.num_files == 4


@pytest.mark.parametrize(
    ("read", "first", "second", "names"),
    [
        (conversation, {"messages": [ASKED, SAID]}, {"prompt": "q", "completion": "a"}, ("messages", "prompt, completion")),
        (conversation, {"prompt": "q", "completion": "a"}, {"prompt": "q", "response": "a"}, ("prompt, completion", "prompt, response")),
        (for_task("translate"), {"en": "a", "zh": "b"}, {"source": "a", "target": "b"}, ("en, zh", "source, target")),
        (labelled, {"text": "a", "label": "b"}, {"text": "a", "text_pair": "c", "label": "b"}, ("text, label", "text, text_pair, label")),
        (
            preference,
            {"prompt": "q", "chosen": "a", "rejected": "b"},
            {"instruction": "q", "output": ["a", "b"]},
            ("prompt, chosen, rejected", "instruction, ranked output"),
        ),
    ],
)
def test_a_file_that_mixes_shapes_is_refused_with_both_lines(
    tmp_path: Path, read: Read, first: dict[str, Any], second: dict[str, Any], names: tuple[str, str]
) -> None:
    write(tmp_path, a_jsonl=lines([{"no": 1}, first, first, {"no": 1}, second, first]))
    path = tmp_path / "a.jsonl"
    with pytest.raises(TextError) as caught:
        examples_in(path, read)
    assert str(caught.value).startswith(
        f"{path}:5 has the columns {names[1]}, but {path}:2 has {names[0]} (expected one shape in a file); "
    )
    assert caught.value.where == f"{path}:5"


def test_two_files_may_have_two_shapes(tmp_path: Path) -> None:
    write(tmp_path, a_jsonl=lines([{"prompt": "q", "completion": "a"}]), b_jsonl=lines([{"instruction": "q", "output": "a"}]))
    assert examples_in(tmp_path) == ([Conversation(SHORT)] * 2, {})


@pytest.mark.parametrize("read", GOOD, ids=["conversation", "labelled", "preference"])
def test_with_nothing_left_the_first_reasons_are_told(tmp_path: Path, read: Read) -> None:
    rows = [row for other, row, _ in BAD.values() if other is read]
    write(tmp_path, a_jsonl=lines(rows))
    first = next(why for other, _, why in BAD.values() if other is read)
    with pytest.raises(TextError) as caught:
        examples_in(tmp_path, read)
    assert str(caught.value).startswith(f"no example to learn from in {tmp_path} ({tmp_path / 'a.jsonl'}:1: {first}; ")
    assert str(caught.value).endswith(f"; and {len(rows) - 3} more).")


def test_a_file_that_is_not_there_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path, talks_jsonl=lines([GOOD[conversation]]))
    with pytest.raises(TextError, match=r"talk\.jsonl does not exist; did you mean .*talks\.jsonl"):
        examples_in(tmp_path / "talk.jsonl")


# tables without a header ------------------------------------------------------------------------------------------------

PAIRS = (  # as tatoeba has them
    "Hi.\t嗨。\tCC-BY 2.0 (France) Attribution: tatoeba.org #538123 (CM) & #891077 (Martha)\n"
    "Run.\t你用跑的。\tCC-BY 2.0 (France) Attribution: tatoeba.org #4008918 (JSakuragi) & #3748344 (egg0073)\n"
)
PAIRED = [Conversation((("user", "Hi."), ("assistant", "嗨。"))), Conversation((("user", "Run."), ("assistant", "你用跑的。")))]


@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "a", "a.txt.gz"])
def test_plain_text_with_tabs_is_a_table(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(PAIRS.encode()) if name.endswith(".gz") else PAIRS.encode())
    for columns, names in ((Columns("1", None, "2"), ()), (Columns(), ("en", "zh")), (Columns("b", None, "c"), ("b", "c", "note"))):
        assert examples_in(tmp_path / name, for_task("translate"), columns, names) == (PAIRED, {})


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_names_for_columns_say_that_there_is_no_header(tmp_path: Path, ends: str) -> None:
    (tmp_path / "a.csv").write_bytes(f"good,fine{ends}bad,poor{ends}good{ends}bad,a,b,c{ends}".encode())
    found, skipped = examples_in(tmp_path, labelled, Columns(label="verdict"), ("verdict", "words"))
    assert found == [Labelled(("fine",), "good"), Labelled(("poor",), "bad")]
    assert list(skipped) == ["a.csv:3", "a.csv:4"]


def test_a_row_with_too_few_cells_is_named(tmp_path: Path) -> None:
    write(tmp_path, a_txt=PAIRS + "Wait!\n")
    found, skipped = examples_in(tmp_path, for_task("translate"), names=("en", "zh"))
    assert found == PAIRED
    assert list(skipped) == ["a.txt:3"]


# rules ------------------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.sampled_from(["said", " "])), max_size=6).map(tuple))
def test_what_is_accepted_is_questions_and_answers_in_turn(turns: Turns) -> None:
    try:
        kept = checked(turns)
    except NoExample:
        kept = ()
    spoken = [role for role, _ in kept if role != "system"]
    assert kept == turns[: len(kept)]
    assert spoken == ["user", "assistant"] * (len(spoken) // 2)
    assert all(role != "system" for role, _ in kept[1:])
    assert all(said.strip() for role, said in kept if role != "system")
    plain = [turn for turn in turns if turn[0] != "system"]
    alternates = [role for role, _ in plain] == (["user", "assistant"] * 3)[: len(plain)]
    first = not any(role == "system" for role, _ in turns[1:])
    assert bool(kept) == (alternates and first and len(plain) > 1 and all(said.strip() for _, said in plain))
