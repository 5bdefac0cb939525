"""What the plan foretells: bits per byte by a pilot's curve, time by steps that it tries, from pieces of the whole text."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from training.test_choices import MACHINE, TEXT, planned

import newleaf
from newleaf.evaluation.baselines import baseline_seconds
from newleaf.jobs.outlook import measured_step_seconds
from newleaf.jobs.pilot import BAND, Curve, pilot
from newleaf.jobs.setup import foretold
from newleaf.runs import Run
from newleaf.text.document import Document
from newleaf.training.clock import Budget
from newleaf.training.costs import run_seconds, step_seconds
from newleaf.training.planfile import read_plan
from newleaf.training.prepare import BLOCK, open_data, sample
from newleaf.workers import Workers


def ids(repeated: float, count: int = 20_000) -> np.ndarray:
    """Of 64 kinds, each with this chance the one that follows the last by a fixed rule, else any."""
    draw, found = random.Random(0), [0]
    for _ in range(count):
        found.append((found[-1] * 7 + 3) % 64 if draw.random() < repeated else draw.randrange(64))
    return np.array(found)


def test_a_pilot_learns_and_says_the_same_again() -> None:
    easy, hard = (pilot(ids(repeated), ids(repeated, 2_000), 2_000, 64, Workers(1)) for repeated in (0.9, 0.5))
    assert easy.end < easy.late < easy.early
    assert easy.end < hard.end
    assert easy == pilot(ids(0.9), ids(0.9, 2_000), 2_000, 64, Workers(1))


def test_what_is_foretold_falls_with_tokens_and_not_with_repeated_ones() -> None:
    curve = Curve(2.5, 2.2, 2.1)
    once, often = curve.followed(1e7, 1e7), curve.followed(1e7, 1e5)
    assert once < often < curve.followed(1e5, 1e5) <= 8


def test_a_run_foretells_from_its_own_tokens_even_where_almost_nothing_is_held_out(trained: Path) -> None:
    run = Run(trained)
    plan, data = read_plan(run)[0], open_data(run, verify=False)
    for held_out in (len(data.val), 5):
        bits = foretold(plan, replace(data, val=data.val[:held_out]), threads=1)
        assert 0 < bits["val_bpb_low"] < bits["val_bpb"] < bits["val_bpb_high"]
        assert bits["val_bpb_high"] <= 8 * (1 + BAND)


def test_a_sample_comes_from_all_through_the_text() -> None:
    blocks = [chr(ord("a") + number) * BLOCK for number in range(20)]
    long, short = [Document("".join(blocks), "one")], [Document(block, "many") for block in blocks]
    for documents in (long, short):
        assert list(sample(documents, 20 * BLOCK, 5 * BLOCK)) == blocks[::4]
        assert "".join(sample(documents, 20 * BLOCK, 20 * BLOCK)) == "".join(blocks)


def test_a_step_is_tried_and_one_that_takes_too_long_is_computed() -> None:
    plan = planned(Budget(steps=10), model__width=32, model__depth=1, train__batch_tokens=1024)
    assert 0 < measured_step_seconds(plan, MACHINE, Workers(1)) < 5
    slow = replace(MACHINE, matmul_flops_per_second=1e5)
    assert measured_step_seconds(plan, slow, Workers(1)) == step_seconds(plan.config, slow, plan.batch_tokens)


def test_twice_the_steps_take_twice_the_time_of_training() -> None:
    short, long = (planned(Budget(steps=steps), model__width=64, model__depth=2) for steps in (1_000, 2_000))
    one, two = (run_seconds(plan, TEXT, 0.1, reading=3.0, judging=baseline_seconds(10**6, 10**5)) for plan in (short, long))
    assert two - one == pytest.approx(100, rel=0.15)


def test_the_plan_of_a_text_has_a_band(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("the leaf turns green and the tree is old. " * 200, "utf-8")
    found = newleaf.plan(tmp_path / "text.txt", steps=5)
    assert found["val_bpb_low"] == pytest.approx(found["val_bpb"] * (1 - BAND))
    assert found["val_bpb_high"] == pytest.approx(found["val_bpb"] * (1 + BAND))
    assert found["matmul_flops_per_second"] > 0
