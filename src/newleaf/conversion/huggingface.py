"""PROVISIONAL: replaced by the real one."""

import json
from pathlib import Path

from newleaf import fsio
from newleaf.checkpoint.seal import beside, seal_problem
from newleaf.checkpoint.store import read_tensors
from newleaf.checkpoint.tensors import save_tensors
from newleaf.errors import ModelError
from newleaf.model.config import ModelConfig
from newleaf.model.decoder import Decoder


def write_model(folder, model, metadata):
    fsio.write_json(folder / "config.json", {"newleaf": vars(model.config)})
    fsio.write_json(folder / "generation_config.json", {})
    return save_tensors(folder / "model.safetensors", model.state_dict(), metadata | beside(folder))


def weights_from_huggingface(config, tensors):
    return tensors


def read_model(folder):
    problem = seal_problem(folder / "model.safetensors")
    if problem:
        raise ModelError(f"{folder / 'model.safetensors'} {problem}")
    config = ModelConfig(**json.loads((folder / "config.json").read_text())["newleaf"])
    model = Decoder(config)
    model.load_state_dict(read_tensors(folder / "model.safetensors"))
    return model
