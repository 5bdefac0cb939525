"""What is held out: decided by the text alone, every byte on exactly one side, never too much and never nothing."""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from text.samples import ENGLISH, SIMPLIFIED, awkward, lines, write

from newleaf.errors import TextError
from newleaf.text.cut import tail_start
from newleaf.text.decide import chosen
from newleaf.text.document import Skipped
from newleaf.text.read import Corpus
from newleaf.text.rest import Changed, at_rest
from newleaf.text.split import Split, survey

CAP = 256_000
WORDS = ["新叶", "is", "a", "leaf", "。", "\n", "\n\n", " ", "👩‍👩‍👧‍👦", "é", "\t", "春眠不觉晓，处处闻啼鸟。\n", "x" * 90]


def corpus_of(folder: Path, texts: Sequence[str]) -> Corpus:
    """One document a row, through a file."""
    write(folder, a_jsonl=lines([{"text": text} for text in texts]))
    return Corpus([str(folder / "a.jsonl")])


def parts(split: Split, corpus: Corpus, val: Corpus | None = None) -> tuple[list[str], list[str]]:
    train, held_out = list(split.train_documents(corpus)), list(split.held_out_documents(val or corpus))
    assert sum(len(document.text.encode()) for document in train) == split.train_bytes
    assert sum(len(document.text.encode()) for document in held_out) == split.val_bytes
    return [document.text for document in train], [document.text for document in held_out]


def rejoined(train: Sequence[str], held_out: Sequence[str], texts: Sequence[str]) -> bool:
    """Whether each text stands on one side, or its head on the one and its tail on the other."""
    sides = {*train, *held_out}
    cut = {head + tail for tail in held_out for head in train if head + tail not in sides}
    return set(texts) <= sides | cut and sum(map(len, set(texts))) == sum(map(len, train)) + sum(map(len, held_out))


def poems(count: int, seed: int = 0) -> list[str]:
    random_words = random.Random(seed)
    return ["".join(random_words.choices(WORDS[:6], k=random_words.randint(5, 60))) + f"{i}" for i in range(count)]


@st.composite
def corpora(draw: st.DrawFn) -> list[str]:
    """Few or many documents, of one or of very different sizes, some of them twice."""
    word = st.sampled_from(WORDS)
    small = st.lists(word, min_size=1, max_size=20).map("".join)
    large = st.tuples(st.integers(1, 300), st.lists(word, min_size=1, max_size=9).map("".join)).map(lambda pair: pair[0] * pair[1])
    texts = draw(st.lists(small | large, min_size=1, max_size=12))
    texts += [f"{text} {i}" for i in range(draw(st.sampled_from([0, 0, 90, 130]))) for text in texts[:1]]
    return [text for text in texts + draw(st.lists(st.sampled_from(texts), max_size=3)) if text.strip()] or ["a leaf"]


@given(corpora(), st.sampled_from([100, 2000, CAP]), st.randoms())
@example(["a" * 2000], CAP, random.Random(0))
@example(["\n" * 2500 + "x"], CAP, random.Random(0))
@example(["新叶", "x\n新叶", "新叶" * 330], 100, random.Random(0))  # a document that is the tail of another
@example(["汉" * 21 for _ in range(1)] * 40 + ["字" * 700], CAP, random.Random(0))
def test_every_byte_is_on_one_side_whatever_the_order(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], cap: int, order: random.Random
) -> None:
    folder = tmp_path_factory.getbasetemp() / "split"
    corpus = corpus_of(folder, texts)
    if sum(len(text.encode()) for text in set(texts)) < 2000:
        with pytest.raises(TextError, match=r"bytes of text to learn from \(expected at least 2,000\)"):
            survey(corpus, None, cap)
        return
    split = survey(corpus, None, cap)
    train, held_out = parts(split, corpus)
    assert rejoined(train, held_out, texts)
    assert 0 < split.val_bytes <= cap and split.train_bytes > 0
    assert split.num_documents == len(set(texts)) and split.num_duplicates == len(texts) - len(set(texts))
    shuffled = order.sample(texts, len(texts))
    again = corpus_of(folder, shuffled)
    assert survey(again, None, cap) == split
    assert [set(side) for side in parts(split, again)] == [set(train), set(held_out)]


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60).map("".join))
def test_a_tail_is_the_last_tenth_cut_at_a_line(text: str) -> None:
    data = text.encode()
    start = tail_start(data)
    begins = [i for i in range(1, len(data)) if data[i - 1 : i] == b"\n" and i >= 0.8 * len(data) and data[i:].strip()]
    late = [i for i in begins if i >= 0.9 * len(data)]
    if late:
        assert start == min(late)
    elif begins:
        assert 0.8 * len(data) <= start < 0.9 * len(data) and data[start - 1 : start] == b"\n"
    else:
        assert 0.8 * len(data) <= start <= len(data)
    assert data[start:].decode() == text[len(data[:start].decode()) :]
    assert len(data) < 21 or start < len(data)


def test_identical_documents_count_once(tmp_path: Path) -> None:
    texts = [*poems(50), *poems(50), ENGLISH * 20]
    corpus = corpus_of(tmp_path, texts)
    split = survey(corpus, None, CAP)
    assert (split.num_documents, split.num_duplicates) == (51, 50)
    assert split.train_bytes + split.val_bytes == sum(len(text.encode()) for text in set(texts))
    assert len(parts(split, corpus)[0]) == 51


def test_from_a_hundred_documents_on_whole_ones_are_held_out_by_their_hash(tmp_path: Path) -> None:
    texts = poems(1000)
    corpus = corpus_of(tmp_path, texts)
    train, held_out = parts(survey(corpus, None, CAP), corpus)
    low = {text for text in texts if blake2b(text.encode(), digest_size=8).digest() < bytes.fromhex("1999999999999999")}
    assert set(held_out) == low and set(train) == set(texts) - low
    assert 60 < len(low) < 140


def test_membership_depends_on_no_other_document(tmp_path: Path) -> None:
    texts = poems(600)
    fewer, more = corpus_of(tmp_path / "fewer", texts[:300]), corpus_of(tmp_path / "more", texts)
    held_out = [set(parts(survey(corpus, None, CAP), corpus)[1]) for corpus in (fewer, more)]
    assert held_out[0] == held_out[1] & set(texts[:300])


def test_below_a_hundred_documents_the_last_tenth_of_each_is_held_out(tmp_path: Path) -> None:
    texts = [f"{i}: {SIMPLIFIED * 3}" for i in range(99)]
    corpus = corpus_of(tmp_path, texts)
    train, held_out = parts(survey(corpus, None, CAP), corpus)
    assert [head + tail for head, tail in zip(train, held_out, strict=True)] == texts
    assert all(
        head.endswith("\n") and 0.05 * len(tail + head) < len(tail) <= 0.11 * len(tail + head)
        for head, tail in zip(train, held_out, strict=True)
    )


def test_of_a_document_larger_than_a_tenth_only_the_last_tenth_is_held_out_always(tmp_path: Path) -> None:
    """Whether its hash is low or not."""
    for seed in range(30):
        large = f"{seed} " + ENGLISH * 2000
        corpus = corpus_of(tmp_path, [*poems(200, seed), large])
        train, held_out = parts(survey(corpus, None, CAP), corpus)
        assert large not in train and large not in held_out
        tail = next(text for text in held_out if large.endswith(text))
        assert 0.09 * len(large) < len(tail) <= 0.1 * len(large)
        assert large.removesuffix(tail) in train


def test_above_a_hundred_megabytes_a_fiftieth_is_held_out() -> None:
    hashes = np.sort(np.random.default_rng(0).integers(0, 2**64, 10_000, dtype=np.uint64))
    for size, share in ((10_000, 0.1), (10_001, 0.02)):
        whole, cut = chosen(hashes, np.full(10_000, size))
        assert not cut.any() and (whole == (hashes < share * 2.0**64)).all()


def test_however_the_hashes_fall_something_is_held_out_and_something_learned_from() -> None:
    for lowest, highest, expected in ((2**63, 2**64, 1), (0, 2**60, 99)):
        hashes = np.sort(np.random.default_rng(0).integers(lowest, highest, 100, dtype=np.uint64))
        assert chosen(hashes, np.full(100, 50))[0].sum() == expected


def test_of_one_large_document_the_end_that_fits_the_cap_is_held_out(tmp_path: Path) -> None:
    text = "".join(f"line {i}\n" for i in range(500_000))
    write(tmp_path, a_txt=text)
    corpus = Corpus([str(tmp_path)])
    split = survey(corpus, None, CAP)
    (head,), (tail,) = parts(split, corpus)
    assert head + tail == text and head.endswith("\n")
    assert CAP - 20 < split.val_bytes <= CAP


def test_without_line_ends_the_cut_is_between_characters(tmp_path: Path) -> None:
    write(tmp_path, a_txt="汉" * 1_000_000, b_txt="新叶" * 700)
    for name, expected in (("a.txt", CAP - CAP % 3), ("b.txt", 420)):
        corpus = Corpus([str(tmp_path / name)])
        split = survey(corpus, None, CAP)
        parts(split, corpus)
        assert split.val_bytes == expected


def test_pieces_over_the_cap_return_to_training_in_the_order_of_hashes(tmp_path: Path) -> None:
    texts = poems(3000)
    corpus = corpus_of(tmp_path, texts)
    every, some = (set(parts(survey(corpus, None, cap), corpus)[1]) for cap in (CAP, 5000))
    first = sorted(every, key=lambda text: blake2b(text.encode(), digest_size=8).digest())[: len(some)]
    assert some == set(first)
    assert 4500 < sum(len(text.encode()) for text in some) <= 5000


def test_a_small_first_piece_does_not_leave_the_cap_unused(tmp_path: Path) -> None:
    for seed in range(8):
        write(tmp_path, a_txt=f"a note, {seed}", b_txt=f"{seed}\n" + ENGLISH * 40_000)
        split = survey(Corpus([str(tmp_path)]), None, CAP)
        assert 0.9 * CAP < split.val_bytes <= CAP


def test_a_corpus_for_validation_is_held_out_and_leaves_the_training_part(tmp_path: Path) -> None:
    texts = poems(300)
    write(tmp_path / "val", b_jsonl=lines([{"text": text} for text in [*texts[:20], "not in the data", texts[0]]]))
    corpus, val = corpus_of(tmp_path / "data", texts), Corpus([str(tmp_path / "val")])
    split = survey(corpus, val, 10)
    train, held_out = parts(split, corpus, val)
    assert train == texts[20:]
    assert held_out == [*texts[:20], "not in the data", texts[0]]


def test_a_validation_file_inside_the_data_leaves_the_training_part(tmp_path: Path) -> None:
    write(tmp_path, a_txt=ENGLISH * 30, b_txt=SIMPLIFIED)
    corpus, val = Corpus([str(tmp_path)]), Corpus([str(tmp_path / "b.txt")])
    split = survey(corpus, val, CAP)
    assert parts(split, corpus, val) == ([ENGLISH * 30], [SIMPLIFIED])
    with pytest.raises(TextError, match=r"0 bytes of text .*beside what is held out"):
        survey(val, val, CAP)


def test_new_text_goes_to_training_unless_it_equals_something_held_out(tmp_path: Path) -> None:
    old, new = poems(300), ENGLISH * 40
    corpus = corpus_of(tmp_path / "old", old)
    first = survey(corpus, None, CAP)
    _, held_out = parts(first, corpus)
    more = corpus_of(tmp_path / "more", [*old, new])
    second = survey(more, None, CAP, known_held_out=json.loads(json.dumps(first.as_json()))["held_out"])
    assert [document.text for document in second.train_documents(more)] == [text for text in [*old, new] if text not in held_out]
    assert second.held_out == first.held_out and second.val_bytes == 0


def test_new_text_that_was_learned_from_before_is_not_learned_from_again(tmp_path: Path) -> None:
    old, new = poems(300), ENGLISH * 40
    first = survey(corpus_of(tmp_path / "old", old), None, CAP)
    more = corpus_of(tmp_path / "more", [*old[:200], new, new])
    second = survey(more, None, CAP, known_held_out=first.held_out, known_hashes=first.hashes)
    assert [document.text for document in second.train_documents(more)] == [new]
    assert (second.num_documents, second.num_duplicates, second.train_bytes) == (1, 201, len(new.encode()))
    with pytest.raises(TextError, match="0 bytes of text to learn from beside what is held out or known already"):
        survey(corpus_of(tmp_path / "same", old[:9]), None, CAP, known_held_out=first.held_out, known_hashes=first.hashes)


def test_a_document_that_was_cut_is_cut_again_at_the_same_place(tmp_path: Path) -> None:
    write(tmp_path, a_txt=ENGLISH * 40)
    corpus = Corpus([str(tmp_path)])
    first = survey(corpus, None, CAP)
    (head,), (tail,) = parts(first, corpus)
    write(tmp_path, b_txt=SIMPLIFIED, c_txt=tail)
    more = Corpus([str(tmp_path)])
    second = survey(more, None, CAP, known_held_out=first.held_out)
    assert [document.text for document in second.train_documents(more)] == [head, SIMPLIFIED]
    assert second.train_bytes == len((head + SIMPLIFIED).encode())


def test_text_that_changes_between_two_readings_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, a_txt=ENGLISH * 40, b_txt=SIMPLIFIED)
    corpus = Corpus([str(tmp_path)])
    split = survey(corpus, None, CAP)
    write(tmp_path, b_txt=SIMPLIFIED + "one more line\n")
    with pytest.raises(Changed, match=r"b\.txt changed while it was being read"):
        list(split.train_documents(corpus))
    split = survey(corpus, None, CAP)
    assert parts(split, corpus)[0][0] in ENGLISH * 40
    with pytest.raises(Changed, match=r"a\.txt changed while it was being read"):
        write(tmp_path, a_txt=ENGLISH * 41)
        list(split.held_out_documents(corpus))


def read_while(corpus: Corpus, meanwhile: Callable[[], object]) -> tuple[Split, list[str], list[str], int]:
    """The split and both parts in the end, and how often it was begun anew, when something happens after each survey."""
    told: list[str] = []

    def work() -> tuple[Split, list[str], list[str]]:
        split = survey(corpus, None, CAP)
        meanwhile()
        return split, *parts(split, corpus)

    return *at_rest(work, lambda en, zh: told.append(en)), len(told)


def grow(path: Path) -> None:
    with path.open("a") as file:
        file.write('{"text": "one more line"}\n')


@pytest.mark.parametrize("name", ["log.txt", "log.jsonl", "log.csv"])
@pytest.mark.parametrize("change", [grow, lambda path: path.write_bytes(b""), lambda path: path.unlink(missing_ok=True)])
def test_a_file_that_changes_while_it_is_read_is_left_out_and_named(tmp_path: Path, name: str, change: Callable[[Path], object]) -> None:
    write(tmp_path, a_txt=ENGLISH * 40, z_txt=SIMPLIFIED)
    without = survey(Corpus([str(tmp_path)]), None, CAP).as_json()
    (tmp_path / name).write_text('text\n{"text": "a line of a log"}\n' * 30)
    split, train, held_out, again = read_while(Corpus([str(tmp_path)]), lambda: change(tmp_path / name))
    assert not [text for text in train + held_out if "log" in text]
    assert again == 1
    assert split.skipped == [Skipped(str(tmp_path / name), "changed while it was being read")]
    assert {key: split.as_json()[key] for key in ("files", "documents", "bytes", "train_bytes", "val_bytes", "scripts", "held_out")} == {
        key: without[key] for key in ("files", "documents", "bytes", "train_bytes", "val_bytes", "scripts", "held_out")
    }


def test_all_files_that_have_changed_are_left_out_at_once(tmp_path: Path) -> None:
    write(tmp_path, a_txt=ENGLISH * 40, **{f"log{i}_txt": f"log {i}" for i in range(9)})
    split, *_, again = read_while(Corpus([str(tmp_path)]), lambda: [grow(path) for path in tmp_path.glob("log*")])
    assert again == 1
    assert len(split.skipped) == split.as_json()["skipped_counts"]["changed while it was being read"] == 9


def test_a_file_that_comes_later_is_left_out_and_named_and_the_rest_stands(tmp_path: Path) -> None:
    write(tmp_path, b_txt=ENGLISH * 40)
    corpus = Corpus([str(tmp_path)])
    split, *_, again = read_while(corpus, lambda: write(tmp_path, a_txt=SIMPLIFIED, c_jsonl=lines([{"text": "new"}] * 9)))
    assert again == 0
    assert [Path(each.source).name for each in split.skipped] == ["a.txt", "c.jsonl"]
    assert split.as_json()["skipped_counts"] == {"changed while it was being read": 2}


@pytest.mark.parametrize("change", [grow, lambda path: path.unlink(missing_ok=True)])
def test_if_nothing_else_is_left_the_sentence_says_why(tmp_path: Path, change: Callable[[Path], object]) -> None:
    write(tmp_path, log_txt=ENGLISH * 40)
    with pytest.raises(TextError, match=r"no text to learn from in .* \(.*log\.txt: changed while it was being read\)"):
        read_while(Corpus([str(tmp_path / "log.txt")]), lambda: change(tmp_path / "log.txt"))


def test_a_validation_file_that_changes_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, a_txt=ENGLISH * 40, val__b_txt=SIMPLIFIED, val__c_txt=ENGLISH)
    corpus, val = Corpus([str(tmp_path / "a.txt")]), Corpus([str(tmp_path / "val")])
    split = survey(corpus, val, CAP)
    grow(tmp_path / "val" / "b.txt")
    with pytest.raises(Changed, match=r"b\.txt changed"):
        list(split.held_out_documents(val))
    split = survey(corpus, val, CAP)
    assert parts(split, corpus, val)[1] == [ENGLISH]
    assert [Path(each.source).name for each in split.skipped] == ["b.txt"]


@pytest.mark.parametrize("texts", [["a" * 1999], ["春" * 20] * 1000, ["x"] * 5000, [f"{i}" for i in range(300)]])
def test_less_than_two_thousand_bytes_are_too_few(tmp_path: Path, texts: list[str]) -> None:
    with pytest.raises(TextError, match=r"there are [\d,]+ bytes of text to learn from \(expected at least 2,000\); add more text"):
        survey(corpus_of(tmp_path, texts), None, CAP)


def test_the_manifest_tells_what_was_read_and_left_out(tmp_path: Path) -> None:
    corpus = Corpus([str(awkward(tmp_path))])
    split = survey(corpus, None, CAP)
    manifest = json.loads(json.dumps(split.as_json(), ensure_ascii=False, allow_nan=False))
    assert manifest["bytes"] == manifest["train_bytes"] + manifest["val_bytes"] == len(SIMPLIFIED.encode()) * 10
    assert (manifest["documents"], manifest["duplicates"]) == (1, 0)
    assert manifest["num_skipped"] == sum(manifest["skipped_counts"].values()) >= 40
    assert manifest["skipped_counts"]["not text"] >= 10
    assert manifest["scripts"]["han"] > 1500 and manifest["scripts"]["latin"] == 0
    assert {"source": str(tmp_path / "empty.txt"), "reason": "empty", "count": 1} in manifest["skipped"]


def test_another_process_decides_the_same(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, poems(150))
    program = (
        "import sys, json; from newleaf.text.read import Corpus; from newleaf.text.split import survey\n"
        "print(json.dumps(survey(Corpus(sys.argv[1:]), None, 256000).as_json()))"
    )
    done = subprocess.run([sys.executable, "-c", program, *corpus.inputs], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == survey(corpus, None, CAP).as_json()
