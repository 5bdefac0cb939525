"""transformers is the judge: the same logits, losses and gradients from the same files, in both directions."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from model.configs import CONFIGS, MIXTURE, SIZE, random_decoder, random_ids
from safetensors.torch import load_file

from newleaf.conversion.huggingface import read_metadata, read_model, write_model
from newleaf.conversion.names import HuggingfaceWeights, copy_in, places
from newleaf.errors import ModelError
from newleaf.model.config import ModelConfig, preset
from newleaf.model.decoder import Decoder
from newleaf.model.size import shapes

transformers = pytest.importorskip("transformers")
FAMILIES = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
LLAMA: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 40,
    "num_hidden_layers": 2,
    "max_position_embeddings": 24,
    "intermediate_size": 52,
}
GPT2: dict[str, Any] = {"vocab_size": 97, "n_embd": 40, "n_layer": 2, "n_positions": 24}


def rope(kind: str, **values: Any) -> dict[str, Any]:
    return {"rope_type": kind, "rope_theta": 500.0, **values}


THEIRS: dict[str, Any] = {
    "gpt2": lambda: transformers.GPT2Config(**GPT2, n_head=5),
    "gpt2 relu, untied": lambda: transformers.GPT2Config(
        **GPT2, n_head=4, n_inner=30, activation_function="relu", tie_word_embeddings=False
    ),
    "llama": lambda: transformers.LlamaConfig(**LLAMA, num_attention_heads=4, num_key_value_heads=4),
    "llama grouped, biases": lambda: transformers.LlamaConfig(
        **LLAMA, num_attention_heads=4, num_key_value_heads=2, head_dim=12, attention_bias=True, mlp_bias=True, tie_word_embeddings=True
    ),
    "llama 3.1": lambda: transformers.LlamaConfig(
        **LLAMA,
        num_attention_heads=4,
        num_key_value_heads=2,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16,
        },
    ),
    "llama, linear": lambda: transformers.LlamaConfig(**LLAMA, num_attention_heads=4, rope_parameters=rope("linear", factor=2.5)),
    "llama, dynamic": lambda: transformers.LlamaConfig(
        **LLAMA | {"max_position_embeddings": 10}, num_attention_heads=4, rope_parameters=rope("dynamic", factor=2.5)
    ),
    "llama, yarn": lambda: transformers.LlamaConfig(
        **LLAMA, num_attention_heads=4, rope_parameters=rope("yarn", factor=3.0, original_max_position_embeddings=8)
    ),
    "llama, yarn as DeepSeek has it": lambda: transformers.LlamaConfig(
        **LLAMA | {"max_position_embeddings": 40},
        num_attention_heads=2,
        rope_parameters=rope(
            "yarn",
            factor=4.0,
            original_max_position_embeddings=9,
            mscale=1.3,
            mscale_all_dim=0.7,
            beta_fast=4,
            beta_slow=0.5,
            truncate=False,
        ),
    ),
    "mistral": lambda: transformers.MistralConfig(**LLAMA, num_attention_heads=4, num_key_value_heads=2, head_dim=14, sliding_window=None),
    "mistral, a window as long as the context": lambda: transformers.MistralConfig(
        **LLAMA, num_attention_heads=4, num_key_value_heads=2, sliding_window=24
    ),
    "qwen2, yarn": lambda: transformers.Qwen2Config(
        **LLAMA, num_attention_heads=5, num_key_value_heads=1, rope_parameters=rope("yarn", factor=4.0, attention_factor=1.2)
    ),
    "qwen2": lambda: transformers.Qwen2Config(**LLAMA, num_attention_heads=5, num_key_value_heads=1, tie_word_embeddings=True),
    "qwen3": lambda: transformers.Qwen3Config(**LLAMA, num_attention_heads=6, num_key_value_heads=3, head_dim=16, rms_norm_eps=1e-5),
    "qwen3, default head size": lambda: transformers.Qwen3Config(**LLAMA, num_attention_heads=2, num_key_value_heads=1),
}


def weights_from_huggingface(config: ModelConfig, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found = {name: torch.empty(shape) for name, shape in shapes(config).items()}
    for name, place in places(config, found).items():
        copy_in(place.views(found), tensors[name])
    return found


def loss_and_gradients(model: torch.nn.Module, logits: torch.Tensor, targets: torch.Tensor) -> tuple[float, dict[str, torch.Tensor]]:
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    return loss.item(), {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def assert_agree(ours: Decoder, theirs: Any) -> None:
    """Logits within 1e-4, losses and gradients within 1e-4 relative, at several lengths."""
    config = ours.config
    for rows, length in ((1, 1), (3, 7), (2, config.context)):
        ids, targets = random_ids(config, rows, length), random_ids(config, rows, length, seed=1)
        logits, expected = ours(ids), theirs(ids).logits
        assert logits.shape == expected.shape == (rows, length, config.vocab_size)
        assert float((logits - expected).detach().abs().max()) < 1e-4
        ours.zero_grad()
        theirs.zero_grad()
        loss, grads = loss_and_gradients(ours, logits, targets)
        their_loss, their_grads = loss_and_gradients(theirs, expected, targets)
        their_grads = weights_from_huggingface(config, their_grads)
        assert abs(loss - their_loss) < 1e-4 * their_loss
        assert grads.keys() == their_grads.keys()
        noise = 1e-6 * float(torch.cat([grad.flatten() for grad in their_grads.values()]).norm())  # where a gradient is 0 but for rounding
        for name, grad in grads.items():
            assert float((grad - their_grads[name]).norm()) < 1e-4 * float(their_grads[name].norm()) + noise, name


def load(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")


@FAMILIES
def test_what_we_write_is_that_model_in_transformers(config: ModelConfig, tmp_path: Path) -> None:
    model = random_decoder(config)
    write_model(tmp_path, model, {"step": "7"}, end_of_text=3)
    theirs = load(tmp_path)
    assert theirs.dtype == torch.float32
    assert theirs.generation_config.eos_token_id == theirs.config.eos_token_id == 3
    assert_agree(model, theirs)


@FAMILIES
def test_what_transformers_writes_back_is_equal_tensor_by_tensor(config: ModelConfig, tmp_path: Path) -> None:
    model = random_decoder(config)
    write_model(tmp_path / "ours", model, {})
    load(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    again = read_model(tmp_path / "theirs")
    expected = model.state_dict()
    if config.positions == "sinusoidal":  # its fixed table came back as a learned one
        expected["model.embed_positions.weight"] = model.table
    assert again.state_dict().keys() == expected.keys()
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, expected[name]), name


@pytest.mark.parametrize("make", THEIRS.values(), ids=THEIRS)
def test_what_transformers_writes_is_that_model_here(make: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = transformers.AutoModelForCausalLM.from_config(make(), attn_implementation="eager").eval()
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            weight.normal_(std=0.2).add_(float(weight.dim() == 1 and name.endswith("weight")))
    theirs.save_pretrained(tmp_path / "theirs")
    ours = read_model(tmp_path / "theirs")
    assert_agree(ours, theirs)
    write_model(tmp_path / "ours", ours, {})
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("theirs", "ours"))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_in_several_parts_are_read(dtype: torch.dtype, tmp_path: Path) -> None:
    config = CONFIGS["qwen3"]
    write_model(tmp_path / "ours", random_decoder(config), {})
    theirs = load(tmp_path / "ours").to(dtype)
    theirs.save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert not (tmp_path / "parts" / "model.safetensors").exists()
    expected = {name: weight.float() for name, weight in theirs.state_dict().items()}
    found = read_model(tmp_path / "parts").state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(weight, expected[name]) and weight.dtype == torch.float32 for name, weight in found.items())


def test_gpt2_files_without_a_prefix_and_with_buffers_are_read(tmp_path: Path) -> None:
    """The files of 2019 on the hub: the trunk's names alone, and the causal mask among them."""
    from newleaf.checkpoint.tensors import save_tensors

    config = CONFIGS["gpt2"]
    model = random_decoder(config)
    write_model(tmp_path, model, {})
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in load_file(tmp_path / "model.safetensors").items()}
    tensors |= {f"h.{layer}.attn.bias": torch.ones(1, 1, 24, 24) for layer in range(config.depth)}
    save_tensors(tmp_path / "model.safetensors", tensors, {"format": "pt"})
    found = read_model(tmp_path).state_dict()
    assert all(torch.equal(found[name], weight) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("config", [*CONFIGS.values(), MIXTURE], ids=[*CONFIGS, "mixture"])
def test_what_we_write_we_read_back(config: ModelConfig, tmp_path: Path) -> None:
    model, ids = random_decoder(config), random_ids(config, 2, 24)
    digest = write_model(tmp_path, model, {"step": "12", "val_bpb": "1.5"})
    assert write_model(tmp_path, model, {"step": "12", "val_bpb": "1.5"}) == digest
    again = read_model(tmp_path)
    assert torch.equal(again(ids), model(ids))
    metadata = read_metadata(tmp_path)
    assert (metadata["step"], metadata["val_bpb"], metadata["format"]) == ("12", "1.5", "pt")


@FAMILIES
def test_weights_go_out_and_in_without_a_change(config: ModelConfig, tmp_path: Path) -> None:
    weights = random_decoder(config).state_dict()
    back = weights_from_huggingface(config, HuggingfaceWeights(config, weights))
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weight) for name, weight in weights.items())


def test_rope_theta_and_type_stand_where_versions_4_and_5_read_them(tmp_path: Path) -> None:
    write_model(tmp_path, random_decoder(CONFIGS["qwen3 grouped, free heads"]), {})
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["rope_theta"] == config["rope_parameters"]["rope_theta"] == 1e6
    assert config["dtype"] == config["torch_dtype"] == "float32"


def written(folder: Path) -> Path:
    write_model(folder, random_decoder(CONFIGS["qwen3"]), {"step": "1"})
    return folder


def test_a_cut_or_changed_file_is_one_sentence(tmp_path: Path) -> None:
    path = written(tmp_path) / "model.safetensors"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-40] ^= 4
    for damaged in (whole[:-1], whole[:1000], whole[:5], b"", bytes(flipped)):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"model\.safetensors"):
            read_model(tmp_path)


def test_another_config_than_the_weights_is_noticed(tmp_path: Path) -> None:
    written(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.1}))
    with pytest.raises(ModelError, match=r"does not belong to the config\.json"):
        read_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 64}, "has the shape"),
        ({"num_hidden_layers": 3}, r"model\.layers\.2\..* is missing"),
        ({"num_hidden_layers": 1}, r"model\.layers\.1\..* is not a part"),
        ({"num_hidden_layers": 10**12}, "is not a part"),
        ({"vocab_size": 10**13}, "has the shape"),
        ({"tie_word_embeddings": True, "model_type": "llama"}, "norm"),
    ],
)
def test_weights_of_another_shape_are_refused_before_memory_is_taken(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_model(tmp_path / "ours", random_decoder(CONFIGS["qwen3"]), {})
    load(tmp_path / "ours").save_pretrained(tmp_path / "theirs")  # a file without our seal
    config = json.loads((tmp_path / "theirs" / "config.json").read_text())
    config.pop("layer_types", None)
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match=message):
        read_model(tmp_path / "theirs")


def test_what_is_missing_or_would_be_unpickled_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        read_model(tmp_path)
    path = written(tmp_path) / "model.safetensors"
    path.rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="can run code"):
        read_model(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        read_model(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"model.norm.weight": "../secret.safetensors"}}')
    with pytest.raises(ModelError, match="names no files beside it"):
        read_model(tmp_path)


def test_the_presets_are_known_to_transformers_at_their_own_sizes() -> None:
    """The classes' parameter counts, without memory for them."""
    from newleaf.conversion.configs import config_to_json
    from newleaf.model.size import parameters

    for name in ("gpt2", "llama", "qwen2", "qwen3", "vaswani"):
        config = preset(name, **{**SIZE, "width": 320, "vocab_size": 4096})
        values = config_to_json(config)
        with torch.device("meta"):
            theirs = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**values))
        table = config.context * config.width if config.positions == "sinusoidal" else 0
        assert theirs.num_parameters() == parameters(config) + table
