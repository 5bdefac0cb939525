"""The plan of a tuning is what the tuning does: the same choices, nothing left behind, and figures of the model itself."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from training.examples import DATA, SEASONS, STEPS, WAYS

import newleaf
from newleaf import fsio
from newleaf.cli.main import run
from newleaf.errors import RunError
from newleaf.jobs import trial, tune_setup
from newleaf.model import size
from newleaf.training.plan import Plan
from newleaf.training.request import Request
from newleaf.training.settings import TARGETS

NO_RIVALS = ["--tune.baselines", "false"]


def planned(way: str, *words: str) -> list[str]:
    task = way.split()[0]
    return ["plan", f"{task}.jsonl", "--from", "base", "--task", task, *STEPS, *WAYS[way], *words]


def said(capsys: pytest.CaptureFixture[str], words: list[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("way", WAYS)
def test_every_task_has_a_plan_and_nothing_is_left_behind(way: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(place.iterdir())
    found = said(capsys, planned(way))
    assert sorted(place.iterdir()) == before
    assert (found["steps"], found["threads"], found["precision"]) == (12, 1, "float32")
    assert found["val_bpb"] is found["val_bpb_low"] is found["val_bpb_high"] is None
    assert (found["learned_parameters"] < found["parameters"]) == ("adapters" in way)
    assert found["seconds"] > 0
    assert found["peak_memory_bytes"] > 1e8
    assert found["disk_bytes"] > 4 * found["parameters"]
    assert found["batch_tokens"] % found["context"] == 0
    assert found["epochs"] == pytest.approx(12 * found["batch_tokens"] / found["context"] / (len(DATA[way.split()[0]]) * 0.9), rel=0.02)
    assert {"from", "train.batch_tokens", "optim.lr"} <= found["reasons"].keys()


@pytest.mark.parametrize("way", ["chat", "classify with adapters"])
def test_a_written_plan_is_used_and_gives_the_same_bits(way: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(planned(way, *NO_RIVALS, "--out", "planned")) == 0
    plan = tomllib.loads(Path("planned/newleaf.toml").read_text("utf-8"))
    assert [path.name for path in Path("planned").iterdir() if not path.name.startswith(".")] == ["newleaf.toml"]
    assert run(["tune", "--out", "planned"]) == 0
    task = way.split()[0]
    assert run(["tune", "base", f"{task}.jsonl", "--task", task, *STEPS, *WAYS[way], *NO_RIVALS, "--out", "direct"]) == 0
    direct = tomllib.loads(Path("direct/newleaf.toml").read_text("utf-8"))
    assert {name: plan[name] for name in ("budget", "model", "optim", "train", "tune", "config", "inputs", "reasons_en")} == {
        name: direct[name] for name in ("budget", "model", "optim", "train", "tune", "config", "inputs", "reasons_en")
    }
    assert fsio.sha256(Path("planned/model.safetensors")) == fsio.sha256(Path("direct/model.safetensors"))
    assert newleaf.verify("planned")["ok"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("plan chat.jsonl --from base --lora", "--lora is for a task (expected --task NAME beside it)."),
        ("plan chat.jsonl --second-input a", "--second-input is for a task (expected --task NAME beside it)."),
        ("plan chat.jsonl --task chat", "--from is missing (expected newleaf plan DATA --from MODEL --task NAME)."),
        ("plan --from base --task chat", "DATA is missing (expected newleaf tune MODEL DATA --task NAME)."),
        ("plan chat.jsonl --from base --task dance", "--task is dance (expected chat or "),
        ("plan chat.jsonl --from base --task classify", "chat.jsonl:1: no label in it: it has messages; "),
        ("tune base chat.jsonl --task complete --out planned", "--task is complete here, but planned was begun with chat; "),
        ("tune base qa.jsonl --task chat --out planned", "DATA is "),
        ("train chat.jsonl --steps 3 --out planned", "the budget is 3 steps here, but planned was begun with 12 steps; "),
        ("plan chat.jsonl --from base --task chat --out planned", "planned is not empty (expected a new directory for the plan); "),
    ],
)
def test_what_does_not_fit_is_one_sentence(words: str, sentence: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if "planned" in words:
        assert run(planned("chat", "--out", "planned")) == 0
    assert run(words.split()) == 2
    assert sentence in capsys.readouterr().err.splitlines()[-1]


def test_a_plan_is_written_over_nothing_that_came_while_it_was_made(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = trial.plan_of_tuning, list[Request]()

    def late(request: Request) -> Plan:
        calls.append(request)
        if len(calls) == 1:
            assert run(planned("chat", "--out", "taken")) == 0  # another process is quicker
        return real(request)

    monkeypatch.setattr(trial, "plan_of_tuning", late)
    with pytest.raises(RunError, match="taken is not empty"):
        newleaf.plan("chat.jsonl", base="base", task="chat", out="taken", steps=3)
    assert "steps = 12" in Path("taken/newleaf.toml").read_text("utf-8")


def test_by_the_clock_nobody_knows_the_steps_but_the_end_of_the_examples(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"train.threads": 1, "tune.baselines": False}
    with monkeypatch.context() as patch:
        patch.setitem(tune_setup.LEAST_STEPS, "answers", 10**9)  # that no machine takes in this time
        short = newleaf.plan("chat.jsonl", base="base", task="chat", minutes=0.05, settings=settings)
    assert (short["seconds"], short["steps"]) == (3.0, None)
    long = newleaf.plan("chat.jsonl", base="base", task="chat", minutes=600, settings=settings)
    assert long["steps"] >= 300
    assert long["seconds"] < 36_000


def test_by_the_clock_labels_are_read_twice_or_for_fifty_steps(place: Path) -> None:
    rows = [{"text": f"a day in {SEASONS[n % 4]}, the {n}th", "label": SEASONS[n % 4]} for n in range(4000)]
    Path("many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    settings = {"train.threads": 1, "tune.baselines": False}
    found = {
        name: newleaf.plan(name, base="base", task="classify", minutes=600, settings=settings) for name in ("classify.jsonl", "many.jsonl")
    }
    assert found["classify.jsonl"]["steps"] == 50
    assert found["many.jsonl"]["steps"] > 50
    assert found["many.jsonl"]["epochs"] == pytest.approx(2, rel=0.03)


def test_adapters_count_what_they_learn(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, planned("classify with adapters"))
    config = newleaf.load("base").config
    assert found["learned_parameters"] == size.adapter_parameters(config, 2, TARGETS) + 4 * config.width


def test_a_plan_of_a_task_speaks_chinese(place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWLEAF_LANG", "zh")
    found = said(capsys, planned("chat"))
    assert all(any("\u4e00" <= character <= "\u9fff" for character in reason) for reason in found["reasons"].values())
    assert run(["plan", "chat.jsonl", "--lora"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "--lora 是给任务用的（应同时给出 --task NAME）。"


def test_reasons_count_what_will_be_read_and_name_what_was_set(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "chat.jsonl", "--from", "base", "--task", "chat", "--minutes", "10", "--train.threads", "1"]
    found = said(capsys, words)
    assert found["reasons"]["train.dropout"].endswith(f", each example is read {found['epochs']:.1f} times at most")
    ours = said(capsys, [*words, "--train.dropout", "0.2", "--optim.decay_fraction", "0.3"])
    assert all(ours["reasons"][name].endswith("you set it") for name in ("train.dropout", "optim.decay_fraction"))
