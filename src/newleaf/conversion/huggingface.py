"""A decoder <-> a folder that transformers, vLLM and llama.cpp's converter load: config.json and model.safetensors.

Nothing is unpickled and no code of a model is run; a file that is cut, changed, of another shape or of an unsupported kind is one
sentence, before memory is taken for it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from newleaf import fsio
from newleaf.checkpoint.seal import beside, seal_problem
from newleaf.checkpoint.tensors import save_tensors
from newleaf.conversion.configs import NAMED, SAID, config_from_json, config_to_json
from newleaf.conversion.names import HuggingfaceWeights, copy_in, places, standard_names
from newleaf.errors import ModelError
from newleaf.model.config import ModelConfig
from newleaf.model.decoder import Decoder
from newleaf.model.lora import PlainWeights
from newleaf.model.size import shapes

__all__ = [
    "config_from_json",
    "config_to_json",
    "read_into",
    "read_metadata",
    "read_model",
    "write_model",
]

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
NOTHING: Mapping[str, Any] = {}
GENERATION = "generation_config.json"
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float32}  # read as; F64 narrows


@dataclass(frozen=True)
class Held:
    """A tensor in a file, under the name that it has there."""

    file: Path
    name: str
    shape: tuple[int, ...]
    type: str  # as safetensors spells it


def write_model(folder: Path, model: Decoder, metadata: Mapping[str, str], end_of_text: int = 0, said: Mapping[str, Any] = NOTHING) -> str:
    """Write config.json, generation_config.json and model.safetensors (float32, sealed, adapters merged); returns the sha256 of the last.

    Texts begin and end with `end_of_text`, or as an imported model has `said`: {"eos_token_id": …}.
    """
    fsio.make_folders(folder)
    ids = {"bos_token_id": end_of_text, "eos_token_id": end_of_text} | {name: said[name] for name in SAID if name in said}
    fsio.write_json(folder / "config.json", {**config_to_json(model.config, end_of_text), **said})
    fsio.write_json(folder / GENERATION, ids)
    tensors = HuggingfaceWeights(model.config, PlainWeights(model))
    return save_tensors(folder / WEIGHTS, tensors, {"format": "pt", **metadata, **beside(folder)})


def write_export(folder: Path, model: Decoder, source: Path) -> None:
    """Write the model that was read from `source`: each tensor in the type that it had there, and what was said there of ends of text."""
    config, found = contents(source)
    types = {name: DTYPES[held.type] for name, held in found.items()}
    main = max(sorted(set(types.values()), key=str), key=list(types.values()).count, default=torch.float32)
    said = {name: value for name, value in read_object(source / "config.json").items() if name in (*SAID, *NAMED)}
    kind = str(main).removeprefix("torch.")
    shape = {name: value for name, value in config_to_json(config).items() if name not in SAID}
    fsio.write_json(folder / "config.json", shape | said | {"dtype": kind, "torch_dtype": kind})
    generation = source / GENERATION
    fsio.write_json(folder / GENERATION, read_object(generation) if generation.exists() else said)
    tensors = HuggingfaceWeights(config, model.state_dict())
    save_tensors(folder / WEIGHTS, {name: tensor.to(types[name]) for name, tensor in tensors.items()}, {"format": "pt", **beside(folder)})


def read_model(folder: Path) -> Decoder:
    """The decoder in a folder, float32 whatever the type of its file. ModelError if it is missing, damaged or not supported."""
    config, found = contents(folder)
    model = Decoder(config, initialised=False)
    fill(model, config, found)
    return model


def read_into(model: Decoder, folder: Path) -> None:
    """Give a decoder the weights in a folder that it has a place for: one with a head for labels has none for an output projection.
    ModelError as `read_model`."""
    fill(model, *contents(folder))


def fill(model: Decoder, config: ModelConfig, found: Mapping[str, Held]) -> None:
    """One tensor at a time, each file closed behind it: a mapped page that was read counts as memory until then."""
    weights = model.state_dict()
    to = places(config, weights)
    for name in to.keys() & found.keys():
        with safe_open(found[name].file, framework="pt") as opened:
            copy_in(to[name].views(weights), opened.get_tensor(found[name].name))


def contents(folder: Path) -> tuple[ModelConfig, dict[str, Held]]:
    """A model's shape and {name in transformers: where its tensor stands}. ModelError unless they fit each other."""
    config = config_from_json(read_object(folder / "config.json"), str(folder / "config.json"))
    found = {name: held for file in weight_files(folder) for name, held in headers(config, file).items()}
    check(config, found, folder)
    return config, found


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


def headers(config: ModelConfig, file: Path) -> dict[str, Held]:
    """{standard name: a tensor in a file}, from its header alone."""
    try:
        with safe_open(file, framework="pt") as opened:
            slices = {name: (old, opened.get_slice(old)) for name, old in standard_names(config, opened.keys()).items()}
            return {name: Held(file, old, tuple(part.get_shape()), part.get_dtype()) for name, (old, part) in slices.items()}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{file} cannot be read: {error}", where=str(file), hint="it was probably cut off while copying") from error


def check(config: ModelConfig, found: Mapping[str, Held], folder: Path) -> None:
    """ModelError, naming the tensor, if a model of this shape would not have exactly these tensors."""
    expected: dict[str, tuple[int, ...]] = {}
    if config.depth <= len(found):  # a config.json may ask for any number of layers
        empty = {name: torch.empty(shape, device="meta") for name, shape in shapes(config).items()}
        expected = {name: tuple(tensor.shape) for name, tensor in HuggingfaceWeights(config, empty).items()}
    for name in sorted(expected.keys() | found.keys()):
        if name not in found or name not in expected:
            problem = "is missing" if name not in found else "is not a part of the model that config.json describes"
            raise ModelError(f"{name} {problem}", where=str(folder))
        held = found[name]
        if held.shape != expected[name]:
            raise ModelError(f"{name} has the shape {list(held.shape)}", where=str(folder), expected=str(list(expected[name])))
        if held.type not in DTYPES:
            raise ModelError(f"{name} is of the type {held.type}", where=str(folder), expected="one of " + ", ".join(DTYPES))
