"""A decoder <-> a folder that transformers, vLLM and llama.cpp's converter load: config.json and model.safetensors.

Nothing is unpickled and no code of a model is run; a file that is cut, changed, of another shape or of an unsupported kind is one
sentence, before memory is taken for it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from newleaf import fsio
from newleaf.checkpoint.seal import beside, seal_problem
from newleaf.checkpoint.tensors import save_tensors
from newleaf.conversion.configs import config_from_json, config_to_json
from newleaf.conversion.names import standard_names, weights_from_huggingface, weights_to_huggingface
from newleaf.errors import ModelError
from newleaf.model.config import ModelConfig
from newleaf.model.decoder import Decoder
from newleaf.model.size import shapes

__all__ = [
    "config_from_json",
    "config_to_json",
    "read_metadata",
    "read_model",
    "weights_from_huggingface",
    "weights_to_huggingface",
    "write_model",
]

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
DTYPES = ("F32", "F16", "BF16", "F64")


def write_model(folder: Path, model: Decoder, metadata: Mapping[str, str], end_of_text: int = 0) -> str:
    """Write config.json, generation_config.json and model.safetensors (float32, sealed); returns the sha256 of the last."""
    fsio.make_folders(folder)
    fsio.write_json(folder / "config.json", config_to_json(model.config, end_of_text))
    fsio.write_json(folder / "generation_config.json", {"bos_token_id": end_of_text, "eos_token_id": end_of_text})
    tensors = weights_to_huggingface(model.config, model.state_dict())
    return save_tensors(folder / WEIGHTS, tensors, {"format": "pt", **metadata, **beside(folder)})


def read_model(folder: Path) -> Decoder:
    """The decoder in a folder, float32 whatever the type of its file. ModelError if it is missing, damaged or not supported."""
    config = config_from_json(read_object(folder / "config.json"), str(folder / "config.json"))
    files = weight_files(folder)
    check(config, {name: found for file in files for name, found in headers(config, file).items()}, folder)
    tensors: dict[str, Tensor] = {}
    for file in files:
        with safe_open(file, framework="pt") as opened:
            tensors |= {name: opened.get_tensor(old) for name, old in standard_names(config, opened.keys()).items()}
    model = Decoder(config, initialised=False)
    model.load_state_dict(weights_from_huggingface(config, tensors))
    return model


def read_metadata(folder: Path) -> dict[str, str]:
    """What stands in the header of a folder's model.safetensors: step, val_bpb and what else was given to `write_model`."""
    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder / WEIGHTS} cannot be read: {error}", where=str(folder / WEIGHTS)) from error


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object. ModelError if there is none."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent} has no {path.name}", where=str(path), expected="a run directory or a model's folder") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read: {error}", where=str(path)) from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no JSON object", where=str(path))
    return value


def weight_files(folder: Path) -> list[Path]:
    """model.safetensors, after its seal was checked, or the files that an index names."""
    if (folder / WEIGHTS).exists():
        if problem := seal_problem(folder / WEIGHTS):
            raise ModelError(f"{folder / WEIGHTS} {problem}", where=str(folder / WEIGHTS), hint="take it from a checkpoint or a copy")
        return [folder / WEIGHTS]
    if (folder / INDEX).exists():
        names = read_object(folder / INDEX).get("weight_map")
        if not isinstance(names, dict) or not all(isinstance(name, str) and Path(name).name == name for name in names.values()):
            raise ModelError(f"{folder / INDEX} names no files beside it", where=str(folder / INDEX), expected='a "weight_map"')
        return [folder / name for name in sorted(set(names.values()))]
    pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    if pickles:
        hint = "where you trust it, load it with transformers and save it with save_pretrained(folder, safe_serialization=True)"
        raise ModelError(
            f"{folder / pickles[0]} can run code when it is read, so it is not", where=str(folder), expected=WEIGHTS, hint=hint
        )
    raise ModelError(f"{folder} has no {WEIGHTS}", where=str(folder), expected="a run directory or a model's folder")


def headers(config: ModelConfig, file: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """{standard name: (shape, type)} of the tensors in a file, from its header alone."""
    try:
        with safe_open(file, framework="pt") as opened:
            slices = {name: opened.get_slice(old) for name, old in standard_names(config, opened.keys()).items()}
            return {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file} cannot be read: {error}", where=str(file), hint="it was probably cut off while copying") from error


def check(config: ModelConfig, found: Mapping[str, tuple[tuple[int, ...], str]], folder: Path) -> None:
    """ModelError, naming the tensor, if a model of this shape would not have exactly these tensors."""
    expected: dict[str, tuple[int, ...]] = {}
    if config.depth <= len(found):  # a config.json may ask for any number of layers
        empty = {name: torch.empty(shape, device="meta") for name, shape in shapes(config).items()}
        expected = {name: tuple(tensor.shape) for name, tensor in weights_to_huggingface(config, empty).items()}
    for name in sorted(expected.keys() | found.keys()):
        if name not in found or name not in expected:
            problem = "is missing" if name not in found else "is not a part of the model that config.json describes"
            raise ModelError(f"{name} {problem}", where=str(folder))
        shape, dtype = found[name]
        if shape != expected[name]:
            raise ModelError(f"{name} has the shape {list(shape)}", where=str(folder), expected=str(list(expected[name])))
        if dtype not in DTYPES:
            raise ModelError(f"{name} is of the type {dtype}", where=str(folder), expected="one of " + ", ".join(DTYPES))
