"""Wherever the disk fails during a save, the old checkpoint stays, and the sentence says what was needed."""

import errno
import random
from pathlib import Path

import pytest
import torch
from reliability.harness import Laboratory, require_intact
from reliability.trial import FaultyDisk

from newleaf import fsio
from newleaf.checkpoint import store
from newleaf.checkpoint.state import State
from newleaf.errors import DiskFullError

OPERATIONS = ["create", "write", "sync", "rename", "make_folder", "sync_folder"]


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"embed": torch.full((20, 8), value), "norm": torch.full((8,), value)}


def save(folder: Path, value: float, name: str | None) -> None:
    store.save(folder, tensors(value), tensors(value * 2), State(step=10 if name else int(value), tokens=int(value)), name)


def value_in(folder: Path) -> int:
    found, damaged = store.latest(folder)
    assert found is not None
    assert not damaged
    assert torch.equal(found.weights["embed"], tensors(found.state.tokens)["embed"])
    return found.state.tokens


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("name", [None, "trunk", "step-00000010"])
def test_a_disk_that_fails_anywhere_in_a_save_keeps_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, name: str | None
) -> None:
    count = failures = 0
    while failures == count:
        count += 1
        folder = tmp_path / str(count)
        save(folder, 1.0, name)
        with monkeypatch.context() as patch:
            patch.setattr(fsio, "disk", FaultyDisk({"disk": count, "do": {"error": error}}, log=None))
            try:
                save(folder, 2.0, name)
            except OSError as failure:
                assert failure.errno == getattr(errno, error) == errno.EIO
                assert str(folder) in str(failure.filename)
                failures += 1
            except DiskFullError as failure:
                assert error == "ENOSPC"
                assert "bytes needed" in str(failure)
                assert "free" in str(failure)
                assert failure.exit_code == 1
                failures += 1
        assert value_in(folder) in (1, 2)  # at once, without any repair
        fsio.remove_leftovers(folder)
        assert value_in(folder) in (1, 2)
        save(folder, 3.0, name)
        assert value_in(folder) == 3
    print(f"{failures} operations of a save failed with {error}")
    assert failures >= 20


@pytest.mark.parametrize("trials", [6, pytest.param(120, marks=pytest.mark.campaign)])
def test_a_run_whose_disk_fails_ends_in_a_sentence_and_resumes_to_the_same_bits(lab: Laboratory, tmp_path: Path, trials: int) -> None:
    log = tmp_path / "log"
    lab.unbroken(log=log)
    num_operations = len(log.read_text().splitlines())
    for seed in range(trials):
        source = random.Random(seed)
        at, error = source.randint(1, num_operations), ("ENOSPC", "EIO")[seed % 2]
        print(f"seed {seed}: {error} at operation {at:,} of {num_operations:,}")
        out = lab.new_run()
        ended = lab.server.run(lab.words(out), fault={"disk": at, "do": {"error": error}})
        if ended.code:
            ended.require(1)
            assert ("no room" if error == "ENOSPC" else "Input/output error") in ended.sentence
        require_intact(out)
        lab.require_same_end(out)
