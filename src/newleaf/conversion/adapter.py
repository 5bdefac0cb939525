"""Adapters <-> peft's files: adapter_config.json and adapter_model.safetensors, which `PeftModel.from_pretrained` puts on the base.

GPT-2 keeps queries, keys and values in one matrix, so the three adapters there become one of three times the rank.
"""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from newleaf import fsio
from newleaf.checkpoint.tensors import save_tensors
from newleaf.model.decoder import Decoder
from newleaf.model.lora import adapters

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
HEAD = "score.weight"


def write_adapter(folder: Path, model: Decoder, base: str) -> None:
    """Both files; `base` is the name or path of what it adapts."""
    found = adapters(model)
    first = next(iter(found.values()))
    rank = len(first.lora_A)
    modules = sorted({name.rsplit(".", 1)[1] for name in found})
    tensors: dict[str, Tensor] = {}
    for name, module in found.items():
        tensors |= {f"{PREFIX}{name}.lora_A.weight": module.lora_A.detach(), f"{PREFIX}{name}.lora_B.weight": module.lora_B.detach()}
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "SEQ_CLS" if model.config.num_labels else "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": first.scale * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": modules,
        "modules_to_save": ["score"] if model.config.num_labels else None,
        "inference_mode": True,
    }
    if model.config.num_labels and model.score is not None:
        tensors[f"{PREFIX}{HEAD}"] = model.score.weight.detach()
    fsio.make_folders(folder)
    fsio.write_json(folder / CONFIG, config)
    save_tensors(folder / WEIGHTS, tensors, {"format": "pt"})


def read_adapter(folder: Path) -> dict[str, Tensor]:
    """What training changes of an adapted model, under our names."""
    found = {}
    for name, tensor in load_file(folder / WEIGHTS).items():
        ours = name.removeprefix(PREFIX)
        found[ours if ours == HEAD else ours.removesuffix(".weight")] = tensor
    return found
