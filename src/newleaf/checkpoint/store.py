"""Checkpoints on disk: written under a temporary name, renamed when complete, found by verifying and never by trusting a name.

A damaged checkpoint is named and the one before it is used; at least two verified ones are kept.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from newleaf import fsio
from newleaf.checkpoint.state import State
from newleaf.checkpoint.tensors import save_tensors
from newleaf.errors import CheckpointError

WEIGHTS, OPTIMIZER, STATE, MANIFEST = "model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"
TRUNK = "trunk"
KEPT = 2
Tensors = Mapping[str, Tensor]
Steps = Callable[[int], bool]


def every_step(step: int) -> bool:
    return True


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds, read back."""

    path: Path
    weights: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: State


def save(folder: Path, weights: Tensors, optimizer: Tensors, state: State, name: str | None = None) -> Path:
    """Write one checkpoint; DiskFullError before anything changes if there is no room for it."""
    path = folder / (name or f"step-{state.step:08d}")
    needed = num_bytes(weights) + num_bytes(optimizer) + 1_000_000
    fsio.require_space(folder, needed)
    with fsio.named_errors(folder, needed):
        fsio.make_folders(folder)
    with fsio.replacing_folder(path, needed) as temporary:
        hashes = {
            WEIGHTS: save_tensors(temporary / WEIGHTS, weights, {"format": "pt"}),
            OPTIMIZER: save_tensors(temporary / OPTIMIZER, optimizer, {}),
            STATE: fsio.write_json(temporary / STATE, state.as_json()),
        }
        write_manifest(temporary, hashes)
    return path


def write_manifest(folder: Path, hashes: Mapping[str, str]) -> None:
    """manifest.json: size and sha256 of each file."""
    files = {name: {"size": (folder / name).stat().st_size, "sha256": digest} for name, digest in sorted(hashes.items())}
    fsio.write_json(folder / MANIFEST, {"files": files})


def problems(path: Path) -> dict[str, str]:
    """What is wrong with a folder that has a manifest: {file name: reason}, empty if every byte is as it was written."""
    try:
        raw = (path / MANIFEST).read_bytes()
        files = json.loads(raw)["files"]
        if fsio.json_text({"files": files}).encode() != raw or sorted(files) != sorted((WEIGHTS, OPTIMIZER, STATE)):
            return {MANIFEST: "is not as it was written"}
        found = {name: problem(path / name, entry["size"], entry["sha256"]) for name, entry in files.items()}
    except FileNotFoundError:
        return {MANIFEST: "is missing"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return {MANIFEST: f"cannot be read: {error}"}
    return {name: reason for name, reason in found.items() if reason}


def problem(file: Path, size: int, digest: str) -> str | None:
    """Why one file is not what the manifest says, or None."""
    try:
        actual = file.stat().st_size
    except OSError:
        return "is missing"
    if actual != size:
        return f"has {actual:,} bytes (expected {size:,})"
    return None if fsio.sha256(file) == digest else "has changed since it was written (sha256 differs)"


def load(path: Path) -> Checkpoint:
    """Read a checkpoint after verifying every byte; CheckpointError, naming the file, if one differs."""
    for name, reason in problems(path).items():
        raise CheckpointError(
            f"{path / name} {reason}", where=str(path / name), hint="the checkpoint before it is used instead, where there is one"
        )
    state = State.from_json(json.loads((path / STATE).read_text("utf-8")))
    return Checkpoint(path, read_tensors(path / WEIGHTS), read_tensors(path / OPTIMIZER), state)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)


def by_step(folder: Path) -> list[Path]:
    """The checkpoints of a run by name, newest first, verified or not; the trunk is not among them."""
    return sorted(folder.glob("step-*"), reverse=True) if folder.exists() else []


def latest(folder: Path, among: Steps = every_step) -> tuple[Checkpoint | None, list[tuple[str, str]]]:
    """The newest checkpoint that verifies, and a sentence for each newer one that does not, in English and in Chinese."""
    damaged: list[tuple[str, str]] = []
    for path in [*(p for p in by_step(folder) if among(step_of(p))), *([folder / TRUNK] if (folder / TRUNK).exists() else [])]:
        try:
            return load(path), damaged
        except CheckpointError as error:
            damaged.append((f"{error.message}; the one before it is used", f"{error.where or path} 已损坏；改用前一个检查点"))
    return None, damaged


def prune(folder: Path, among: Steps = every_step) -> None:
    """Remove checkpoints older than the KEPT newest verified ones and the newest verified one `among` those steps.

    Damaged ones among the newest stay for a look.
    """
    verified, found = 0, False
    for path in by_step(folder):
        wanted = verified < KEPT or (not found and among(step_of(path)))
        if not wanted:
            fsio.remove_tree(path)
        elif not problems(path):
            verified, found = verified + 1, found or among(step_of(path))


def step_of(path: Path) -> int:
    """The step in a checkpoint's name, -1 where there is none.

    >>> step_of(Path("step-00000120")), step_of(Path("step-by-step"))
    (120, -1)
    """
    number = path.name.removeprefix("step-")
    return int(number) if number.isdecimal() else -1


def num_bytes(tensors: Tensors) -> int:
    """Of the tensors' data."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
