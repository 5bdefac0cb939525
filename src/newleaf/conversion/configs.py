"""config.json of transformers <-> `ModelConfig`: GPT-2, Llama, Mistral, Qwen2 and Qwen3, and what in them would change the result.

What a config.json asks for and the decoder does not do is refused by name, never ignored. Written files give `rope_theta` and
the type of the weights twice, where transformers 5 reads them and where transformers 4, vLLM and llama.cpp do. A mixture of axes
that no class of transformers has is written under a model type of its own, which only newleaf reads.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from newleaf.conversion.fields import Fields
from newleaf.errors import ModelError, SettingError
from newleaf.model.config import Bias, Mlp, ModelConfig

OWN_TYPE = "newleaf"
CLASSES = {"gpt2": "GPT2", "llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3"}
LLAMA_LIKE = ("llama", "mistral", "qwen2", "qwen3")
ACTIVATIONS: dict[str, Mlp] = {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "relu": "relu"}  # of GPT-2
SAID = ("bos_token_id", "eos_token_id", "pad_token_id")  # what begins and ends the texts of a model
SPELLED = "labels_as_text"  # our own word: the labels are what the model answers
NAMED = ("id2label", "label2id", SPELLED)  # of a model that classifies
CLASSIFIER = "ForSequenceClassification"
MAX_CONTEXT = 1 << 20  # its rotary table then fills a gigabyte


def config_to_json(config: ModelConfig, end_of_text: int = 0) -> dict[str, Any]:
    """The config.json with which transformers computes what the decoder does; begins and ends texts with `end_of_text`."""
    family = config.family
    if family is None:
        return {"model_type": OWN_TYPE, **asdict(config)}
    ending = CLASSIFIER if config.num_labels else "LMHeadModel" if family == "gpt2" else "ForCausalLM"
    common = {
        "architectures": [CLASSES[family] + ending],
        "model_type": family,
        "vocab_size": config.vocab_size,
        "tie_word_embeddings": config.tied,
        "bos_token_id": end_of_text,
        "eos_token_id": end_of_text,
        "dtype": "float32",
        "torch_dtype": "float32",
    }
    return common | (gpt2_to_json(config) if family == "gpt2" else llama_to_json(config, family))


def gpt2_to_json(config: ModelConfig) -> dict[str, Any]:
    return {
        "n_positions": config.context,
        "n_embd": config.width,
        "n_layer": config.depth,
        "n_head": config.heads,
        "n_inner": config.mlp_width,
        "activation_function": "relu" if config.mlp == "relu" else "gelu_new",
        "layer_norm_epsilon": config.norm_eps,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "resid_pdrop": 0.0,
    }


def llama_to_json(config: ModelConfig, family: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
    }
    rope = rope_to_json(config)
    if config.rope_scaling == "dynamic":  # transformers stretches what this says
        found["max_position_embeddings"] = config.rope_original_context
    if config.rope_scaling != "none":
        found["rope_scaling"] = rope
    found["rope_parameters"] = rope | {"rope_theta": config.rope_theta}
    if family == "llama":
        return found | {"attention_bias": config.bias == "all", "mlp_bias": config.bias == "all"}
    return found | {"use_sliding_window": False} | ({"attention_bias": False} if family == "qwen3" else {})


def rope_to_json(config: ModelConfig) -> dict[str, Any]:
    """The scaling of rotary positions, under transformers' names."""
    if config.rope_scaling == "none":
        return {"rope_type": "default"}
    rope: dict[str, Any] = {"rope_type": config.rope_scaling, "factor": config.rope_factor}
    if config.rope_scaling in ("llama3", "yarn"):
        rope["original_max_position_embeddings"] = config.rope_original_context
        low, high = ("low_freq_factor", "high_freq_factor") if config.rope_scaling == "llama3" else ("beta_slow", "beta_fast")
        rope |= {low: config.rope_low_frequency, high: config.rope_high_frequency}
    if config.rope_scaling == "yarn":
        rope |= {"attention_factor": config.rope_attention_factor, "truncate": config.rope_truncate}
    return rope


def config_from_json(values: Mapping[str, Any], where: str = "config.json") -> ModelConfig:
    """The shape that a config.json describes. ModelError, naming the field, for what is missing, wrong or not supported."""
    fields = Fields(values, where)
    family = fields.get("model_type", str)
    fields.require("quantization_config")
    if values.get("auto_map"):
        hint = "newleaf runs no code of a model; take one of a supported family"
        raise ModelError("'auto_map' asks for code that comes with the model", where=where, expected="a config without it", hint=hint)
    try:
        if family == OWN_TYPE:
            return ModelConfig(**{name: value for name, value in values.items() if name != "model_type"})
        if family == "gpt2":
            config = gpt2_from_json(fields)
        elif family in LLAMA_LIKE:
            config = llama_from_json(fields, family)
        else:
            raise ModelError(f"model_type {family!r} is not supported", where=where, expected=", ".join(("gpt2", *LLAMA_LIKE)))
    except (SettingError, TypeError) as error:
        raise ModelError(f"no model has this shape: {error}", where=where) from error
    if any(str(name).endswith(CLASSIFIER) for name in fields.get("architectures", list, [])):
        config = replace(config, num_labels=len(fields.get("id2label", dict, {})) or fields.get("num_labels", int, 2))
    if config.context > MAX_CONTEXT:
        raise ModelError(f"a context of {config.context:,} tokens", where=where, expected=f"at most {MAX_CONTEXT:,}")
    return config


def gpt2_from_json(fields: Fields) -> ModelConfig:
    fields.require("scale_attn_weights", True)
    fields.require("scale_attn_by_inverse_layer_idx", False)
    fields.require("add_cross_attention", False)
    fields.require("activation_function", *ACTIVATIONS)
    width, heads = fields.get("n_embd", int), fields.get("n_head", int)
    return ModelConfig(
        vocab_size=fields.get("vocab_size", int),
        width=width,
        depth=fields.get("n_layer", int),
        heads=heads,
        kv_heads=heads,
        head_dim=fields.ratio("n_embd", "n_head"),
        mlp_width=fields.get("n_inner", int, 4 * width),
        context=fields.get("n_positions", int),
        norm="layernorm",
        positions="learned",
        mlp=ACTIVATIONS[fields.get("activation_function", str, "gelu_new")],
        bias="all",
        qk_norm=False,
        tied=fields.get("tie_word_embeddings", bool, True),
        norm_eps=fields.get("layer_norm_epsilon", float, 1e-5),
    )


def llama_from_json(fields: Fields, family: str) -> ModelConfig:
    """Llama, Mistral, Qwen2 or Qwen3."""
    fields.require("hidden_act", "silu")
    fields.require("rope_interleaved", False)
    fields.require("use_sliding_window", False)
    context = fields.get("max_position_embeddings", int)
    window = fields.get("sliding_window", int, context) if family == "mistral" else context
    if window < context:
        raise ModelError(
            f"'sliding_window' is {window}, which is not supported", where=fields.where, expected=f"null, or at least {context}"
        )
    for kind in fields.get("layer_types", list, []):
        if kind != "full_attention":
            raise ModelError(f"'layer_types' has {kind!r}, which is not supported", where=fields.where, expected="full_attention")
    heads = fields.get("num_attention_heads", int)
    given = fields.get("head_dim", int, 0)
    config = ModelConfig(
        vocab_size=fields.get("vocab_size", int),
        width=fields.get("hidden_size", int),
        depth=fields.get("num_hidden_layers", int),
        heads=heads,
        kv_heads=fields.get("num_key_value_heads", int, heads),
        head_dim=given or (128 if family == "qwen3" else fields.ratio("hidden_size", "num_attention_heads")),
        mlp_width=fields.get("intermediate_size", int),
        context=context,
        bias=llama_bias(fields, family),
        qk_norm=family == "qwen3",
        tied=fields.get("tie_word_embeddings", bool, False),
        norm_eps=fields.get("rms_norm_eps", float, 1e-6),
    )
    return replace(config, **rope_from_json(fields, context))


def llama_bias(fields: Fields, family: str) -> Bias:
    if family == "qwen2":
        return "qkv"
    if family == "mistral":
        return "none"
    if family == "qwen3":
        fields.require("attention_bias", False)
        return "none"
    attention = fields.get("attention_bias", bool, False)
    if attention != fields.get("mlp_bias", bool, False):
        raise ModelError("'attention_bias' differs from 'mlp_bias', which is not supported", where=fields.where, expected="both or none")
    return "all" if attention else "none"


def rope_from_json(fields: Fields, context: int) -> dict[str, Any]:
    """The rotary fields of `ModelConfig`, from `rope_parameters` (transformers 5) or `rope_scaling` and `rope_theta` (before)."""
    rope = Fields(fields.get("rope_parameters", dict, {}) or fields.get("rope_scaling", dict, {}), fields.where)
    kind = rope.get("rope_type", str, "") or rope.get("type", str, "default")
    for place in (rope, fields):
        place.require("partial_rotary_factor", 1.0)
    if kind not in ("default", *SCALINGS) or any(isinstance(value, dict) for value in rope.values.values()):
        expected = ", ".join(("default", *SCALINGS))
        raise ModelError(f"rotary positions of the type {kind!r} are not supported", where=fields.where, expected=expected)
    found: dict[str, Any] = {"rope_theta": rope.get("rope_theta", float, 0.0) or fields.get("rope_theta", float, 10_000.0)}
    return found if kind == "default" else found | {"rope_scaling": kind} | SCALINGS[kind](rope, context)


def linear_from_json(rope: Fields, context: int) -> dict[str, Any]:
    return {"rope_factor": rope.get("factor", float)}


def dynamic_from_json(rope: Fields, context: int) -> dict[str, Any]:
    """transformers sets no end; ours is where the text is as many times longer as the factor says."""
    factor = rope.get("factor", float)
    return {"rope_factor": factor, "rope_original_context": context, "context": int(context * max(1.0, min(factor, MAX_CONTEXT)))}


def llama3_from_json(rope: Fields, context: int) -> dict[str, Any]:
    return {
        "rope_factor": rope.get("factor", float),
        "rope_original_context": rope.get("original_max_position_embeddings", int),
        "rope_low_frequency": rope.get("low_freq_factor", float),
        "rope_high_frequency": rope.get("high_freq_factor", float),
    }


def yarn_from_json(rope: Fields, context: int) -> dict[str, Any]:
    """Absent fields as transformers and the paper take them; `mscale` and `mscale_all_dim` say the attention factor otherwise."""
    original = rope.get("original_max_position_embeddings", int, context)
    factor = rope.get("factor", float, context / max(1, original))
    scale, over = rope.get("mscale", float, 0.0), rope.get("mscale_all_dim", float, 0.0)
    grown = [1 + 0.1 * share * math.log(max(1.0, factor)) for share in ((scale, over) if scale and over else (1.0, 0.0))]
    return {
        "rope_factor": factor,
        "rope_original_context": original,
        "rope_low_frequency": rope.get("beta_slow", float, 1.0) or 1.0,
        "rope_high_frequency": rope.get("beta_fast", float, 32.0) or 32.0,
        "rope_attention_factor": rope.get("attention_factor", float, grown[0] / grown[1]),
        "rope_truncate": rope.get("truncate", bool, True),
    }


SCALINGS = {"linear": linear_from_json, "dynamic": dynamic_from_json, "llama3": llama3_from_json, "yarn": yarn_from_json}
