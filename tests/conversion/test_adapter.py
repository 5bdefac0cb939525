"""Adapters in peft's files: the same bits back, and in peft, where there is one, the same logits as here."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from model.configs import CONFIGS, SIZE, random_decoder, random_ids
from safetensors.torch import load_file

from newleaf.conversion.adapter import read_adapter, write_adapter
from newleaf.conversion.huggingface import write_model
from newleaf.model.config import ModelConfig, preset
from newleaf.model.decoder import Decoder
from newleaf.model.lora import adapt, load_trained, trained
from newleaf.training.settings import TARGETS

FAMILIES = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
LLAMA_LIKE = {name: config for name, config in CONFIGS.items() if config.family != "gpt2"}
PADDING, NUM_LABELS = 3, 3


def adapted(
    config: ModelConfig, rank: int = 3, alpha: float = 6.0, targets: Sequence[str] = TARGETS, int8: bool = False, seed: int = 1
) -> Decoder:
    """An adapted model in which everything that training changes is drawn."""
    model, generator = random_decoder(config), torch.Generator().manual_seed(seed)
    adapt(model, rank, alpha, targets, generator, int8)
    with torch.no_grad():
        for weight in trained(model).values():
            weight.normal_(std=0.2, generator=generator)
    return model


# our own eyes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("int8", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("num_labels", [0, NUM_LABELS])
@FAMILIES
def test_an_adapter_comes_back_bit_for_bit(config: ModelConfig, num_labels: int, int8: bool, tmp_path: Path) -> None:
    config = replace(config, num_labels=num_labels)
    model = adapted(config, int8=int8)
    write_adapter(tmp_path / "adapter", model, "base")
    found, expected = read_adapter(tmp_path / "adapter"), trained(model)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], weight) and weight.dtype == found[name].dtype for name, weight in expected.items())
    other, ids = adapted(config, int8=int8, seed=2), random_ids(config, 2, 9)
    load_trained(other, found)
    assert torch.equal(other.hidden(ids), model.hidden(ids))


def test_the_same_adapter_is_the_same_files(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_adapter(tmp_path / name, adapted(CONFIGS["qwen3"]), "base")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


@pytest.mark.parametrize("config", LLAMA_LIKE.values(), ids=LLAMA_LIKE)
def test_an_adapter_takes_no_more_room_than_its_narrow_matrices(config: ModelConfig, tmp_path: Path) -> None:
    model = adapted(config)
    write_adapter(tmp_path, model, "base")
    assert sum(tensor.nbytes for tensor in load_file(tmp_path / "adapter_model.safetensors").values()) == sum(
        weight.nbytes for weight in trained(model).values()
    )


@pytest.mark.parametrize(("rank", "alpha"), [(1, 1.0), (3, 16.0), (8, 16.0), (64, 7.5)])
@pytest.mark.parametrize("targets", [TARGETS, ("v_proj", "q_proj"), ("down_proj",)], ids=",".join)
def test_the_config_says_what_peft_wants_to_know(rank: int, alpha: float, targets: Sequence[str], tmp_path: Path) -> None:
    write_adapter(tmp_path, adapted(CONFIGS["qwen3"], rank, alpha, targets), "somebody/something")
    config = json.loads((tmp_path / "adapter_config.json").read_text("utf-8"))
    assert config["lora_alpha"] == pytest.approx(alpha, rel=1e-12)
    assert config | {"lora_alpha": alpha} == {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "somebody/something",
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": sorted(targets),
        "modules_to_save": None,
        "inference_mode": True,
    }


def test_the_config_of_a_classifier_names_its_head(tmp_path: Path) -> None:
    write_adapter(tmp_path, adapted(replace(CONFIGS["qwen3"], num_labels=NUM_LABELS)), "base")
    config = json.loads((tmp_path / "adapter_config.json").read_text("utf-8"))
    assert (config["task_type"], config["modules_to_save"]) == ("SEQ_CLS", ["score"])
    assert "base_model.model.score.weight" in load_file(tmp_path / "adapter_model.safetensors")


@pytest.mark.parametrize("config", LLAMA_LIKE.values(), ids=LLAMA_LIKE)
def test_tensors_are_named_and_shaped_as_peft_does(config: ModelConfig, tmp_path: Path) -> None:
    write_adapter(tmp_path, adapted(config, rank=5, targets=("o_proj", "up_proj")), "base")
    shapes = {name: tuple(tensor.shape) for name, tensor in load_file(tmp_path / "adapter_model.safetensors").items()}
    expected: dict[str, tuple[int, int]] = {}
    for layer in range(config.depth):
        of = f"base_model.model.model.layers.{layer}"
        expected |= {f"{of}.self_attn.o_proj.lora_A.weight": (5, config.heads * config.head_dim)}
        expected |= {f"{of}.self_attn.o_proj.lora_B.weight": (config.width, 5)}
        expected |= {f"{of}.mlp.up_proj.lora_A.weight": (5, config.width), f"{of}.mlp.up_proj.lora_B.weight": (config.mlp_width, 5)}
    assert shapes == expected


# peft -------------------------------------------------------------------------------------------------------------------


def in_peft(model: Decoder, folder: Path, kind: str) -> Any:
    """A model's adapter on its base, as peft and transformers read the files of both."""
    peft, transformers = pytest.importorskip("peft"), pytest.importorskip("transformers")
    names = {"id2label": {0: "a", 1: "b", 2: "c"}, "label2id": {"a": 0, "b": 1, "c": 2}} if model.config.num_labels else {}
    write_model(folder / "base", random_decoder(model.config), {}, 0, {"pad_token_id": PADDING, **names})
    write_adapter(folder / "adapter", model, str(folder / "base"))
    base = getattr(transformers, kind).from_pretrained(folder / "base")
    return peft.PeftModel.from_pretrained(base, folder / "adapter").eval()


@pytest.mark.ecosystem
@pytest.mark.parametrize("targets", [TARGETS, ("q_proj", "v_proj")], ids=["everywhere", "q and v"])
@pytest.mark.parametrize("name", ["qwen3", "llama", "qwen2", "gpt2"])
def test_peft_computes_what_the_adapted_model_computes(name: str, targets: Sequence[str], tmp_path: Path) -> None:
    config = preset(name, **SIZE)
    model, ids = adapted(config, rank=4, alpha=7.0, targets=targets), random_ids(config, 3, 17)
    theirs = in_peft(model, tmp_path, "AutoModelForCausalLM")
    with torch.no_grad():
        expected = theirs(ids).logits
        torch.testing.assert_close(model(ids), expected, rtol=0, atol=1e-4)
        torch.testing.assert_close(theirs.merge_and_unload()(ids).logits, expected, rtol=0, atol=1e-4)
        assert float((random_decoder(config)(ids) - expected).abs().max()) > 0.1


@pytest.mark.ecosystem
def test_peft_computes_what_the_adapted_classifier_computes(tmp_path: Path) -> None:
    config = replace(preset("qwen3", **SIZE), num_labels=NUM_LABELS)
    model, lengths = adapted(config, rank=4, alpha=7.0), torch.tensor([5, 17, 1])
    ids = random_ids(config, 3, 17).clamp(min=PADDING + 1)
    ids[torch.arange(17) >= lengths[:, None]] = PADDING
    theirs = in_peft(model, tmp_path, "AutoModelForSequenceClassification")
    with torch.no_grad():
        found = model.labels(model.hidden(ids)[torch.arange(3), lengths - 1])
        torch.testing.assert_close(found, theirs(ids).logits, rtol=0, atol=1e-4)
