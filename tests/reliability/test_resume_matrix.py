"""A run that was stopped and resumed is the run that was never stopped, bit for bit, in every cell of the matrix."""

import random
from typing import Any

import pytest
from reliability.harness import CHECKPOINT_EVERY, EVALUATE_EVERY, ROWS, Laboratory, number_of, require_intact

from newleaf import verify
from newleaf.conversion.huggingface import read_metadata
from newleaf.runs import Run, read_lines

STEPS_AN_EPOCH = 20  # about: the tiny text has some 5,000 tokens
STOPS = {
    "first step": {"moment": "step", "at": 1},
    "mid-epoch": {"moment": "step", "at": STEPS_AN_EPOCH // 2 + 1},
    "evaluation step": {"moment": "evaluation", "at": 2},
}
MORE_STOPS = STOPS | {
    "before the first step": {"moment": "planning", "at": 1},
    "epoch edge": {"moment": "step", "at": STEPS_AN_EPOCH},
    "checkpoint step": {"moment": "saving", "at": 2},
    "trunk": {"moment": "step", "at": 15},
    "last step": {"moment": "step", "at": 24},
}


def stop_and_resume(lab: Laboratory, precision: str, accumulation: int, dropout: float, stop: str) -> None:
    settings = {"train__precision": precision, "train__micro_batch": ROWS // accumulation, "train__dropout": dropout}
    out, fault = lab.new_run(), MORE_STOPS[stop] | {"do": {"signals": ["SIGTERM"]}}
    ended = lab.server.run(lab.words(out, **settings), fault=fault).require(143)
    step = require_intact(out)
    assert stop == "before the first step" or f"at step {step}," in ended.sentence, ended.stderr
    lab.require_same_end(out, **settings)


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("accumulation", [1, 4])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_stopped_run_resumes_to_the_same_bits(lab: Laboratory, precision: str, accumulation: int, stop: str) -> None:
    stop_and_resume(lab, precision, accumulation, 0.0, stop)


@pytest.mark.campaign
@pytest.mark.parametrize("stop", MORE_STOPS)
@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("accumulation", [1, 4])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_stopped_run_resumes_to_the_same_bits_wherever(
    lab: Laboratory, precision: str, accumulation: int, dropout: float, stop: str
) -> None:
    stop_and_resume(lab, precision, accumulation, dropout, stop)


def test_a_run_that_is_stopped_again_and_again_resumes_to_the_same_bits(lab: Laboratory) -> None:
    out = lab.new_run()
    for count in range(5):
        fault = {"moment": "step", "at": CHECKPOINT_EVERY - 1, "do": {"signals": ["SIGTERM"]}}
        lab.server.run(lab.words(out, resume=True), fault=fault).require(143)
        assert require_intact(out) == (count + 1) * (CHECKPOINT_EVERY - 1)
    lab.require_same_end(out)


@pytest.mark.parametrize("killed_at", [7, 19])  # after an evaluation that was better, before the next checkpoint
def test_figures_belong_to_the_model_that_stands_there(lab: Laboratory, killed_at: int) -> None:
    out = lab.new_run()
    for resume, at, name in ((False, killed_at, "SIGKILL"), (True, 1, "SIGTERM")):
        fault = {"moment": "step", "at": at, "do": {"signals": [name]}}
        lab.server.run(lab.words(out, resume=resume), fault=fault).require(-number_of("SIGKILL"), 143)
    summary, model = Run(out).read_summary(), read_metadata(out)
    assert summary["steps"] < summary["best_step"] == int(model["step"]) == killed_at - 1
    assert summary["val_bpb"] == float(model["val_bpb"])
    assert summary["val_loss"] == float(model["val_loss"])
    lab.require_same_end(out)


def test_a_run_that_was_killed_anywhere_verifies(lab: Laboratory) -> None:
    out, source = lab.new_run(), random.Random(3)
    words = lab.words(out, resume=True)
    words[words.index("--steps") : words.index("--steps") + 2] = ["--minutes", "0.08"]
    for within in ["", "checkpoints", "clock.jsonl", "model.safetensors", "newleaf.toml", "", "summary.json", ".sums.json"]:
        fault = {"disk": source.randint(1, 200 if within in ("", "checkpoints") else 4), "within": within, "do": {"signals": ["SIGKILL"]}}
        lab.server.run(words, fault).require(0, -number_of("SIGKILL"))
        if Run(out).begun:
            assert [file for file in verify(out)["files"] if not file["ok"]] == []
            assert Run(out).read_summary().get("stopped_by") or not Run(out).sums.exists()


def test_a_run_by_the_clock_goes_on_with_the_decisions_it_took(lab: Laboratory) -> None:
    out, source, before = lab.new_run(), random.Random(0), list[dict[str, Any]]()
    words = lab.words(out, resume=True)
    words[words.index("--steps") : words.index("--steps") + 2] = ["--minutes", "0.08"]
    for within, most in [("clock.jsonl", 4), ("checkpoints", 200), ("clock.jsonl", 8), ("", 300), (None, 0)]:
        fault = within is not None and {"disk": source.randint(1, most), "within": within, "do": {"signals": ["SIGKILL"]}}
        ended = lab.server.run(words, fault or None).require(0, -number_of("SIGKILL"))
        taken = read_lines(Run(out).clock)
        assert taken[: len(before)] == before
        before = taken
    assert ended.code == 0
    summary, rows = Run(out).read_summary(), read_lines(Run(out).metrics)
    assert [row["step"] for row in rows] == list(range(1, summary["steps"] + 1))
    assert [decision["step"] for decision in taken] == sorted(decision["step"] for decision in taken)
    assert summary["clock_decisions"] == len(taken)


def test_the_matrix_stops_where_it_says(lab: Laboratory) -> None:
    assert MORE_STOPS["evaluation step"]["at"] * EVALUATE_EVERY < 24
    lines = lab.unbroken().lines
    assert [line["step"] for line in lines if "val_bpb" in line] == [6, 12, 18, 24]
