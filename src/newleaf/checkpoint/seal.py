"""A seal over a model file: safetensors has no checksum, so a hash of everything else stands in the file's own metadata.

It covers header and data, and the files beside it without which the weights mean something else (config.json, tokenizer.json).
Files of other makers have no seal and pass.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from newleaf import fsio

SEAL = "sha256"
BESIDE = ("config.json", "tokenizer.json")


def seal_of(header: Mapping[str, Any], pieces: Iterable[fsio.Buffer]) -> str:
    """The hash of a header (its seal left out) and of the data behind it."""
    bare = {**header, "__metadata__": {k: v for k, v in header.get("__metadata__", {}).items() if k != SEAL}}
    digest = hashlib.sha256(json.dumps(bare, sort_keys=True).encode())
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def beside(folder: Path) -> dict[str, str]:
    """Metadata entries for the files that belong to the weights."""
    return {f"sha256:{name}": fsio.sha256(folder / name) for name in BESIDE if (folder / name).exists()}


def seal_problem(path: Path) -> str | None:
    """What is wrong with a model file or with what stands beside it, or None."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(100_000_000, path.stat().st_size):
                return "is cut or damaged: its header does not fit"
            header = json.loads(file.read(length))
            metadata = header.get("__metadata__", {})
            if SEAL not in metadata:
                whole = all({"dtype", "shape", "data_offsets"} <= set(entry) for name, entry in header.items() if name != "__metadata__")
                return None if whole and "step" not in metadata else "has lost its seal"
            if seal_of(header, iter(lambda: file.read(1 << 22), b"")) != metadata[SEAL]:
                return "has changed since it was written (sha256 differs)"
    except FileNotFoundError:
        return "is missing"
    except (OSError, ValueError, AttributeError) as error:
        return f"cannot be read: {error}"
    for name in BESIDE:
        expected = metadata.get(f"sha256:{name}")
        if expected is not None and (not (path.parent / name).exists() or fsio.sha256(path.parent / name) != expected):
            return f"does not belong to the {name} beside it"
    return None
