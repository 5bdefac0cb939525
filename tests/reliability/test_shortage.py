"""A run that memory does not suffice for goes on with fewer rows at once, whatever else happens to it."""

import json
import random
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from reliability.harness import ROWS, STEPS, Ended, Laboratory, figures, number_of, require_intact
from safetensors.torch import load_file
from shortages import ERRORS

from newleaf import verify
from newleaf.runs import Run, read_lines

KILL = {"signals": ["SIGKILL"]}
NEAR = 1e-5  # of a loss in float32: sums in another order


def halvings(ended: Ended) -> int:
    return ended.stderr.count("rows at once, not")


def losses(out: Path) -> list[float]:
    return [row["loss"] for row in read_lines(Run(out).metrics)]


@pytest.mark.parametrize("killed_at", [10, 12, 14])  # in the step after, before and after the next checkpoint
def test_a_run_that_is_killed_goes_on_with_the_rows_that_memory_held(lab: Laboratory, killed_at: int) -> None:
    unbroken, killed = lab.new_run(), lab.new_run()
    fault = {"short": "torch", "rows": ROWS // 2, "step": 10}
    lab.server.run(lab.words(unbroken), fault=fault).require(0)
    lab.server.run(lab.words(killed), fault=fault | {"moment": "step", "at": killed_at, "do": KILL}).require(-number_of("SIGKILL"))
    assert require_intact(killed) == (12 if killed_at > 12 else 9)
    resumed = lab.server.run(lab.words(killed, resume=True)).require(0)  # nothing is short any more
    assert halvings(resumed) == 0
    assert figures(killed) == figures(unbroken)
    assert [line.get("micro_batch") for line in figures(killed).lines] == [None] * 9 + [ROWS // 2] * (STEPS - 9)
    assert [file for file in verify(killed)["files"] if not file["ok"]] == []


def test_a_bad_step_after_a_shortage_goes_back_with_the_rows_that_memory_held(lab: Laboratory) -> None:
    out, again = lab.new_run(), lab.new_run()
    short, bad = {"short": "torch", "forward": 10}, {"inject": "loss nan", "step": 11, "times": 1}
    ended = lab.server.run(lab.words(out), fault=short | bad).require(0)
    assert "the loss is nan; back to step 8 and on with other data" in ended.stderr
    assert halvings(ended) == 1
    assert [line.get("micro_batch") for line in figures(out).lines] == [None] * 8 + [ROWS // 2] * (STEPS - 8)
    killed = short | bad | {"moment": "saving", "at": 4, "do": KILL}  # that of step 12: back to that of step 9, which is written at 10
    lab.server.run(lab.words(again), fault=killed).require(-number_of("SIGKILL"))
    assert require_intact(again) == 9
    lab.server.run(lab.words(again, resume=True), fault=bad).require(0)
    assert figures(again) == figures(out)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_an_optimizer_step_that_is_cut_off_is_done_again_after_a_kill_too(lab: Laboratory, name: str) -> None:
    unbroken, stopped = lab.new_run(), lab.new_run()
    fault = {"short": "torch", "optimizer": 40}
    ended = lab.server.run(lab.words(unbroken), fault=fault).require(0)
    assert "memory ran out while weights were moved" in ended.stderr
    lab.server.run(lab.words(stopped), fault=fault | {"moment": "step", "at": 16, "do": {"signals": [name]}}).require(
        143, -number_of("SIGKILL")
    )
    lab.server.run(lab.words(stopped, resume=True)).require(0)
    assert figures(stopped) == figures(unbroken)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_run_that_cannot_go_on_says_so_and_waits_for_room(lab: Laboratory, precision: str) -> None:
    settings = {"train__precision": precision, "train__micro_batch": 1}
    out = lab.new_run()
    ended = lab.server.run(lab.words(out, **settings), fault={"short": "onednn", "rows": 0, "step": 7}).require(1)
    assert ended.sentence.startswith("at step 7 memory does not suffice for one row of 64 tokens, everything is saved; free some memory")
    assert require_intact(out) == 6
    assert Run(out).read_summary()["stopped_by"] == "error"
    lab.require_same_end(out, **settings)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(50))
def test_memory_may_run_out_anywhere(lab: Laboratory, seed: int) -> None:
    source = random.Random(seed)
    error, threads, dropout = source.choice([*ERRORS]), source.choice([1, 2]), source.choice([0.0, 0.1])
    place = source.choice(["forward", "optimizer"])
    fault = {"short": error, place: source.randint(1, threads * STEPS if place == "forward" else 3 * STEPS)}
    print(f"seed {seed}: {fault}, {threads} threads, dropout {dropout}")
    settings: dict[str, Any] = {"train__threads": threads, "train__dropout": dropout}
    out = lab.new_run()
    ended = lab.server.run(lab.words(out, **settings), fault=fault).require(0)
    assert halvings(ended) == 1
    clean = [line["loss"] for line in lab.unbroken(**settings).lines]
    if not dropout:  # it is drawn by part, so that half a batch at once has another
        assert losses(out) == pytest.approx(clean, abs=NEAR)
    assert len(losses(out)) == STEPS
    assert [file for file in verify(out)["files"] if not file["ok"]] == []


# a limit that the system keeps ------------------------------------------------------------------------------------------

LIMIT = 1 << 29
LARGE_ROWS = 1 << 10  # of 64 tokens: about 1.7 GB at once, of which 0.4 GB for 256
LARGE = {
    "steps": 1,
    "train__batch_tokens": 64 * LARGE_ROWS,
    "train__micro_batch": LARGE_ROWS,
    "train__threads": 2,
    "train__evaluate_every": 1,
    "train__checkpoint_every": 1,
}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system sets no limit to a process's data")
def test_a_limit_of_the_system_is_met_by_fewer_rows(lab: Laboratory) -> None:
    out, alone = lab.new_run(), lab.new_run()
    ended = lab.processes.run(lab.words(out, **LARGE), fault={"limit": LIMIT}).require(0)
    rows = json.loads(Run(out).summary.read_text())["micro_batch"]
    print(f"{rows} rows at once fit into {LIMIT >> 20} MB, after {halvings(ended)} halvings")
    assert rows == LARGE_ROWS >> halvings(ended) < LARGE_ROWS
    lab.server.run(lab.words(alone, **LARGE | {"train__micro_batch": rows})).require(0)
    weights, expected = (load_file(Run(run).model) for run in (out, alone))
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights.items())
