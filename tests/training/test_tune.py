"""A tiny model is tuned for each kind of task, stopped and resumed, and read by others."""

import contextlib
import io
import json
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pages import blocks
from training.examples import DATA, SEASONS, STEPS, WAYS
from training.test_choices import planned

import newleaf
from newleaf import fsio
from newleaf.checkpoint import store
from newleaf.cli.console import Console
from newleaf.cli.main import run
from newleaf.conversion.huggingface import read_model
from newleaf.conversion.wording import BY_HEART
from newleaf.jobs import tune_setup
from newleaf.jobs.loaded import Model
from newleaf.jobs.tune_setup import LEAST_STEPS, gentle
from newleaf.model.lora import Adapted
from newleaf.optim.settings import OptimSettings
from newleaf.runs import Run, read_lines
from newleaf.text.examples import Labelled
from newleaf.training.choices import make_plan
from newleaf.training.clock import Budget, Pace
from newleaf.training.encode import Encoder
from newleaf.training.loop import Loop
from newleaf.training.prepare import read_manifest
from newleaf.training.settings import Recipe, TuneSettings
from newleaf.training.tasks import Kind

CLOCKS = {"seconds", "tokens_per_second"}


def tune(way: str, out: str, *words: str) -> int:
    task = way.split()[0]
    return run(["tune", "base", f"{task}.jsonl", "--task", task, "--out", out, *STEPS, *WAYS[way], *words])


def summary(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(out, "summary.json").read_text("utf-8"))
    return found


def lines(out: str) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row if key not in CLOCKS} for row in read_lines(Path(out, "metrics.jsonl"))]


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_broke_off_goes_on_to_the_same_bits(way: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tune(way, "whole", "--tune.baselines", "false") == 0
    with monkeypatch.context() as patch:
        real = Loop._after_step

        def cut(loop: Loop) -> None:
            real(loop)
            if loop.state.step == 7:
                raise RuntimeError("the plug was pulled")

        patch.setattr(Loop, "_after_step", cut)
        assert tune(way, "half", "--tune.baselines", "false") == 1
    assert run(["tune", "--resume", "--out", "half"]) == 0
    assert lines("half") == lines("whole")
    assert fsio.sha256(Path("half/model.safetensors")) == fsio.sha256(Path("whole/model.safetensors"))
    first, second = (store.latest(Path(out, "checkpoints"))[0] for out in ("half", "whole"))
    assert first is not None
    assert second is not None
    assert all(torch.equal(first.optimizer[name], second.optimizer[name]) for name in second.optimizer)
    assert newleaf.verify("half")["ok"]


@pytest.mark.parametrize("task", DATA)
def test_each_task_has_its_figures_beside_what_has_to_be_beaten(task: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune(task, "out", "--json") == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found == summary("out")
    hint = "evaluate out FILE" if task in ("classify", "qa") else "chat out"
    assert printed.err.endswith(f"try: newleaf {hint}\n")
    main = {"classify": "accuracy", "prefer": "reward_accuracy"}.get(task, "stops")
    assert 0 <= found["metrics"][main]["value"] <= 1
    assert {"untuned", "from scratch"} <= found["baselines"].keys()
    assert ("majority" in found["baselines"]) == (task == "classify")
    assert ("copy the input" in found["baselines"]) == (task in ("translate", "qa", "complete"))
    assert set(found["forgotten"]) == (set() if task == "classify" else {"before", "after"})
    assert (found["task"], found["steps"], found["stopped_by"]) == (task, 12, "budget")
    assert ("originality" in found) == (task != "classify")
    if task not in ("classify", "prefer"):  # which write nothing to be judged
        assert found["originality"]["tokens"] > 0
        assert found["originality"]["held_out"]["longest_copy"] > 0
    report = Path("out/report.html").read_text("utf-8")
    for heading in ('id="result"', 'id="samples"', 'id="curves"', 'id="text"'):
        assert heading in report
    assert 'id="held_out_in_part"' not in report
    assert ("Held-out bits per byte" in report) == (task not in ("classify", "prefer"))
    assert "--extend" not in report and "newleaf train" not in report
    assert ("newleaf chat" in report) == (task not in ("classify", "qa"))
    capsys.readouterr()
    assert run(["evaluate", "out", "--json"]) == 0  # what the run held out
    assert json.loads(capsys.readouterr().out)["examples"] == read_manifest(Run(Path("out")))["val"]["num_examples"]
    assert ("forgetting" in report) == (task != "classify")


def run_the_card(out: str) -> str:
    """What the program on a run's model card prints."""
    program, *_ = blocks(Path(out, "README.md"), "python")
    with contextlib.chdir(out), contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(program, "README.md", "exec"), {})
    return said.getvalue()


def test_a_tuned_model_reads_what_transformers_makes_of_its_template(place: Path) -> None:
    transformers = pytest.importorskip("transformers")
    assert tune("chat", "out") == 0
    model, theirs = newleaf.load("out"), transformers.AutoTokenizer.from_pretrained("out")
    talk = [{"role": "user", "content": "1 + 1?"}]
    assert theirs.apply_chat_template(talk, add_generation_prompt=True, return_dict=False) == model.renderer.ids(talk)
    assert model.ends == [0, model.tokenizer.special_tokens["<|im_end|>"]]
    judge = transformers.AutoModelForCausalLM.from_pretrained("out", dtype=torch.float32)
    ids = torch.tensor([model.renderer.ids(talk)])
    torch.testing.assert_close(model.logits(ids), judge(ids).logits, rtol=0, atol=1e-4)
    said = run_the_card("out")
    assert "QUESTION" not in said and "<|im" not in said
    assert isinstance("".join(model.answer(talk)), str)


def test_a_classifier_is_one_for_transformers_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transformers = pytest.importorskip("transformers")
    assert tune("classify", "out", "--tune.baselines", "false") == 0
    model = newleaf.load("out")
    assert model.labels == sorted(SEASONS)
    found = model.classify("a day in winter")
    judge = transformers.pipeline("text-classification", "out", top_k=None)(["a day in winter"])[0]
    assert {row["label"]: pytest.approx(row["score"], abs=1e-5) for row in judge} == found
    assert any(f"'label': '{label}'" in run_the_card("out") for label in SEASONS)
    capsys.readouterr()
    assert run(["evaluate", "out", "classify.jsonl", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured.keys() == {"examples", "accuracy", "macro_f1", "calibration_error"}
    assert measured["examples"] == 80
    rows = Path("classify.jsonl").read_text("utf-8")
    Path("more.jsonl").write_text(rows + '{"text": "a day without a label", "label": ""}\n' * 3, "utf-8")
    assert run(["evaluate", "out", "more.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == measured | {"left_out": 3}
    assert run(["evaluate", "out", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"]["value"] == summary("out")["metrics"]["accuracy"]["value"]
    for words in (["generate", "out", "spring"], ["chat", "out"]):
        assert run(words) == 2
        assert capsys.readouterr().err == "out tells labels apart and writes no text; newleaf evaluate measures it.\n"


def test_a_classifier_goes_out_to_transformers_with_proof_and_not_to_llama_cpp(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("transformers")
    assert tune("classify", "out", "--tune.baselines", "false") == 0
    found = newleaf.export("out", "again", to="hf")
    assert (found["ids_equal"], found["greedy_equal"], found["max_logit_difference"] < 1e-4) == (True, True, True)
    assert newleaf.load("again").classify("a day in winter") == pytest.approx(newleaf.load("out").classify("a day in winter"))
    capsys.readouterr()
    assert run(["export", "out", "--to", "hf", "third"]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip().endswith("; likeliest labels equal") and printed.err == "try: newleaf evaluate third FILE\n"
    assert run(["export", "out", "--to", "gguf", "out.gguf"]) == 2
    assert "out tells labels apart and writes no text; export it to hf." in capsys.readouterr().err
    assert not Path("out.gguf").exists()


@pytest.mark.parametrize("way", ["chat", "classify by text", "prefer"])
def test_what_rounding_costs_a_tuned_model_is_measured_on_its_held_out_examples(way: str, place: Path) -> None:
    pytest.importorskip("xllamacpp")
    assert tune(way, "out", "--tune.baselines", "false") == 0
    found = newleaf.export("out", "out.gguf", to="gguf", quantize="q8_0")
    assert found["ids_equal"] and 0 < abs(found["bpb_change"]) < 0.05


@pytest.mark.parametrize(("task", "turns"), [("chat", [1, 3]), ("translate", [1, 1]), ("complete", [1, 1])])
def test_a_question_to_a_task_of_single_questions_is_asked_alone(
    task: str, turns: list[int], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence to translate has nothing to do with the one before it, in the run and in what was exported from it."""
    seen: list[int] = []

    def note(model: Model, talk: list[Any], *others: Any) -> Iterator[str]:
        seen.append(len(talk))
        return iter(["so"])

    assert tune(task, "out", "--tune.baselines", "false") == 0
    assert run(["export", "out", "--to", "hf", "again"]) == 0
    monkeypatch.setattr(Model, "answer", note)
    for model in ("out", "again"):
        monkeypatch.setattr("sys.stdin", io.StringIO("leaf 1\nleaf 2\n\n"))
        assert run(["chat", model]) == 0
    assert seen == turns * 2


def test_a_system_prompt_stands_before_the_first_line_of_a_chat_and_of_nothing_else(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[list[Any]] = []

    def note(model: Model, talk: list[Any], *others: Any) -> Iterator[str]:
        seen.append(list(talk))
        return iter(["so"])

    for task in ("chat", "translate"):
        assert tune(task, task, "--tune.baselines", "false") == 0
    monkeypatch.setattr(Model, "answer", note)
    monkeypatch.setattr("sys.stdin", io.StringIO("leaf 1\nleaf 2\n\n"))
    assert run(["chat", "chat", "--system", "Be short."]) == 0
    assert [[message["role"] for message in talk] for talk in seen] == [["system", "user"], ["system", "user", "assistant", "user"]]
    assert seen[0][0]["content"] == "Be short."
    for model in ("translate", "base"):
        assert run(["chat", model, "--system", "Be short."]) == 2
        assert "this model knows no system prompt; leave it out" in capsys.readouterr().err.splitlines()[-1]


def test_preferences_are_learned_with_gentler_rates_but_for_those_that_were_asked_for(place: Path) -> None:
    words = ["--tune.baselines", "false"]
    assert tune("prefer", "gently", *words) == tune("prefer", "asked", *words, "--optim.lr", "0.004") == 0
    gently, asked = (tomllib.loads(Path(out, "newleaf.toml").read_text("utf-8"))["optim"] for out in ("gently", "asked"))
    assert (asked["lr"], asked["head_lr"]) == (0.004, gently["head_lr"])
    assert gently["embedding_lr"] / gently["lr"] == pytest.approx(5)
    assert gently["lr"] < 0.1 * 0.006 + 1e-9


@pytest.mark.parametrize(
    ("steps", "kind", "part"), [(400, "answers", 0.2), (100, "labels", 0.4), (20, "spelled", 1), (400, "preference", 0.02)]
)
def test_examples_are_learned_with_a_part_of_the_rates_for_text(steps: int, kind: Kind, part: float) -> None:
    plan, asked = planned(Budget(steps=steps)), Recipe(optim=OptimSettings(head_lr=0.02))
    found = gentle(plan, asked, kind)
    for name in ("lr", "embedding_lr", "norm_lr"):
        assert getattr(found.optim, name) == pytest.approx(part * getattr(plan.optim, name))
    assert found.optim.head_lr == plan.optim.head_lr
    assert found.explained(False)["optim.lr"].startswith(f"{part * 0.006:.4g}, {part:.2g} of a new model's")
    assert gentle(plan, replace(asked, tune=TuneSettings(rank=8)), kind) == plan


def test_of_preferences_the_model_before_has_gained_nothing_and_that_is_chance(place: Path) -> None:
    assert tune("prefer", "out") == 0
    assert summary("out")["baselines"]["untuned"]["reward_accuracy"] == {"value": 0.5, "stderr": 0.0}
    assert summary("out")["metrics"]["reward_accuracy"]["value"] != 0.5


def test_an_evaluation_of_answers_and_labels_says_how_much_is_done(place: Path) -> None:
    for task in ("chat", "classify"):
        assert tune(task, task, "--tune.baselines", "false") == 0
        heard: list[float] = []
        newleaf.evaluate(task, f"{task}.jsonl", between=heard.append)
        assert heard == sorted(heard)
        assert heard[-1] == 1


def test_of_a_long_question_the_answer_is_shown(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Console().sample(3, "Is it so? " * 100, "Yes, it is.")
    assert capsys.readouterr().err.endswith("Is it so? … ‸Yes, it is.\n")


def test_labels_can_be_answers_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each label's share is what transformers finds for the whole answer, among the labels."""
    transformers = pytest.importorskip("transformers")
    words = ["--task", "classify", "--tune.labels", "text", "--out", "run"]
    assert run(["tune", "base", "classify.jsonl", *words, "--steps", "60", "--train.threads", "1"]) == 0
    found, model = summary("run"), newleaf.load("run")
    assert found["metrics"]["accuracy"]["value"] >= found["baselines"]["majority"]["accuracy"]["value"]
    assert {"untuned", "majority", "tfidf", "from scratch"} == set(found["baselines"])
    assert all("accuracy" in rival for rival in found["baselines"].values())
    assert np.trace(found["confusion"]) == round(found["metrics"]["accuracy"]["value"] * np.sum(found["confusion"]))
    assert model.labels == sorted(SEASONS)
    judge = transformers.AutoModelForCausalLM.from_pretrained("run")
    text = "a day in autumn, the 7th"
    scores = []
    for label in model.labels:
        talk = [{"role": "user", "content": text}, {"role": "assistant", "content": label}]
        ids, asked = model.renderer.ids(talk, False), len(model.renderer.ids(talk[:1]))
        ends = len(ids) - ids[::-1].index(model.tokenizer.special_tokens["<|im_end|>"])
        with torch.inference_mode():
            likely = judge(torch.tensor([ids[:ends]])).logits[0].log_softmax(-1)
        scores.append(sum(float(likely[place - 1, ids[place]]) for place in range(asked, ends)))
    shares = model.classify(text)
    expected = torch.tensor(scores).softmax(0)
    assert [shares[label] for label in model.labels] == pytest.approx(expected.tolist(), abs=1e-5)
    capsys.readouterr()
    assert run(["evaluate", "run", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["accuracy"] == found["metrics"]["accuracy"] and again["examples"] == len(
        Path("run/data/val.jsonl").read_text().splitlines()
    )
    assert newleaf.export("run", to="hf", out="exported")["files"] and newleaf.load("exported").classify(text) == pytest.approx(shares)


def test_of_a_long_text_the_same_beginning_counts_whatever_the_label(place: Path) -> None:
    rows = [{"text": f"{n} leaf " * 200, "label": ("no", "a label of many words indeed")[n % 2]} for n in range(20)]
    Path("long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    words = ["--task", "classify", "--tune.labels", "text", "--out", "run", "--steps", "2"]
    assert run(["tune", "base", "long.jsonl", *words]) == 0
    assert json.loads(Path("run/data/manifest.json").read_text("utf-8"))["cut"] == 20
    model = newleaf.load("run")
    encoder, context = Encoder(model.classification, model.tokenizer), model.config.context
    asked = [Labelled(("x leaf " * 200,), label) for label in model.labels]
    before = []
    for _, rows in encoder.all_fitting(asked, encoder.parts(asked), context):
        ids, learned = rows[0]
        assert len(ids) <= context + 1
        before.append(ids[: learned.index(True)])
    assert before[0] == before[1] and len(before[0]) > context // 2


def test_a_context_grows_once_and_again_only_where_it_is_asked_for(place: Path) -> None:
    rows = [{"prompt": f"{n}", "completion": "x leaf " * 400} for n in range(110)]
    Path("long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    words = ["chat.jsonl", "long.jsonl", "--task", "chat", "--train.threads", "1", "--tune.baselines", "false"]
    context = newleaf.load("base").config.context
    assert run(["tune", "base", *words, "--out", "grown", "--steps", "2"]) == 0
    assert run(["tune", "grown", *words, "--out", "again", "--steps", "2"]) == 0
    assert run(["tune", "grown", *words, "--out", "asked", "--steps", "2", "--model.context", str(5 * context)]) == 0
    assert [newleaf.load(out).config.context for out in ("grown", "again", "asked")] == [4 * context, 4 * context, 5 * context]


def test_adapters_leave_the_model_as_it_was_and_stand_beside_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune("chat with adapters", "out", "--tune.targets", "q_proj,v_proj", "--tune.baselines", "false") == 0
    before, after = read_model(Path("base")).state_dict(), read_model(Path("out")).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "q_proj" in name or "v_proj" in name}
    config = json.loads(Path("out/adapter/adapter_config.json").read_text("utf-8"))
    assert (config["r"], config["target_modules"], config["task_type"]) == (8, ["q_proj", "v_proj"], "CAUSAL_LM")
    assert "base" in config["base_model_name_or_path"]
    assert 0 < summary("out")["merged_difference"] < 1e-5
    assert "the adapters give the same log-probabilities to within" in capsys.readouterr().err


def test_what_a_broken_merge_would_differ_by_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Adapted, "merged", lambda self: self.frozen())
    assert tune("classify with adapters", "out", "--tune.baselines", "false") == 0
    assert summary("out")["merged_difference"] > 1e-4


def test_replay_mixes_the_model_s_own_text_in(place: Path) -> None:
    assert tune("chat", "with", "--tune.replay", "0.5", "--tune.baselines", "false") == 0
    assert tune("chat", "without", "--tune.baselines", "false") == 0
    assert summary("with")["forgotten"]["after"] < summary("without")["forgotten"]["after"]
    assert summary("with")["tokens_trained"] > summary("without")["tokens_trained"]


def test_a_handful_of_examples_is_judged_by_itself_and_the_report_says_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in DATA["chat"][:7]), "utf-8")
    assert run(["tune", "base", "few.jsonl", "--task", "chat", "--out", "out", *STEPS]) == 0
    manifest = json.loads(Path("out/data/manifest.json").read_text("utf-8"))
    assert (manifest["train"]["num_examples"], manifest["val"]["num_examples"], manifest["held_out"]) == (7, 7, False)
    report, err = Path("out/report.html").read_text("utf-8"), capsys.readouterr().err
    assert "too few examples" in report
    assert "loss on what it learned" in report
    card = Path("out/README.md").read_text("utf-8")
    assert BY_HEART.en in card
    assert BY_HEART.zh in card
    assert "| held out |" not in card
    assert "On the same held-out examples" not in report
    assert "7 examples, too few to hold any out" in err
    assert "by heart: loss on what it learned " in err
    assert "held out: " not in err


def test_what_cannot_be_used_is_named_with_its_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.dumps(row) for row in DATA["chat"]]
    rows[4] = json.dumps({"messages": [{"role": "user", "content": "and?"}, {"role": "assistant", "content": " "}]})
    rows[9] = json.dumps({"messages": [{"role": "wizard", "content": "and?"}, {"role": "assistant", "content": "x"}]})
    Path("odd.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    assert run(["tune", "base", "odd.jsonl", "--task", "chat", "--out", "out", *STEPS, "--tune.baselines", "false"]) == 0
    err = capsys.readouterr().err
    assert "odd.jsonl:5: an empty answer\n" in err
    assert "odd.jsonl:10: the role 'wizard' is unknown: it is system, user or assistant\n" in err
    assert "98 examples to learn from, 10 held out" in err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("base chat.jsonl --task classify", "chat.jsonl:1: no label in it: it has messages; "),
        (
            "base mixed.jsonl --task chat",
            "mixed.jsonl:2 has the columns prompt, completion, but ",
        ),
        ("base one.jsonl --task classify", "all examples have the label 'x' (expected two labels or more)."),
        ("base classify.jsonl --val other.jsonl --task classify", "other.jsonl:1 has the label 'monsoon', which no training example has"),
        ("base chat.jsonl --task chat --model.context 100000", "model.context is 100000 (expected at most 128)."),
        ("base chat.jsonl --task chat --tune.targets q", "tune.targets has 'q' (expected q_proj,k_proj,"),
        ("nowhere chat.jsonl --task chat", "nowhere is no folder here"),
    ],
)
def test_it_is_one_sentence(words: str, sentence: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mixed.jsonl").write_text(f'{json.dumps(DATA["chat"][0])}\n{{"prompt": "a", "completion": "b"}}\n', "utf-8")
    Path("one.jsonl").write_text('{"text": "a", "label": "x"}\n{"text": "b", "label": "x"}\n', "utf-8")
    Path("other.jsonl").write_text('{"text": "a", "label": "monsoon"}\n', "utf-8")
    assert run(["tune", *words.split(), "--out", "out", *STEPS]) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_a_tuned_model_is_measured_by_its_task_on_examples_and_by_bits_on_text(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune("translate", "out", "--tune.baselines", "false") == 0
    capsys.readouterr()
    assert run(["evaluate", "out", "--json"]) == 0
    held_out = json.loads(capsys.readouterr().out)
    assert held_out.keys() == {"examples", "loss", "chrf", "bleu", "stops"}
    assert held_out["loss"] == pytest.approx(summary("out")["val_loss"], abs=1e-6)
    assert held_out["chrf"] == summary("out")["metrics"]["chrf"]
    assert run(["evaluate", "out", "translate.jsonl", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 110
    Path("a.txt").write_text("spring leaves\n" * 30, "utf-8")
    assert run(["evaluate", "out", "a.txt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bits_per_byte"] > 0


def test_a_recipe_repeats_a_run(place: Path) -> None:
    assert tune("chat", "first", "--tune.baselines", "false") == 0
    assert run(["tune", "--recipe", "first/newleaf.toml", "--out", "second"]) == 0
    assert fsio.sha256(Path("first/model.safetensors")) == fsio.sha256(Path("second/model.safetensors"))
    assert run(["tune", "--recipe", "first/newleaf.toml"]) == 2


def test_a_command_in_a_loop_with_a_context_of_its_own_resumes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--model.context", "64", "--resume", "--tune.baselines", "false"]
    assert tune("classify", "out", *words) == 0
    assert tune("classify", "out", *words) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("out is finished: held-out loss ")


def test_what_has_to_be_beaten_is_not_lost_with_a_process(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        real = Loop._after_step

        def cut(loop: Loop) -> None:
            real(loop)
            if loop.state.step == 4:  # a checkpoint was written, and nothing evaluated
                raise KeyboardInterrupt

        patch.setattr(Loop, "_after_step", cut)
        rarely = {"train.checkpoint_every": 3, "train.evaluate_every": 6}
        with pytest.raises(KeyboardInterrupt):
            newleaf.tune("base", "chat.jsonl", task="chat", out="out", steps=12, settings=rarely)
    before = summary("out")["baselines"]
    assert before["from scratch"]["steps"] == 12
    assert run(["tune", "--resume", "--out", "out"]) == 0
    assert summary("out")["baselines"] == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("tune {theirs} chat.jsonl --task chat --tune.replay 0.5", "tune.replay needs the text that the model learned from"),
        (
            "tune base classify.jsonl --task classify --tune.replay 0.5",
            "tune.replay is not for --task classify (expected a task of answers); ",
        ),
        ("tune base prefer.jsonl --task prefer --tune.replay 0.5", "tune.replay is not for --task prefer (expected a task of answers); "),
        (
            "tune base chat.jsonl --task chat --tune.beta 0.2",
            "tune.beta says nothing for --task chat (expected a task of better and worse answers).",
        ),
        (
            "tune base prefer.jsonl --task prefer --tune.labels text",
            "tune.labels says nothing for --task prefer (expected a task of labels).",
        ),
        ("tune base chat.jsonl --task chat --tune.alpha 4", "tune.alpha is for adapters (expected --lora beside it)."),
        ("tune base chat.jsonl --task chat --tune.int8 true", "tune.int8 is for adapters (expected --lora beside it)."),
        ("tune base prefer.jsonl --task prefer --output a", "--output says nothing for --task prefer (expected --input)."),
        ("tune base chat.jsonl --task chat --label a", "--label says nothing for --task chat (expected --input or "),
        ("tune --task chat --resume", "MODEL is missing (expected newleaf tune MODEL DATA --task NAME)."),
        ("tune base --task chat --resume", "DATA is missing (expected newleaf tune MODEL DATA --task NAME)."),
        ("tune base chat.jsonl --task chat --input a", "--input and --output go together (expected both or none)."),
        ("train chat.jsonl --tune.rank 4", "tune.rank is a setting of newleaf tune; leave it out."),
        ("tune base unique.jsonl --task classify", "hardly any label has two examples (expected several examples of each label)."),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    words: str, sentence: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", "base", "--to", "hf", "theirs"]) == 0
    Path("unique.jsonl").write_text("".join(json.dumps({"text": f"t {n}", "label": f"l{n}"}) + "\n" for n in range(60)), "utf-8")
    assert run([*words.format(theirs="theirs").split(), "--out", "out", "--steps", "2"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(sentence)
    assert not Path("out").exists()


def test_what_is_learned_beside_a_model_names_no_path_of_the_machine(place: Path) -> None:
    assert tune("chat with adapters", "out", "--tune.baselines", "false") == 0
    assert str(place) not in Path("out/adapter/adapter_config.json").read_text("utf-8")


def test_figures_at_the_end_count_once_in_what_is_still_to_come(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judging comes twice where the last weights are not the best ones; what else is measured comes once."""
    seen: list[tuple[float, float]] = []
    real = Loop._after_step

    def look(loop: Loop) -> None:
        real(loop)
        job: Any = loop.task
        kept, loop.state.stale = loop.state.stale, 0
        once = job.tail_seconds(1.0)
        loop.state.stale = 1
        seen.append((job.tail_seconds(1.0) - once, job.subject.final_seconds(loop.state)[1]))
        loop.state.stale = kept

    monkeypatch.setattr(Loop, "_after_step", look)
    assert run(["tune", "base", "chat.jsonl", "--task", "chat", "--out", "out", "--minutes", "0.1", "--train.threads", "1"]) == 0
    assert seen
    assert all(more == pytest.approx(judging) for more, judging in seen)
    assert summary("out")["written"] >= 5


def test_a_clock_that_had_foreseen_fewer_steps_stops_where_the_examples_have_no_more_to_give(place: Path) -> None:
    """The plan's first guess of how long a step takes may be far off."""
    words = ["--minutes", "0.2", "--tune.baselines", "false", "--train.threads", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tune_setup, "make_plan", lambda *known: replace(make_plan(*known), last_step=20))
        for name, value in {"calm": False, "misses": True, "fitting_last": 10_000}.items():
            patch.setattr(Pace, name, lambda *_, value=value: value)
        assert run(["tune", "base", "classify.jsonl", "--task", "classify", "--out", "out", *words]) == 0
    found, decisions = summary("out"), read_lines(Path("out/clock.jsonl"))
    assert [decision["enough"] for decision in decisions] == [False, True]
    assert found["steps"] == decisions[-1]["last"] == LEAST_STEPS["labels"]
    assert found["stopped_by"] == "text"
