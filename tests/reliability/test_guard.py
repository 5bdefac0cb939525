"""NaN, infinity and spikes never reach a saved file: training goes back and on with other data, or stops with a diagnosis."""

import json
import random
from pathlib import Path

import pytest
import torch
from reliability.harness import STEPS, Ended, Laboratory, figures
from reliability.injections import INJECTIONS
from safetensors.torch import load_file

from newleaf.runs import Run

MOST_ROLLBACKS = 2
NEAR = 0.05  # of the clean run's bits per byte; the campaign's longer runs come within LONG_NEAR
LONG_NEAR = 0.01
LONG = {"steps": 160, "train__checkpoint_every": 20, "train__evaluate_every": 20}
ROWS = [*INJECTIONS]
FOREVER = 1_000_000


def saved_tensors(out: Path) -> int:
    """AssertionError if any number in any safetensors or JSON file of a run is no number; returns how many files were read."""
    files = sorted(out.rglob("*.safetensors"))
    for path in files:
        for name, tensor in load_file(path).items():
            assert bool(torch.isfinite(tensor).all()), f"{path}: {name}"
    texts = [*out.rglob("*.json"), *(out.rglob("*.jsonl"))]
    for path in texts:
        for line in path.read_text("utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text("utf-8")]:
            json.loads(line, parse_constant=no_number)
    return len(files) + len(texts)


def no_number(word: str) -> None:
    raise AssertionError(f"a saved file holds {word}")


def rollbacks(ended: Ended) -> int:
    return ended.stderr.count("and on with other data")


@pytest.mark.parametrize("name", INJECTIONS)
def test_a_number_gone_wrong_is_noticed_and_left_behind(lab: Laboratory, name: str) -> None:
    source = random.Random(name)
    step = source.randint(2, STEPS - 2)
    require_recovery(lab, name, step, NEAR, {})


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(200))
def test_numbers_gone_wrong_are_noticed_and_left_behind(lab: Laboratory, seed: int) -> None:
    name, step = ROWS[seed % len(ROWS)], random.Random(seed).randint(2, LONG["steps"] - 2)
    print(f"seed {seed}")
    require_recovery(lab, name, step, LONG_NEAR, LONG)


def require_recovery(lab: Laboratory, name: str, step: int, near: float, settings: dict[str, int]) -> None:
    clean = lab.unbroken(**settings)
    out = lab.new_run()
    ended = lab.server.run(lab.words(out, **settings), fault={"inject": name, "step": step, "times": 1}).require(0)
    assert 1 <= rollbacks(ended) <= MOST_ROLLBACKS, ended.stderr
    assert saved_tensors(out) >= 10
    hit = figures(out)
    assert hit.lines != clean.lines, "other data was to be used"
    print(f"{name} in step {step}: {rollbacks(ended)} times back, {hit.val_bpb / clean.val_bpb - 1:+.2%} bits per byte")
    assert hit.val_bpb / clean.val_bpb - 1 < near


@pytest.mark.parametrize("name", ["loss nan", "gradient inf", "weight nan"])
def test_a_run_that_cannot_go_on_stops_with_a_diagnosis(lab: Laboratory, name: str) -> None:
    require_diagnosis(lab, name, random.Random(name).randint(2, STEPS - 2))


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(50))
def test_runs_that_cannot_go_on_stop_with_a_diagnosis_soon(lab: Laboratory, seed: int) -> None:
    name = [row for row in ROWS if "spike" not in row and "token" not in row][seed % (len(ROWS) - 2)]
    ended = require_diagnosis(lab, name, random.Random(seed).randint(1, STEPS - 1))
    assert ended.seconds < 30


def require_diagnosis(lab: Laboratory, name: str, step: int) -> Ended:
    print(f"{name} from step {step} on")
    out = lab.new_run()
    ended = lab.server.run(lab.words(out), fault={"inject": name, "step": step, "times": FOREVER}).require(1)
    assert rollbacks(ended) == MOST_ROLLBACKS
    assert f"again after going back {MOST_ROLLBACKS} times" in ended.sentence
    assert "--optim.lr" in ended.sentence
    summary = Run(out).read_summary()
    assert summary["stopped_by"] == "nan"
    saved_tensors(out)
    lab.require_same_end(out)  # the fault is gone, so is the damage
    return ended


def test_a_learning_rate_beyond_all_bounds_is_told_from_bad_luck(lab: Laboratory) -> None:
    out = lab.new_run()
    ended = lab.server.run(lab.words(out, optim__lr=1e30)).require(1)
    assert "again after going back 2 times" in ended.sentence
    assert Run(out).read_summary()["stopped_by"] == "nan"
    saved_tensors(out)


def test_a_bad_step_after_a_stop_goes_back_to_where_an_unbroken_run_does(lab: Laboratory) -> None:
    fault = {"inject": "loss nan", "step": 15, "times": 1}
    unbroken, stopped = lab.new_run(), lab.new_run()
    lab.server.run(lab.words(unbroken), fault=fault).require(0)
    signal = {"moment": "step", "at": 13, "do": {"signals": ["SIGTERM"]}}
    lab.server.run(lab.words(stopped), fault=signal).require(143)
    lab.server.run(lab.words(stopped, resume=True), fault=fault).require(0)
    assert figures(stopped) == figures(unbroken)
