"""A flipped bit, a cut, a block of zeros in anything a run goes on from is noticed before the first step.

A damaged checkpoint is named in one sentence and the one before it is used; for the tokenizer and the token files, which exist
once, the command is refused in one sentence; a damaged best model is written anew.
"""

import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from reliability.harness import Laboratory, figures

from newleaf.checkpoint import store
from newleaf.errors import CheckpointError, NewleafError
from newleaf.jobs.setup import Setup, resume
from newleaf.jobs.view import View
from newleaf.runs import Run
from newleaf.training.prepare import open_data
from newleaf.training.request import make_request

FLIPS, OTHERS = 50, 10  # a twentieth of 1,000 and of 200
BLOCK = 4096
STOPPED_AT, BEFORE = 14, 12  # the newest checkpoint, and the one that is fallen back to

CHECKPOINT_FILES = {"weights": store.WEIGHTS, "optimizer": store.OPTIMIZER, "state": store.STATE, "manifest": store.MANIFEST}
OTHER_FILES = {
    "tokenizer": "tokenizer.json",
    "training shards": "data/train-00000.bin",
    "held-out shards": "data/val-00000.bin",
    "data manifest": "data/manifest.json",
    "best model": "model.safetensors",
}


class Listener(View):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def event(self, en: str, zh: str) -> None:
        self.sentences.append(en)


@dataclass(frozen=True)
class Stopped:
    """A run that a signal stopped in the middle."""

    lab: Laboratory
    out: Path

    def file(self, artefact: str) -> Path:
        if artefact in CHECKPOINT_FILES:
            return self.out / "checkpoints" / f"step-{STOPPED_AT:08d}" / CHECKPOINT_FILES[artefact]
        return self.out / OTHER_FILES[artefact]

    def before_the_first_step(self) -> tuple[Setup | None, NewleafError | None, list[str]]:
        """What resuming comes to: something to go on from or an error, and what it said."""
        request = make_request(
            (), out=self.out, budget={}, val=None, column=None, base=None, seed=None, recipe=None, settings={}, resume=True, extend=False
        )
        listener = Listener()
        try:
            return resume(request, listener, time.monotonic(), partial(open_data, verify=True)), None, listener.sentences
        except NewleafError as error:
            return None, error, listener.sentences


@pytest.fixture(scope="module")
def stopped(lab: Laboratory) -> Iterator[Stopped]:
    out, threads = lab.new_run(), torch.get_num_threads()
    fault = {"moment": "step", "at": STOPPED_AT, "do": {"signals": ["SIGTERM"]}}
    lab.server.run(lab.words(out), fault=fault).require(143)
    assert [store.step_of(path) for path in store.by_step(Run(out).checkpoints)][:2] == [STOPPED_AT, BEFORE]
    yield Stopped(lab, out)
    torch.set_num_threads(threads)


def flip(good: bytes, source: random.Random) -> bytes:
    data = bytearray(good)
    data[source.randrange(len(good))] ^= 1 << source.randrange(8)
    return bytes(data)


def cut(good: bytes, source: random.Random) -> bytes:
    return good[: source.randrange(len(good))]


def zero(good: bytes, source: random.Random) -> bytes:
    """A block of zeros where there were other bytes."""
    nonzero = [place for place in range(0, len(good), BLOCK) if any(good[place : place + BLOCK])]
    start = source.choice(nonzero)
    return good[:start] + bytes(min(BLOCK, len(good) - start)) + good[start + BLOCK :]


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {"flipped bit": flip, "cut": cut, "zeroed block": zero}


def require_noticed(stopped: Stopped, artefact: str) -> None:
    """AssertionError unless the damage in place is found, named in one sentence, and answered in the right way."""
    name = stopped.file(artefact).name
    setup, error, sentences = stopped.before_the_first_step()
    if artefact in CHECKPOINT_FILES:
        assert setup is not None, error
        assert setup.state.step == BEFORE
        assert setup.found is not None
        told = [sentence for sentence in sentences if f"step-{STOPPED_AT:08d}" in sentence]
        assert len(told) == 1, sentences
        assert name in told[0] or artefact == "manifest"  # whose damage may look like that of a file that it names
        assert told[0].endswith("the one before it is used")
    elif artefact == "best model":
        assert setup is not None, error
        assert setup.state.best is None
        assert not setup.state.exact
        assert any(name in sentence for sentence in sentences), sentences
    else:
        assert error is not None, f"{name} passed"
        assert error.exit_code == 2
        assert name in str(error)
        assert "\n" not in str(error)


def damage_many_times(stopped: Stopped, artefact: str, flips: int, others: int) -> None:
    file = stopped.file(artefact)
    good = file.read_bytes()
    kinds = ["flipped bit"] * flips + ["cut"] * (others // 2) + ["zeroed block"] * (others - others // 2)
    try:
        for seed, kind in enumerate(kinds):
            bad = DAMAGES[kind](good, random.Random(f"{artefact} {seed}"))
            assert bad != good
            file.write_bytes(bad)
            try:
                require_noticed(stopped, artefact)
            except AssertionError as failure:
                raise AssertionError(f"{kind} in {artefact}, seed {seed}: {failure}") from failure
    finally:
        file.write_bytes(good)
    print(f"{artefact}: {len(kinds)} of {len(kinds)} damages noticed")


@pytest.mark.parametrize("artefact", [*CHECKPOINT_FILES, *OTHER_FILES])
def test_every_damage_is_noticed_before_the_first_step(stopped: Stopped, artefact: str) -> None:
    damage_many_times(stopped, artefact, FLIPS, OTHERS)


@pytest.mark.campaign
@pytest.mark.parametrize("artefact", [*CHECKPOINT_FILES, *OTHER_FILES])
def test_every_one_of_many_damages_is_noticed_before_the_first_step(stopped: Stopped, artefact: str) -> None:
    damage_many_times(stopped, artefact, 20 * FLIPS, 20 * OTHERS)


def copied(stopped: Stopped) -> Stopped:
    out = stopped.lab.new_run()
    shutil.copytree(stopped.out, out)
    return Stopped(stopped.lab, out)


@pytest.mark.parametrize("artefact", CHECKPOINT_FILES)
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one_to_the_same_bits(stopped: Stopped, artefact: str) -> None:
    run = copied(stopped)
    file = run.file(artefact)
    file.write_bytes(flip(file.read_bytes(), random.Random(artefact)))
    ended = run.lab.require_same_end(run.out)
    assert f"resuming {run.out} at step {BEFORE}" in ended.stderr
    assert str(file) in ended.stderr


@pytest.mark.parametrize("artefact", ["tokenizer", "training shards", "held-out shards", "data manifest"])
def test_a_damaged_text_is_refused_in_one_sentence_and_nothing_is_changed(stopped: Stopped, artefact: str) -> None:
    run = copied(stopped)
    file = run.file(artefact)
    good = file.read_bytes()
    file.write_bytes(flip(good, random.Random(artefact)))
    before = {path: path.read_bytes() for path in run.out.rglob("*") if path.is_file()}
    ended = run.lab.server.run(run.lab.words(run.out, resume=True)).require(2)
    assert file.name in ended.sentence
    assert {path: path.read_bytes() for path in run.out.rglob("*") if path.is_file()} == before
    file.write_bytes(good)
    run.lab.require_same_end(run.out)


def test_a_damaged_best_model_is_written_anew(stopped: Stopped) -> None:
    run = copied(stopped)
    file = run.file("best model")
    file.write_bytes(flip(file.read_bytes(), random.Random(0)))
    ended = run.lab.server.run(run.lab.words(run.out, resume=True)).require(0)
    assert "model.safetensors has changed" in ended.stderr
    assert figures(run.out).model == run.lab.unbroken().model  # the best one came after the damage
    assert Run(run.out).read_summary()["exact"] is False


def test_a_best_model_damaged_after_the_last_step_is_written_anew(stopped: Stopped) -> None:
    run = copied(stopped)
    fault = {"moment": "saving", "at": 4, "do": {"signals": ["SIGTERM"]}}  # 16, trunk, 20, 24
    ended = run.lab.server.run(run.lab.words(run.out, resume=True), fault=fault).require(143)
    assert "everything is saved" in ended.sentence
    run.file("best model").unlink()
    run.lab.server.run(run.lab.words(run.out, resume=True)).require(0)
    assert figures(run.out).model == run.lab.unbroken().model


def test_without_any_checkpoint_to_trust_the_command_is_refused(stopped: Stopped) -> None:
    run = copied(stopped)
    for path in Run(run.out).checkpoints.iterdir():
        (path / store.WEIGHTS).write_bytes(cut((path / store.WEIGHTS).read_bytes(), random.Random(0)))
    _, error, _ = run.before_the_first_step()
    assert isinstance(error, CheckpointError)
    assert error.exit_code == 2
    ended = run.lab.server.run(run.lab.words(run.out, resume=True)).require(2)
    assert "can be trusted" in ended.sentence


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_whose_text_is_gone_is_refused_and_its_checkpoints_stay(stopped: Stopped, resume: bool) -> None:
    run = copied(stopped)
    shutil.rmtree(Run(run.out).data)
    ended = run.lab.server.run(run.lab.words(run.out, resume=resume)).require(2)
    assert "data/manifest.json is missing" in ended.sentence
    assert len(store.by_step(Run(run.out).checkpoints)) >= 2
