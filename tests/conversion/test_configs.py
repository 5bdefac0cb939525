from typing import Any

import pytest
from model.configs import CONFIGS, MIXTURE

from newleaf.conversion.configs import config_from_json, config_to_json
from newleaf.errors import ModelError

LLAMA = config_to_json(CONFIGS["llama"])
GPT2 = config_to_json(CONFIGS["gpt2"])
QWEN3 = config_to_json(CONFIGS["qwen3"])


@pytest.mark.parametrize("name", [name for name in CONFIGS if not name.startswith("articles")])
def test_a_configuration_survives_its_file(name: str) -> None:
    assert config_from_json(config_to_json(CONFIGS[name])) == CONFIGS[name]


def test_the_articles_positions_come_back_as_a_learned_table() -> None:
    back = config_from_json(config_to_json(CONFIGS["articles"]))
    assert (back.positions, back.mlp, back.family) == ("learned", "relu", "gpt2")


def test_a_mixture_without_a_family_survives_under_a_type_of_its_own() -> None:
    values = config_to_json(MIXTURE)
    assert values["model_type"] == "newleaf"
    assert config_from_json(values) == MIXTURE


def test_rotary_fields_of_transformers_4_are_read() -> None:
    old = {name: value for name, value in LLAMA.items() if name != "rope_parameters"}
    old |= {"rope_theta": 500000.0, "rope_scaling": {"type": "linear", "factor": 2.0}}
    config = config_from_json(old)
    assert (config.rope_theta, config.rope_scaling, config.rope_factor) == (500000.0, "linear", 2.0)


def test_null_is_the_default() -> None:
    config = config_from_json(LLAMA | {"head_dim": None, "num_key_value_heads": None, "rope_parameters": None, "rope_scaling": None})
    assert (config.head_dim, config.kv_heads, config.rope_theta) == (12, 4, 10_000.0)
    assert config_from_json(GPT2 | {"n_inner": None}).mlp_width == 4 * 48


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "'model_type' is missing"),
        (LLAMA | {"model_type": "mamba"}, "mamba"),
        (LLAMA | {"model_type": 3}, "'model_type' is 3"),
        (LLAMA | {"hidden_act": "relu"}, "'hidden_act' is 'relu'"),
        (LLAMA | {"hidden_size": "64"}, "'hidden_size' is '64'"),
        (LLAMA | {"hidden_size": None}, "'hidden_size' is missing"),
        (LLAMA | {"hidden_size": True}, "'hidden_size' is True"),
        (LLAMA | {"attention_bias": True}, "'attention_bias' differs"),
        (LLAMA | {"num_key_value_heads": 3}, "kv_heads 3 does not divide"),
        (LLAMA | {"head_dim": None, "num_attention_heads": 5}, "does not divide 'hidden_size'"),
        (LLAMA | {"num_attention_heads": 0, "head_dim": None}, "does not divide"),
        (LLAMA | {"num_hidden_layers": -1}, "model.depth is -1"),
        (LLAMA | {"max_position_embeddings": 10**15}, "a context of"),
        (LLAMA | {"rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4}}, "'longrope'"),
        (LLAMA | {"rope_parameters": {"rope_type": "yarn", "factor": 2.0, "beta_fast": 1.0}}, "rope frequencies 1 and 1"),
        (LLAMA | {"rope_parameters": {"rope_type": "yarn", "original_max_position_embeddings": 0}}, "rope_original_context is 0"),
        (LLAMA | {"rope_parameters": {"rope_type": "dynamic", "factor": 0.5}}, "dynamic scaling by 0.5"),
        (LLAMA | {"rope_parameters": {"rope_type": "dynamic", "factor": 1e300}}, "a context of"),
        (LLAMA | {"rope_parameters": {"rope_type": "dynamic", "factor": float("nan")}}, "rope_factor is nan"),
        (LLAMA | {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}, "'auto_map' asks for code"),
        (LLAMA | {"model_type": "mistral", "sliding_window": 8}, "'sliding_window' is 8"),
        (LLAMA | {"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "rotary positions"),
        (LLAMA | {"rope_parameters": {"rope_type": "llama3", "factor": 8.0}}, "'original_max_position_embeddings' is missing"),
        (LLAMA | {"partial_rotary_factor": 0.5}, "'partial_rotary_factor' is 0.5"),
        (LLAMA | {"rms_norm_eps": float("nan")}, "norm_eps is nan"),
        (LLAMA | {"quantization_config": {"bits": 4}}, "quantization_config"),
        (QWEN3 | {"attention_bias": True}, "'attention_bias' is True"),
        (QWEN3 | {"use_sliding_window": True}, "'use_sliding_window' is True"),
        (QWEN3 | {"layer_types": ["full_attention", "sliding_attention"]}, "'layer_types'"),
        (GPT2 | {"activation_function": "gelu"}, "'activation_function' is 'gelu'"),
        (GPT2 | {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        (GPT2 | {"scale_attn_weights": False}, "scale_attn_weights"),
        (GPT2 | {"n_head": 7}, "does not divide 'n_embd'"),
        ({"model_type": "newleaf", "width": 64}, "no model has this shape"),
        ({"model_type": "newleaf", "wdith": 64}, "no model has this shape"),
    ],
)
def test_what_is_wrong_or_not_supported_is_one_sentence_that_names_it(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ModelError, match=named) as caught:
        config_from_json(values)
    assert "config.json" in str(caught.value)
    assert "\n" not in str(caught.value)
