import pytest

from newleaf.errors import SettingError
from newleaf.model.config import PRESETS, preset

SIZE = {"vocab_size": 100, "depth": 2}


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("width", [16, 48, 100, 128, 320, 768])
def test_a_preset_belongs_to_its_family_at_any_width(name: str, width: int) -> None:
    config = preset(name, width=width, **SIZE)
    assert config.family == {"vaswani": "gpt2"}.get(name, name)
    assert config.head_dim <= 100


def test_gpt2_small_is_a_preset() -> None:
    config = preset("gpt2", vocab_size=50257, width=768, depth=12, context=1024)
    assert (config.heads, config.head_dim, config.mlp_width, config.tied) == (12, 64, 3072, True)


@pytest.mark.parametrize(
    "axes",
    [
        {"mlp": "relu"},
        {"norm": "layernorm"},
        {"positions": "learned"},
        {"bias": "qkv"},
        {"bias": "all"},
    ],
)
def test_other_mixtures_are_allowed_and_have_no_family(axes: dict[str, str]) -> None:
    config = preset("qwen3", width=64, **SIZE, **axes)
    assert config.family is None
    assert config.mlp_width == (256 if config.mlp == "relu" else 192)


@pytest.mark.parametrize(
    ("axes", "named"),
    [
        ({"heads": 4, "kv_heads": 3}, "model.kv_heads"),
        ({"head_dim": 7}, "model.head_dim"),
        ({"heads": 0}, "model.heads"),
        ({"mlp": "silu"}, "model.mlp"),
        ({"rope_theta": 0.0}, "model.rope_theta"),
        ({"norm_eps": float("nan")}, "model.norm_eps"),
    ],
)
def test_impossible_shapes_are_one_sentence_that_names_the_setting(axes: dict[str, int], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        preset("qwen3", width=64, **SIZE, **axes)


def test_an_unknown_family_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SettingError, match="qwen3"):
        preset("bert", width=64, **SIZE)
