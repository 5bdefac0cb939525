"""A tiny model writes more examples: which of them pass, what is measured, and what a person reads."""

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import newleaf
from newleaf import fsio
from newleaf.cli.augment import said
from newleaf.cli.main import run
from newleaf.generation.engine import Engine, Sample
from newleaf.jobs.author import LIKELY, MOST_TRIES, Author, Tried
from newleaf.runs import Run, read_lines
from newleaf.text.examples import Labelled
from newleaf.text.similar import Texts
from newleaf.training.loop import Loop
from newleaf.training.planfile import read_plan
from newleaf.training.prepare import read_manifest

WORDS = {
    "when": ["today", "at noon", "before dawn", "last week", "all year", "in March", "tonight", "by chance", "again", "for once"],
    "how": ["slowly", "gladly", "without a word", "in haste", "twice", "with care", "loudly", "alone", "badly", "in vain"],
    "where": ["by the river", "on a roof", "under oaks", "near town", "at sea", "in the mill", "on ice", "at home", "in a tent", "abroad"],
}
ANIMALS = {
    "bird": ["a heron sings", "a robin flies", "an owl calls", "a goose lands"],
    "fish": ["a trout swims", "a carp dives", "an eel hides"],
}
TINY = {"model.width": 64, "model.depth": 1, "model.context": 64, "train.threads": 1, "train.precision": "float32"}
SETTINGS = {"train.threads": 1, "train.precision": "float32"}
WAY = ["--steps", "60", "--train.threads", "1", "--train.precision", "float32"]


def sentences(count: int, seed: int) -> list[dict[str, str]]:
    draw, found = random.Random(seed), dict[str, str]()
    while len(found) < count:
        label = draw.choice(["bird", "bird", "fish"])
        found[" ".join([draw.choice(ANIMALS[label]), *map(draw.choice, WORDS.values())])] = label
    return [{"text": text, "label": label} for text, label in found.items()]


def write(name: str, rows: list[dict[str, str]]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has read such sentences."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "text.txt").write_text("\n".join(row["text"] for row in sentences(800, seed=5)), "utf-8")
    newleaf.train(folder / "text.txt", out=folder / "run", steps=250, settings=TINY)
    return folder / "run"


@pytest.fixture(scope="module")
def finished(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything was done."""
    folder = tmp_path_factory.mktemp("augment")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write("data.jsonl", sentences(120, seed=1))
        Path("base").symlink_to(base)
        found = newleaf.augment("base", "data.jsonl", out="more.jsonl", n=12, steps=60, settings=SETTINGS)
        Path("found.json").write_text(json.dumps(found), "utf-8")
    return folder


@pytest.fixture
def place(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the model and its examples."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(finished / "data.jsonl", tmp_path)
    shutil.copytree(finished / "base", tmp_path / "base")
    return tmp_path


@pytest.fixture
def done(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The figures of what was done; the working folder is a copy."""
    shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    asked = Path("more.runs/asked.json")
    asked.write_text(asked.read_text("utf-8").replace(str(finished), str(tmp_path / "copy")), "utf-8")
    found: dict[str, Any] = json.loads(Path("found.json").read_text("utf-8"))
    return found


def augment(out: str, *words: str) -> int:
    return run(["augment", "base", "data.jsonl", "--out", out, "--n", "12", *WAY, *words])


def parts() -> dict[str, list[dict[str, Any]]]:
    return {name: read_lines(Path("more.runs", f"{name}.jsonl")) for name in ("train", "held-out", "written", "accepted")}


def author(seed: int = 0) -> Author:
    """Of the finished runs."""
    train, held_out = ([Labelled((row["text"],), row["label"]) for row in parts()[name]] for name in ("train", "held-out"))
    return Author(newleaf.load("more.runs/writer"), newleaf.load("more.runs/without"), train, held_out, 12, seed)


def test_the_file_holds_what_passed_and_the_figures_are_those_of_the_runs(done: dict[str, Any]) -> None:
    rows, written = read_lines(Path("more.jsonl")), parts()["written"]
    assert 0 < len(rows) == done["written"] <= 12
    assert all(row.keys() == {"text", "label"} for row in rows)
    assert rows == [{"text": row["text"], "label": row["label"]} for row in written if row["rejected"] is None]
    assert done["rejected"] == len(written) - len(rows) == sum(done["reasons"].values())
    assert sum(done["labels"].values()) == done["written"]
    summaries = {name: json.loads(Path("more.runs", name, "summary.json").read_text("utf-8")) for name in ("writer", "without", "with")}
    for name in ("without", "with"):
        assert done[f"accuracy_{name}"] == summaries[name]["metrics"]["accuracy"]
        assert (summaries[name]["steps"], summaries[name]["stopped_by"]) == (done["steps"], "budget")
    assert done["gain"]["value"] == pytest.approx(done["accuracy_with"]["value"] - done["accuracy_without"]["value"])
    assert done["verdict"] in ("helps", "harms", "unclear")
    assert all(newleaf.verify(Path("more.runs", name))["ok"] for name in summaries)


def test_the_second_classifier_repeats_the_first_with_more_examples(done: dict[str, Any]) -> None:
    plans = [read_plan(Run(Path("more.runs", name)))[0] for name in ("without", "with")]
    assert (plans[0].recipe, plans[0].last_step, plans[0].seed) == (plans[1].recipe, plans[1].last_step, plans[1].seed)
    counts = [read_manifest(Run(Path("more.runs", name))) for name in ("without", "with")]
    assert counts[1]["train"]["num_examples"] == counts[0]["train"]["num_examples"] + done["written"]
    assert counts[0]["val"] == counts[1]["val"]


def test_what_is_held_out_is_seen_by_nobody(done: dict[str, Any]) -> None:
    held_out, train = ({row["text"] for row in parts()[name]} for name in ("held-out", "train"))
    assert {row["text"] for row in read_lines(Path("data.jsonl"))} == held_out | train
    assert (len(held_out), len(train)) == (12, 108)
    for name in ("writer", "without", "with"):
        assert not held_out & set(texts_in(Path("more.runs", name, "data/train.jsonl")))
    assert not held_out & set(texts_in(Path("more.runs/writer/data/val.jsonl")))
    texts = Texts()
    for text in held_out | train:
        texts.add(text, "there")
    for row in read_lines(Path("more.jsonl")):
        assert texts.near(row["text"]) is None
        texts.add(row["text"], "before")


def texts_in(path: Path) -> list[str]:
    """Of examples as a run keeps them."""
    return [row["texts"][0] if "texts" in row else row["turns"][-1][1] for row in read_lines(path)]


def test_each_text_is_rejected_for_its_reason(done: dict[str, Any]) -> None:
    judge, known = author(), parts()
    train, held_out = (max(known[name], key=lambda row: len(row["text"])) for name in ("train", "held-out"))
    for row, reason in ((train, "copy"), (held_out, "held out")):
        text = row["text"]
        for copy in (text, text.upper(), text.replace(" ", "  "), text[2:], f"{text} now"):
            assert judge.why_not(row["label"], copy) == reason, copy
    accepted = known["accepted"][0]
    assert judge.why_not(accepted["label"], accepted["text"]) is None
    assert judge.why_not(accepted["label"], "") == "unfinished"
    assert judge.why_not(accepted["label"], "half a \ufffd") == "unfinished"
    assert judge.why_not(accepted["label"], "an eel") == "too short"
    other = "fish" if accepted["label"] == "bird" else "bird"
    assert judge.why_not(other, accepted["text"]) == "other label"
    judge.judge.classify = lambda text, second=None: {accepted["label"]: LIKELY - 0.01}  # type: ignore[method-assign]
    assert judge.why_not(accepted["label"], accepted["text"]) == "unsure"
    judge.count(Tried(accepted["label"], accepted["text"], None, 0.0))
    assert judge.why_not(accepted["label"], accepted["text"]) == "repeated"


def test_labels_are_tried_in_the_proportions_of_the_examples(done: dict[str, Any]) -> None:
    judge, tried = author(), list[str]()
    while (label := judge.next_label()) is not None:
        tried.append(label)
        judge.count(Tried(label, "", "unsure", 0.0))
    wanted = judge.wanted
    assert sum(wanted.values()) == 12
    assert wanted["bird"] > wanted["fish"] > 0
    assert {name: tried.count(name) for name in wanted} == {name: MOST_TRIES * count for name, count in wanted.items()}
    assert abs(tried[:12].count("bird") - wanted["bird"]) <= 1


def test_another_seed_writes_other_texts(done: dict[str, Any]) -> None:
    first, again, other = ([writer.one(label).text for label in ("bird", "fish", "bird")] for writer in map(author, (0, 0, 1)))
    assert first == again != other
    assert first[0] == parts()["written"][0]["text"]


def test_a_command_that_broke_off_goes_on_to_the_same_file(
    place: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        after_step = Loop._after_step

        def cut(loop: Loop) -> None:
            after_step(loop)
            if loop.state.step == 40 and "without" in str(loop.folder):
                raise RuntimeError("the plug was pulled")

        patch.setattr(Loop, "_after_step", cut)
        assert augment("more.jsonl") == 1
    with monkeypatch.context() as patch:
        count = Author.count

        def stop(self: Author, tried: Tried) -> None:
            count(self, tried)
            if self.tries.total() == 5:
                raise KeyboardInterrupt

        patch.setattr(Author, "count", stop)
        capsys.readouterr()
        assert augment("more.jsonl", "--json") == 130
        out, err = capsys.readouterr()
        assert err.splitlines()[-1] == "stopped by a signal, everything is saved; the same command goes on."
        assert json.loads(out)["error"]["type"] == "Interrupted"
    assert not Path("more.jsonl").exists()
    assert augment("more.jsonl", "--json") == 0
    found, whole = json.loads(capsys.readouterr().out), json.loads((finished / "found.json").read_text("utf-8"))
    assert Path("more.jsonl").read_bytes() == (finished / "more.jsonl").read_bytes()
    assert {name: found[name] for name in found if name != "seconds"} == {name: whole[name] for name in whole if name != "seconds"}
    models = [folder / "more.runs/with/model.safetensors" for folder in (place, finished)]
    assert fsio.sha256(models[0]) == fsio.sha256(models[1])


def test_what_is_finished_is_not_done_again_and_chinese_is_spoken(
    done: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Path("more.jsonl").read_bytes()
    Path("more.jsonl").unlink()
    monkeypatch.setattr(Author, "one", None)
    monkeypatch.setattr(Loop, "run", None)
    monkeypatch.setenv("NEWLEAF_LANG", "zh")
    assert augment("more.jsonl") == 0
    out, err = capsys.readouterr()
    assert Path("more.jsonl").read_bytes() == before
    lines = out.splitlines()
    assert lines[0] == f"more.jsonl：写入 {done['written']} 条新样例，舍去 {done['rejected']} 条"
    assert lines[-2].startswith("12 个留出样例上的准确率：不用它们 ")
    assert lines[-1].startswith("这里")
    assert len(lines) == 3 + sum(count > 0 for count in done["reasons"].values())
    assert "第三步，共四步：写新样例，并逐条判断" in err
    assert not re.findall(r"(?<![\w./-])[A-Za-z]{2,}(?![\w./-])", out + err)


@pytest.mark.parametrize(
    ("figures", "sentence", "chinese"),
    [
        ((0.1, 0.02, "helps"), "They help here: the difference is +10.0 % (± 2.0).", "这里有用：准确率变化 +10.0 %（± 2.0）。"),
        (
            (-0.1, 0.02, "harms"),
            "They do not help here, they harm: the difference is -10.0 % (± 2.0).",
            "这里没有用，反而有害：准确率变化 -10.0 %（± 2.0）。",
        ),
        (
            (0.01, 0.02, "unclear"),
            "They do not help here: the difference, +1.0 % (± 2.0), is within the error of 1,200 examples.",
            "这里看不出有用：准确率变化 +1.0 %（± 2.0），在 1,200 个样例的误差之内。",
        ),
    ],
)
def test_the_verdict_is_a_plain_sentence(figures: tuple[float, float, str], sentence: str, chinese: str) -> None:
    value, stderr, verdict = figures
    accuracy = {"value": 0.8, "stderr": 0.01}
    found = {"written": 3, "rejected": 0, "out": "a.jsonl", "reasons": {}, "held_out": 1200, "verdict": verdict}
    found |= {"accuracy_without": accuracy, "accuracy_with": accuracy, "gain": {"value": value, "stderr": stderr}}
    assert said(found, chinese=False).splitlines()[-1] == sentence
    assert said(found, chinese=True).splitlines()[-1] == chinese


def test_where_nothing_passes_it_says_so(done: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    held_out = max((row["text"] for row in parts()["held-out"]), key=len)
    Path("more.jsonl").unlink()
    for name in ("written.jsonl", "accepted.jsonl", "with"):
        fsio.remove_tree(Path("more.runs", name))
    monkeypatch.setattr(Engine, "generate", lambda *_: [Sample(held_out, [], "end")])  # it has learned one by heart
    assert augment("more.jsonl", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["written"], found["rejected"]) == (0, 60)
    assert found["reasons"]["held out"] == 60
    assert (found["accuracy_with"], found["gain"], found["verdict"]) == (None, None, None)
    assert found["accuracy_without"] == done["accuracy_without"]
    assert Path("more.jsonl").read_bytes() == b""
    Path("more.jsonl").unlink()
    assert augment("more.jsonl") == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("None passed; the accuracy without any is ")


def test_the_file_has_the_columns_of_the_data_so_that_tune_reads_both(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = read_lines(Path("data.jsonl"))
    Path("data.tsv").write_text("\n".join(["stars\tsaid", *(f"{row['label']}\t{row['text']}" for row in rows)]), "utf-8")
    monkeypatch.setattr(Author, "why_not", lambda self, label, text: self.texts.near(text) if text else "unfinished")  # nobody judges
    named = ["--label", "stars", "--input", "said"]
    few = ["--steps", "2", "--train.threads", "1"]
    assert run(["augment", "base", "data.tsv", "--out", "more.jsonl", "--n", "3", *few, *named, "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    assert 0 < written <= 3
    assert all(row.keys() == {"said", "stars"} for row in read_lines(Path("more.jsonl")))
    words = ["--task", "classify", "--val", "more.runs/held-out.jsonl", "--out", "out", "--tune.baselines", "false"]
    assert run(["tune", "base", "data.tsv", "more.jsonl", *words, *few, *named]) == 0
    manifest = read_manifest(Run(Path("out")))
    assert (manifest["train"]["num_examples"], manifest["val"]["num_examples"]) == (108 + written, 12)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("base data.jsonl", "--out is missing (expected newleaf augment MODEL DATA --out FILE.jsonl)."),
        ("base --out more.jsonl", "DATA is missing (expected newleaf augment MODEL DATA --out FILE.jsonl)."),
        ("base data.jsonl --out more.txt", "--out is more.txt (expected a file that ends in .jsonl)."),
        ("base data.jsonl --out data.jsonl", "data.jsonl exists (expected a new name); remove it, or choose another."),
        ("base data.jsonl --out no/more.jsonl", "no/more.jsonl: no is no folder (expected a folder that exists); make it first."),
        ("base dato.jsonl --out more.jsonl", "dato.jsonl does not exist; did you mean data.jsonl?"),
        ("base data.jsonl --out more.jsonl --val dato.jsonl", "dato.jsonl does not exist; did you mean data.jsonl?"),
        (
            "base few.jsonl --out more.jsonl",
            "there are 49 examples (expected at least 50, so that some can be held out); add more, or name held-out ones with --val.",
        ),
        ("base one.jsonl --out more.jsonl", "all examples have the label 'bird' (expected two labels or more)."),
        ("base pairs.jsonl --out more.jsonl", "an example has two texts (expected one text and its label)."),
        (
            "base data.jsonl --second-input b --out more.jsonl",
            "--second-input: an example has two texts (expected one text and its label).",
        ),
        (
            "base data.jsonl --val data.jsonl --out more.jsonl",
            "every example is held out by --val (expected other examples than DATA has).",
        ),
        ("./nowhere data.jsonl --out more.jsonl", "nowhere is no model (expected a run directory, a model's folder or a hub name)"),
        ("base data.jsonl --out more.jsonl --tune.labels text", "tune.labels: the classifiers need a head; leave tune.labels out."),
        ("base data.jsonl --out more.jsonl --n 0", "--n is 0 (expected at least 1)."),
        ("base data.jsonl --out more.jsonl --seed -1", "--seed is -1 (expected a whole number from 0 up)."),
        ("base data.jsonl --out more.jsonl --minutes 1", "the budget is given by --minutes and --steps (expected one of "),
        ("base data.jsonl --out more.jsonl --optim.lrr 1", "unknown setting 'optim.lrr'; did you mean 'optim.lr'?"),
        ("base data.jsonl --out taken.jsonl", "taken.runs holds something that is no run of newleaf (thesis.doc)"),
    ],
)
def test_it_is_one_sentence_before_anything_is_written(words: str, sentence: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = read_lines(Path("data.jsonl"))
    write("few.jsonl", rows[:49])
    write("one.jsonl", [row for row in rows if row["label"] == "bird"])
    write("pairs.jsonl", [row | {"text_b": "and"} for row in rows])
    Path("taken.runs").mkdir()
    Path("taken.runs/thesis.doc").write_text("precious")
    before = sorted(place.rglob("*"))
    assert run(["augment", *words.split(), "--steps", "2"]) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]
    assert sorted(place.rglob("*")) == before


def test_a_classifier_writes_nothing(done: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["augment", "more.runs/without", "data.jsonl", "--out", "other.jsonl", "--steps", "2"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "more.runs/without tells labels apart and writes no text; newleaf evaluate measures it."
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--n", "5"], "--n is 5 here, but more.runs was begun with 12; give what was given then, remove the folder, or "),
        (["--steps", "9"], "the budget is 9 steps here, but more.runs was begun with 60 steps; "),
        (["--seed", "4"], "--seed is 4 here, but more.runs was begun with 0; "),
        (["--optim.lr", "0.5"], "--optim.lr is 0.5 here, but more.runs was begun with None; "),
    ],
)
def test_who_goes_on_asks_for_the_same(words: list[str], sentence: str, done: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    Path("more.jsonl").unlink()
    asked = {"--n": "12", "--steps": "60", "--train.threads": "1", "--train.precision": "float32", words[0]: words[1]}
    assert run(["augment", "base", "data.jsonl", "--out", "more.jsonl", *(word for pair in asked.items() for word in pair)]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(sentence)
    assert not Path("more.jsonl").exists()
