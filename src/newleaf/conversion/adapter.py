"""Adapters <-> peft's files: adapter_config.json and adapter_model.safetensors, which `PeftModel.from_pretrained` puts on the base.

GPT-2 keeps queries, keys and values in one matrix, so the adapters there become one whose rank is the sum of theirs: the narrow matrices
one below the other, the wide ones along a diagonal.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from newleaf import fsio
from newleaf.checkpoint.tensors import save_tensors
from newleaf.conversion.names import TRANSPOSED
from newleaf.model.decoder import Decoder
from newleaf.model.lora import A, Adapted, B, adapters

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
HEAD = "score.weight"


def write_adapter(folder: Path, model: Decoder, base: str) -> None:
    """Both files; `base` is the name or path of what it adapts."""
    found, gpt2 = adapters(model), model.config.family == "gpt2"
    first = next(iter(found.values()))
    rank = len(first.lora_A)
    tensors: dict[str, Tensor] = {}
    ranks: dict[str, int] = {}
    for name, parts in (fused(found) if gpt2 else {name: [module] for name, module in found.items()}).items():
        tensors[f"{PREFIX}{name}.{A}.weight"] = torch.cat([part.lora_A.detach() for part in parts])
        tensors[f"{PREFIX}{name}.{B}.weight"] = torch.block_diag(*(part.lora_B.detach() for part in parts))  # type: ignore[no-untyped-call]
        ranks[name] = rank * len(parts)
    other = {name: each for name, each in ranks.items() if each != rank}
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "SEQ_CLS" if model.config.num_labels else "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": first.scale * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": gpt2,
        "target_modules": sorted(ranks) if gpt2 else sorted({name.rsplit(".", 1)[1] for name in ranks}),
        "modules_to_save": ["score"] if model.config.num_labels else None,
        "inference_mode": True,
    }
    if other:
        config |= {"rank_pattern": other, "alpha_pattern": {name: first.scale * each for name, each in other.items()}}
    if model.score is not None:
        tensors[f"{PREFIX}{HEAD}"] = model.score.weight.detach()
    fsio.make_folders(folder)
    fsio.write_json(folder / CONFIG, config)
    save_tensors(folder / WEIGHTS, tensors, {"format": "pt"})


class Nothing:
    """In the place of an adapter that there is not: rows of zeros, of the same rank."""

    def __init__(self, beside: Adapted) -> None:
        self.lora_A, self.lora_B = torch.zeros_like(beside.lora_A), torch.zeros_like(beside.lora_B)


def fused(found: Mapping[str, Adapted]) -> dict[str, list[Adapted | Nothing]]:
    """{name in transformers' GPT-2: our adapters that stand there, in their order}."""
    layers = sorted({int(name.split(".")[2]) for name in found})
    places: dict[str, list[Adapted | Nothing]] = {}
    for layer in layers:
        for ours, theirs in TRANSPOSED.items():
            parts = [found.get(f"model.layers.{layer}.{part}") for part in ours]
            some = next((part for part in parts if part is not None), None)
            if some is not None:
                places[f"transformer.h.{layer}.{theirs}"] = [part or Nothing(some) for part in parts]
    return places


def read_adapter(folder: Path) -> dict[str, Tensor]:
    """What training changes of an adapted model, under our names."""
    found: dict[str, Tensor] = {}
    tensors = {name.removeprefix(PREFIX): tensor for name, tensor in load_file(folder / WEIGHTS).items()}
    for name in (name.removesuffix(f".{A}.weight") for name in tensors if name.endswith(f".{A}.weight")):
        narrow, wide = tensors[f"{name}.{A}.weight"], tensors[f"{name}.{B}.weight"]
        for ours, rows, block in taken_apart(name, narrow, wide):
            found |= {f"{ours}.{A}": rows, f"{ours}.{B}": block}
    return found | ({HEAD: tensors[HEAD]} if HEAD in tensors else {})


def taken_apart(name: str, narrow: Tensor, wide: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
    """(our name, A, B) of each adapter in one of peft's; those that hold nothing are left out."""
    layer, _, theirs = name.removeprefix("transformer.h.").partition(".")
    ours = next((parts for parts, other in TRANSPOSED.items() if other == theirs), None)
    if ours is None or not name.startswith("transformer.h."):
        yield name, narrow, wide
        return
    for place, (part, rows) in enumerate(zip(ours, narrow.chunk(len(ours)), strict=True)):
        if bool(rows.any()):
            yield f"model.layers.{layer}.{part}", rows.contiguous(), wide.chunk(len(ours))[place].chunk(len(ours), 1)[place].contiguous()
