"""Whatever a power cut leaves of a save, the next start finds exactly the old state or the new one.

A save is recorded as a log of disk operations. For each moment of it, a model of the disk says what may be there after a cut: all,
only what was synced, names before data, files torn at 4 KiB, any mixture. Each of these is built and recovered from.
"""

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from reliability.crash import Model, RecordingDisk, Tree, read_tree, states, write_tree

from newleaf import fsio, runs
from newleaf.checkpoint import store
from newleaf.checkpoint.seal import seal_problem
from newleaf.checkpoint.state import State
from newleaf.checkpoint.tensors import save_tensors

LEAST_STATES = 500  # different ones, over all rows
MIXTURES = 2  # drawn at each moment
AGAIN = 25


def tensors(value: float) -> dict[str, torch.Tensor]:
    return {"model.embed": torch.full((160, 64), value), "model.norm": torch.full((7,), value), "lm_head": torch.arange(6000.0) + value}


def save(folder: Path, step: int, value: float, name: str | None = None) -> None:
    optimizer = {f"momentum.{key}": tensor * 2 for key, tensor in tensors(value).items()}
    store.save(folder, tensors(value), optimizer, State(step=step, tokens=int(value)), name)
    if name is None:
        store.prune(folder)


def saved_value(folder: Path) -> float | None:
    """Which save `latest` finds, every number of it checked; nothing newer may look damaged."""
    found, damaged = store.latest(folder)
    assert not damaged, damaged
    if found is None:
        return None
    value = float(found.state.tokens)
    assert all(torch.equal(found.weights[name], tensor) for name, tensor in tensors(value).items())
    assert all(torch.equal(found.optimizer[f"momentum.{name}"], tensor * 2) for name, tensor in tensors(value).items())
    return value


def best_value(folder: Path) -> str | None:
    """The model at the top of a run, sealed."""
    path = folder / "model.safetensors"
    if not path.exists():
        return None
    assert seal_problem(path) is None
    return fsio.sha256(path)


def decisions(folder: Path) -> list[dict[str, Any]]:
    return runs.read_lines(folder / "clock.jsonl")


@dataclass(frozen=True)
class Row:
    """Something that is written, what stands there before, and how what is there is read."""

    before: Callable[[Path], None]
    write: Callable[[Path], None]
    read: Callable[[Path], Any]


def nothing(folder: Path) -> None:
    """An empty folder."""


def two_saves(folder: Path) -> None:
    save(folder, 10, 1.0)
    save(folder, 20, 2.0)


ROWS = {
    "first": Row(nothing, lambda folder: save(folder, 10, 1.0), saved_value),
    "second": Row(lambda folder: save(folder, 10, 1.0), lambda folder: save(folder, 20, 2.0), saved_value),
    "third, the oldest is removed": Row(two_saves, lambda folder: save(folder, 30, 3.0), saved_value),
    "the same step again": Row(lambda folder: save(folder, 10, 1.0), lambda folder: save(folder, 10, 2.0), saved_value),
    "the trunk again": Row(
        lambda folder: save(folder, 10, 1.0, store.TRUNK), lambda folder: save(folder, 20, 2.0, store.TRUNK), saved_value
    ),
    "the best model": Row(
        lambda folder: void(save_tensors(folder / "model.safetensors", tensors(1.0), {})),
        lambda folder: void(save_tensors(folder / "model.safetensors", tensors(2.0), {})),
        best_value,
    ),
    "a decision of the clock": Row(
        lambda folder: fsio.append_line(folder / "clock.jsonl", '{"step": 0}'),
        lambda folder: fsio.append_line(folder / "clock.jsonl", '{"step": 7}'),
        decisions,
    ),
}


def void(value: object) -> None:
    """A row writes and gives nothing back."""


def recorded(folder: Path, write: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> tuple[Tree, RecordingDisk]:
    """What stood in the folder, and the log of what `write` did there."""
    before, disk = read_tree(folder), RecordingDisk()
    with monkeypatch.context() as patch:
        patch.setattr(fsio, "disk", disk)
        write(folder)
    return before, disk


def recovered(tree: Tree, folder: Path, read: Callable[[Path], Any]) -> Any:
    """What the next start finds in a crash state."""
    shutil.rmtree(folder, ignore_errors=True)
    write_tree(folder, tree)
    fsio.remove_leftovers(folder)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")], "something temporary stayed behind"
    return read(folder)


def crash_everywhere(tmp_path: Path, row: Row, seed: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Cut the power at each moment of a write, and of each AGAIN-th recovery too. Returns the number of different states."""
    source, folder, scratch = random.Random(seed), tmp_path / "run", tmp_path / "crashed"
    folder.mkdir()
    row.before(folder)
    old = row.read(folder)
    before, disk = recorded(folder, row.write, monkeypatch)
    new = row.read(folder)
    assert old != new
    model, seen = Model(folder, before), set[tuple[Any, ...]]()
    for moment in range(len(disk.log) + 1):
        if moment:
            model.apply(disk.log[moment - 1])
        for name, tree in states(model, source, MIXTURES):
            key = tuple(sorted(tree.items(), key=lambda item: item[0]))
            if key in seen and moment < len(disk.log):
                continue
            seen.add(key)
            found = recovered(tree, scratch, row.read)
            where = f"{name} after {moment} of {len(disk.log)} operations, seed {seed}"
            assert found in (old, new), f"neither old nor new: {where}"
            assert found == new or moment < len(disk.log), f"a finished write was lost: {where}"
            if len(seen) % AGAIN == 0:
                crash_while_recovering(tree, scratch, row, (old, new), where, monkeypatch)
    assert read_tree(folder) == model.crashed(lambda f: f.now, lambda f: f.now), "the model is not what the disk did"
    return len(seen)


def crash_while_recovering(
    tree: Tree, scratch: Path, row: Row, allowed: tuple[Any, Any], where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power fails again, while the leftovers of the first failure are removed."""
    shutil.rmtree(scratch)
    write_tree(scratch, tree)
    before, disk = recorded(scratch, fsio.remove_leftovers, monkeypatch)
    model = Model(scratch, before)
    for operation in disk.log:
        model.apply(operation)
        for name, second in states(model, random.Random(0), draws=0):
            assert recovered(second, scratch, row.read) in allowed, f"{name} while recovering from {where}"


def test_every_crash_state_of_a_write_recovers_to_the_old_or_the_new_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {}
    for seed, (name, row) in enumerate(ROWS.items()):
        (tmp_path / str(seed)).mkdir()
        counts[name] = crash_everywhere(tmp_path / str(seed), row, seed, monkeypatch)
    print(f"different crash states: {sum(counts.values()):,} ({counts})")
    assert sum(counts.values()) >= LEAST_STATES


def test_a_line_that_was_cut_off_does_not_swallow_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "clock.jsonl"
    path.write_bytes(b'{"step": 0}\n{"step": 7, "la')
    fsio.append_line(path, '{"step": 8}')
    assert decisions(tmp_path) == [{"step": 0}, {"step": 8}]
