"""Documents in every form that people have them in, and a word about everything that is none."""

import gzip
import json
import os
import random
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from text.samples import ENGLISH, SIMPLIFIED, TRADITIONAL, awkward, lines, write

from newleaf.errors import TextError
from newleaf.text.document import Document, Repaired, Skipped
from newleaf.text.read import Corpus

SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "x",
            "paragraphs": [
                {
                    "context": "春天来了。",
                    "qas": [{"question": "什么来了？", "answers": [{"text": "春天"}, {"text": "春"}]}, {"question": "无答？"}],
                },
                {"context": "花开了。", "qas": []},
            ],
        }
    ],
}
POEM = {"author": "李白", "title": "静夜思", "paragraphs": ["床前明月光", "疑是地上霜"]}


def texts(*inputs: Path, column: str | None = None) -> list[str]:
    return [document.text for document in Corpus([str(path) for path in inputs], column=column)]


def read(path: Path, column: str | None = None) -> tuple[list[Document], dict[str, str]]:
    corpus = Corpus([str(path)], column=column)
    return list(corpus), {os.path.relpath(each.source, path if path.is_dir() else path.parent): each.reason for each in corpus.skipped}


def test_a_plain_file_is_one_document_whatever_its_name(tmp_path: Path) -> None:
    write(tmp_path, a_txt="one", b_py="two", c="three", d_md="four\r\nlines\r\n", e_TXT_GZ=gzip.compress(b"five"))
    assert texts(tmp_path) == ["one", "two", "three", "four\nlines\n", "five"]


def test_a_corpus_can_be_read_again_and_again(tmp_path: Path) -> None:
    write(tmp_path, a_txt="one", b_jsonl=lines([{"text": "two"}, {"no": 1}]), c_txt="")
    corpus = Corpus([str(tmp_path)])
    first = list(corpus), corpus.skipped, corpus.num_files
    assert first == (list(corpus), corpus.skipped, corpus.num_files)
    assert corpus.num_files == 3
    assert [document.text for document in first[0]] == ["one", "two"]
    assert len(corpus.skipped) == 2


def test_sources_name_file_and_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(
        write(tmp_path, a_txt="one", b_jsonl='\n{"text": "two"}\n', c_csv='text\n"a\nb"\nc\n', d_json='["x"]', e_json="[[1], {}]")
    )
    corpus = Corpus(["."])
    assert [document.source for document in corpus] == ["a.txt", "b.jsonl:2", "c.csv:2", "c.csv:4", "d.json:1"]
    assert [each.source for each in corpus.skipped] == ["e.json:1", "e.json:2"]


def test_stdin_is_one_document(tmp_path: Path) -> None:
    assert list(Corpus(["-"], stdin="春\r\n".encode("gb18030") * 9)) == [Document("春\n" * 9, "stdin")]
    with pytest.raises(TextError, match="stdin: empty"):
        list(Corpus(["-"], stdin=b""))
    with pytest.raises(TextError, match="nothing was piped in"):
        Corpus(["-"])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "gb18030"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_rows_come_from_every_encoding(tmp_path: Path, packed: bool, encoding: str, line_end: str) -> None:
    poems = SIMPLIFIED.split("\n")[:-1]
    files = {
        "a.jsonl": "".join(json.dumps({"text": poem, "n": 1}, ensure_ascii=False) + line_end for poem in poems),
        "b.csv": "label,text" + line_end + "".join(f'1,"{poem}"{line_end}' for poem in poems),
        "c.tsv": "label\ttext" + line_end + "".join(f"1\t{poem}{line_end}" for poem in poems),
        "d.json": json.dumps([{"text": poem} for poem in poems], ensure_ascii=False),
    }
    for name, text in files.items():
        data = text.encode(encoding)
        (tmp_path / (name + ".gz" * packed)).write_bytes(gzip.compress(data) if packed else data)
    assert texts(tmp_path) == poems * 4


SHAPES: list[tuple[Any, str | None]] = [
    ({"text": "a\r\nb", "label": "x"}, "a\nb"),
    ({"text": ["a", "b"]}, "a\nb"),
    ("just a string", "just a string"),
    (["a", "b"], "a\nb"),
    ({"id": 7, "body": "the only string"}, "the only string"),
    ({"id": "7", "ok": "true", "body": "the only words"}, "the only words"),
    (POEM, "床前明月光\n疑是地上霜"),
    ({"title": "x", "para": ["a", "b"]}, "a\nb"),
    ({"title": "x", "author": "y", "verses": ["a", "b"]}, "a\nb"),
    ({"content": "prose", "comment": ["a", "b"]}, "prose"),
    ({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}, "user: hi\n\nassistant: hello"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image"}]}]}, "user: hi"),
    ({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None}]}, "user: hi"),
    ({"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]}, "user: hi\n\nassistant: hello"),
    (
        {
            "conversations": [{"from": "human", "value": "hi"}],
            "chosen": {"from": "gpt", "value": "yes"},
            "rejected": {"from": "gpt", "value": "no"},
        },
        "user: hi\n\nassistant: yes",
    ),
    ({"prompt": "2+2=", "completion": " 4"}, "2+2= 4"),
    ({"prompt": "Say:\n", "response": "hi"}, "Say:\nhi"),
    ({"prompt": "q", "chosen": "a", "rejected": "b"}, "q\na"),
    ({"instruction": "add", "input": "1 2", "output": "3"}, "user: add\n1 2\n\nassistant: 3"),
    (
        {"instruction": "add", "input": "", "output": ["3", "4"], "history": [["hi", "ho"]]},
        "user: hi\n\nassistant: ho\n\nuser: add\n\nassistant: 3",
    ),
    ({"title": "x", "body": "y"}, None),
    ({"text": None}, None),
    ({"text": 5}, None),
    ({"text": {"a": "b"}}, None),
    ({"messages": "oops"}, "oops"),
    ({"messages": [1, "a", None, {"role": 3}]}, None),
    ({"instruction": None, "output": None, "history": 5}, None),
    ({}, None),
    (5, None),
    (None, None),
    ([], None),
]


@pytest.mark.parametrize(("row", "expected"), SHAPES, ids=[str(row)[:40] for row, _ in SHAPES])
def test_shapes(tmp_path: Path, row: Any, expected: str | None) -> None:
    """In JSON lines and, where the value is an object, as a whole file and in a list."""
    write(tmp_path, a_jsonl=lines([row]), z_txt="last")
    assert texts(tmp_path) == [expected] * (expected is not None) + ["last"]
    if isinstance(row, dict):
        write(tmp_path, a_json=json.dumps(row), b_json=json.dumps([row], indent=1))
        assert texts(tmp_path) == [expected] * 3 * (expected is not None) + ["last"]


def test_whole_json_files(tmp_path: Path) -> None:
    write(
        tmp_path, a_json=json.dumps(["x", "y"]), b_json=json.dumps(SQUAD), c_json=json.dumps("z"), d_json=json.dumps({"rows": [POEM, POEM]})
    )
    nested = {
        "title": "千家詩",
        "author": "x",
        "content": [{"type": "五言", "content": [{"chapter": "春眠", "author": "y", "paragraphs": ["a", "b"]}]}],
    }
    write(tmp_path, e_json=json.dumps(nested))
    poem = "床前明月光\n疑是地上霜"
    assert texts(tmp_path) == ["x\ny", "春天来了。\n\n什么来了？\n春天", "花开了。", "z", poem, poem, "a\nb"]


def test_json_lines_and_json_may_have_each_others_name(tmp_path: Path) -> None:
    write(tmp_path, a_json=lines([{"text": "one"}, {"text": "two"}]), b_jsonl=json.dumps([{"text": "three"}], indent=2))
    write(tmp_path, c_jsonl=json.dumps({"text": "four"}, indent=2))
    assert texts(tmp_path) == ["one", "two", "three", "four"]


def test_a_column_can_be_named(tmp_path: Path) -> None:
    write(
        tmp_path,
        a_jsonl=lines([{"text": "x", "body": "one"}, {"text": "y"}]),
        b_csv="title,body\nx,two\n",
        c_json=json.dumps([{"body": ["three", "3"]}]),
    )
    documents, skipped = read(tmp_path, column="body")
    assert [document.text for document in documents] == ["one", "two", "three\n3"]
    assert skipped == {"a.jsonl:2": "no column 'body'"}


def test_a_column_that_is_nowhere_is_one_sentence_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path, a_jsonl=lines([{"title": "x", "sentence": "one"}]), b_txt="text " * 999)
    with pytest.raises(TextError, match=r"no column 'sentense'.*expected one of title, sentence.*did you mean 'sentence'"):
        texts(tmp_path, column="sentense")
    with pytest.raises(TextError, match=r"no column 'text'.*rows with columns"):
        texts(tmp_path / "b.txt", column="text")


def test_where_the_column_cannot_be_seen_the_file_is_named_with_its_columns(tmp_path: Path) -> None:
    write(tmp_path, a_jsonl=lines([{"title": "x", "body": "y"}] * 50), b_txt="text")
    documents, skipped = read(tmp_path)
    assert [document.text for document in documents] == ["text"]
    assert skipped == {"a.jsonl": "no text column: name one of title, body with --column"}


TABLES = [
    ("a.tsv", 'label\ttext_a\n1\t好 "书\n0\t差\n', ['好 "书', "差"]),
    ("a.tsv", "sentence\tlabel\nwell-conceived \t1\nauthor 's \t0\n", ["well-conceived ", "author 's "]),
    ("a.tsv", "Fears for pensions\tBusiness\nA new rocket\tScience\nStocks fall\tBusiness\n" * 3, None),
    ("a.tsv", "".join(f"headline {i}\t{'ab'[i % 2]}bc\n" for i in range(30)), [f"headline {i}" for i in range(30)]),
    ("a.tsv", "".join(f"to title\tabstract {i}\ttitle {i}\n" for i in range(30)), None),
    ("a.csv", 'text,label\n"one, with ""quotes""",1\n"two\nlines",0\n\nthree,\n', ['one, with "quotes"', "two\nlines", "three"]),
    ("a.csv", "label;text\n1;one, two\n", ["one, two"]),
    ("a.csv", ",text\n0,one\n1,two\n", ["one", "two"]),
    ("a.csv", "text\none\ntwo", ["one", "two"]),
    ("a.csv", "id,sentence\n1,one\n2,two,three\n3,four\n4\n", ["one", "four"]),
    ("a.csv", "prompt,completion\n1+1=,2\n", ["1+1=\n2"]),
    ("a.csv", 'text,n\none,1\n"two,2\nthree,3\nfour,4\n', ["one", "three", "four"]),
    ("a.csv", 'text,n\none,1\ntwo "2" b,2\n5" pipe,3\n', ["one", 'two "2" b', '5" pipe']),
]


@pytest.mark.parametrize(("name", "table", "expected"), TABLES)
def test_tables(tmp_path: Path, name: str, table: str, expected: list[str] | None) -> None:
    (tmp_path / name).write_text(table)
    write(tmp_path, z_txt="last")
    assert texts(tmp_path) == [*(expected or []), "last"]


def test_a_quote_that_is_never_closed_costs_one_row(tmp_path: Path) -> None:
    rows = "".join(f"row {i},{i}\n" for i in range(3000))
    write(tmp_path, a_csv='text,n\n"broken,0\n' + rows)
    documents, skipped = read(tmp_path)
    assert [document.text for document in documents] == [f"row {i}" for i in range(3000)]
    assert skipped == {"a.csv:2": "a quote that is never closed"}


def test_a_cell_may_be_a_whole_book(tmp_path: Path) -> None:
    book = ENGLISH * 20_000
    write(tmp_path, a_csv=f'id,text\n1,"{book}"\n2,short\n')
    assert texts(tmp_path) == [book, "short"]


def test_broken_rows_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    good = json.dumps({"text": "good"})
    bad = {
        2: '{"text": "never ends',
        4: '{"text": "\\ud800"}',
        5: '{"text": ""}',
        6: '{"text": "  "}',
        7: "[" * 100_000,
        8: '{"text": ' + "9" * 5000 + "}",
        9: '{"other": 1}',
        11: "nonsense",
    }
    rows = [bad.get(number, good) for number in range(1, 12)]
    (tmp_path / "a.jsonl").write_bytes(
        "\n".join(rows).encode() + b'\n{"text": "zero \x00 byte"}\n{"text": "caf\xe9 and more ordinary words"}\n'
    )
    documents, skipped = read(tmp_path / "a.jsonl")
    assert [document.text for document in documents] == ["good"] * 3 + ["café and more ordinary words"]
    assert {int(place.split(":")[1]) for place in skipped} == {*bad, 12}
    assert skipped["a.jsonl:2"] == "broken JSON" and skipped["a.jsonl:7"] == "JSON nested too deeply"


def test_of_many_broken_rows_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    write(tmp_path, a_jsonl='{"text": "good"}\n' + "broken\n" * 1000)
    corpus = Corpus([str(tmp_path)])
    assert len(list(corpus)) == 1
    assert len(corpus.skipped) == 21
    assert sum(each.count for each in corpus.skipped) == 1000
    assert corpus.skipped[-1] == Skipped(f"{tmp_path / 'a.jsonl'}: more rows", "broken JSON", 980)


def test_a_packed_file_that_is_cut_gives_the_rows_before(tmp_path: Path) -> None:
    rows = lines([{"text": random.Random(i).randbytes(90).hex()} for i in range(2000)])
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(rows.encode())[:-5000])
    documents, skipped = read(tmp_path)
    assert 1000 < len(documents) < 2000
    assert skipped == {
        f"a.jsonl.gz:{len(documents) + 1}": "broken JSON",
        "a.jsonl.gz": f"broken gzip: the {len(documents):,} rows before are used",
    }


def test_a_packed_file_without_the_mark_of_its_end_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "leaf"}\n' * 3)[:-8])
    documents, skipped = read(tmp_path)
    assert [document.text for document in documents] == ["leaf"] * 3
    assert skipped == {"a.jsonl.gz": "broken gzip: the 3 rows before are used"}


def test_what_was_mended_is_told(tmp_path: Path) -> None:
    cut = SIMPLIFIED.encode()[:200]
    write(tmp_path, a_txt=cut)
    corpus = Corpus([str(tmp_path)])
    assert [document.text for document in corpus] == [cut.decode(errors="ignore")]
    assert corpus.repaired == [Repaired(str(tmp_path / "a.txt"), "cut off within its last character")]


def test_rubbish_never_stops_what_can_be_read(tmp_path: Path) -> None:
    """Forty awkward files, links, pipes and devices, and one good file."""
    corpus = Corpus([str(awkward(tmp_path))])
    assert [document.text for document in corpus] == [SIMPLIFIED * 10]
    named = {os.path.relpath(each.source, tmp_path): each.reason for each in corpus.skipped}
    assert {name.split("/")[0].split(":")[0] for name in named} == {path.name for path in tmp_path.iterdir()} - {"good.txt", ".git"}
    assert len(named) >= 40
    assert named["empty.txt"] == "empty"
    assert named["empty.gz"] == "empty"
    assert named["spaces.txt"] == "nothing but white space"
    assert named["png.bin"].startswith("not text") and named["pdf.bin"] == "not text: a PDF"
    assert named["cut.txt.gz"] == named["broken.gz"] == "broken gzip"
    assert named["bomb.txt.gz"] == named["bomb.jsonl.gz"] == "broken gzip: it unpacks to more than 200 times its size"
    assert named["deep.json"] == "JSON nested too deeply"
    assert named["two columns.csv"] == "no text column: name one of title, body with --column"
    assert named["surrogate.json:1"] == "half of a surrogate pair in it, which is no character"
    assert all(reason for reason in named.values())


def test_with_nothing_left_the_first_reasons_are_told(tmp_path: Path) -> None:
    awkward(tmp_path)
    (tmp_path / "good.txt").unlink()
    with pytest.raises(TextError, match=r"no text to learn from in .*\.hidden\.txt: hidden; .*; and [\d]+ more\)"):
        texts(tmp_path)


@pytest.mark.parametrize("given", [[], ["missing.txt"], ["empty folder"], ["*.rst"], ["a.txt", "missing.txt"]])
def test_inputs_that_hold_nothing_are_refused_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[str]
) -> None:
    monkeypatch.chdir(write(tmp_path, a_txt="text"))
    (tmp_path / "empty folder").mkdir()
    with pytest.raises(TextError):
        Corpus(given)


def test_excluded_files_are_passed_over_in_silence(tmp_path: Path) -> None:
    write(tmp_path, a_txt="one", b_txt="two", runs__c_txt="three")
    corpus = Corpus([str(tmp_path)], exclude=[tmp_path / "b.txt", tmp_path / "runs"])
    assert [document.text for document in corpus] == ["one"]
    assert corpus.skipped == []


@pytest.mark.skipif(os.name != "posix", reason="memory as POSIX counts it")
def test_rows_do_not_pile_up_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "a.jsonl").open("w") as file:
        file.writelines(json.dumps({"text": f"{i} " + "x" * 1000}) + "\n" for i in range(60_000))
    count = sum(1 for _ in Corpus([str(tmp_path)]))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert count == sum(1 for _ in Corpus([str(tmp_path)])) == 60_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # of 60 MB


NAMES = st.sampled_from(
    [
        *("text", "messages", "conversations", "prompt", "completion", "response", "chosen", "instruction", "output", "history", "system"),
        *("input", "content", "role", "from", "value", "data", "paragraphs", "context", "qas", "question", "answers", "title", "body", "1"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=9) | st.sampled_from(["user", "gpt", "hello"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)


@given(st.lists(JSON, min_size=1, max_size=5), st.sampled_from([None, "text", "content", "1"]))
def test_any_json_is_read_or_named(tmp_path_factory: pytest.TempPathFactory, values: list[Any], column: str | None) -> None:
    folder = tmp_path_factory.getbasetemp() / "json"
    write(
        folder,
        a_json=json.dumps(values),
        b_json=json.dumps({"rows": values}),
        c_jsonl=lines(values),
        z_jsonl=lines([{column or "text": "last"}]),
    )
    corpus = Corpus([str(folder)], column=column)
    documents = list(corpus)
    assert documents[-1].text == "last"
    assert all(document.text.encode() and "\r\n" not in document.text for document in documents)


@given(
    st.binary(max_size=300) | st.text('",;\t\n\r\\{}[]:abc字1', max_size=300).map(str.encode),
    st.sampled_from(["csv", "tsv", "jsonl", "json", "txt"]),
)
def test_any_bytes_are_read_or_named(tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str) -> None:
    folder = tmp_path_factory.getbasetemp() / f"any {kind}"
    write(folder, **{f"a_{kind}": data, "z_txt": "last"})
    corpus = Corpus([str(folder)])
    assert list(corpus)[-1].text == "last"
    assert corpus.num_files == 2


def test_big5_rows(tmp_path: Path) -> None:
    write(tmp_path, a_csv=("text\n" + TRADITIONAL).encode("big5"))
    assert texts(tmp_path) == TRADITIONAL.split("\n")[:-1]
