"""A checkpoint comes back as it was, and no changed byte passes."""

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from newleaf import fsio
from newleaf.checkpoint import store
from newleaf.checkpoint.seal import beside, seal_problem
from newleaf.checkpoint.state import Best, Decision, State
from newleaf.checkpoint.tensors import save_tensors
from newleaf.errors import CheckpointError


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"b": torch.full((3, 5), value), "a": torch.arange(7, dtype=torch.float32) + value, "empty": torch.zeros(0, 4)}


def saved(folder: Path, step: int) -> Path:
    state = State(step=step, decisions=[Decision(0, 9)], best=Best(2.5, 1.25, 3, "ab"), typical_loss=0.1 + 0.2, matmul_seconds=[1 / 3])
    return store.save(folder, weights(step), {"m": torch.full((4,), float(step))}, state)


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    found = store.load(saved(tmp_path, 12))
    assert found.state == State(
        12, decisions=[Decision(0, 9)], best=Best(2.5, 1.25, 3, "ab"), typical_loss=0.1 + 0.2, matmul_seconds=[1 / 3]
    )
    assert all(torch.equal(found.weights[name], tensor) for name, tensor in weights(12).items())
    assert torch.equal(found.optimizer["m"], torch.full((4,), 12.0))


def test_safetensors_reads_what_was_written_and_the_same_tensors_give_the_same_bytes(tmp_path: Path) -> None:
    tensors = weights(1.5) | {
        "half": torch.ones(3, dtype=torch.bfloat16),
        "turned": torch.arange(6.0).reshape(2, 3).T,
        "scalar": torch.tensor(3.0),
    }
    first = save_tensors(tmp_path / "one", tensors, {"step": "3"})
    second = save_tensors(tmp_path / "two", dict(reversed(tensors.items())), {"step": "3"})
    assert first == second == fsio.sha256(tmp_path / "one")
    back = load_file(tmp_path / "one")
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())


def test_the_newest_good_checkpoint_is_found_and_the_damaged_one_named(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        saved(tmp_path, step)
    flip(tmp_path / "step-00000030" / store.WEIGHTS, 200, 3)
    found, damaged = store.latest(tmp_path)
    assert found is not None
    assert found.state.step == 20
    ((english, chinese),) = damaged
    assert "step-00000030" in english
    assert "step-00000030" in chinese
    assert english.endswith("; the one before it is used")
    assert chinese.endswith(" 已损坏；改用前一个检查点")


def test_two_verified_ones_are_kept_whatever_lies_between(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40):
        saved(tmp_path, step)
    flip(tmp_path / "step-00000030" / store.OPTIMIZER, 90, 1)
    store.prune(tmp_path)
    assert [path.name for path in store.by_step(tmp_path)] == ["step-00000040", "step-00000030", "step-00000020"]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    saved(tmp_path, 10)
    flip(tmp_path / "step-00000010" / store.STATE, 5, 2)
    saved(tmp_path, 10)
    assert not store.problems(tmp_path / "step-00000010")
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000010"]


@pytest.mark.parametrize("name", [store.WEIGHTS, store.OPTIMIZER, store.STATE, store.MANIFEST])
def test_every_flipped_bit_and_every_cut_is_detected(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, 10)
    file, random_source = path / name, random.Random(0)
    good = file.read_bytes()
    for _ in range(50):
        flip(file, random_source.randrange(len(good)), random_source.randrange(8))
        assert store.problems(path), "a flipped bit passed"
        file.write_bytes(good)
    for _ in range(10):
        file.write_bytes(good[: random_source.randrange(len(good))])
        assert store.problems(path), "a cut passed"
        with pytest.raises(CheckpointError, match=r"json|safetensors"):
            store.load(path)
    start = random_source.randrange(max(1, len(good) - 4096))
    file.write_bytes(good[:start] + bytes(min(4096, len(good) - start)) + good[start + 4096 :])
    assert store.problems(path), "a zeroed block passed"
    file.unlink()
    assert store.problems(path)


def test_a_sealed_model_file_detects_every_flip_of_itself_and_of_what_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"width": 64}')
    path = tmp_path / "model.safetensors"
    save_tensors(path, weights(2.0), {"step": "10"} | beside(tmp_path))
    assert seal_problem(path) is None
    good, random_source = path.read_bytes(), random.Random(1)
    length = 8 + int.from_bytes(good[:8], "little")
    padding = range(len(good[:length].rstrip(b" ")), length)
    for position in [*range(0, length, 7), *(random_source.randrange(len(good)) for _ in range(40))]:
        if position in padding:  # spaces that mean nothing
            continue
        flip(path, position, random_source.randrange(8))
        assert seal_problem(path), position
        path.write_bytes(good)
    (tmp_path / "config.json").write_text('{"width": 65}')
    assert "config.json" in str(seal_problem(path))


def test_a_state_of_another_shape_is_refused_in_a_sentence() -> None:
    with pytest.raises(CheckpointError, match="unexpected shape"):
        State.from_json(json.loads('{"step": 3}'))


def flip(file: Path, position: int, bit: int) -> None:
    data = bytearray(file.read_bytes())
    data[position] ^= 1 << bit
    file.write_bytes(bytes(data))
