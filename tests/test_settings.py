"""Layers merge, typos are answered, and TOML comes back as it was."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newleaf.errors import SettingError
from newleaf.settings import flatten, from_environment, leaves, merge, to_toml
from newleaf.training.settings import Recipe


def test_later_layers_win() -> None:
    recipe = merge(Recipe, {"model.width": 64, "model.depth": 2}, {"model.width": "128"}, {"model.width": 256})
    assert dict(leaves(recipe.model)) == {"width": 256, "depth": 2}


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("optim.lrr", "optim.lr"),
        ("model.widht", "model.width"),
        ("train.batch_token", "train.batch_tokens"),
        ("modle.width", "model.width"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(typo: str, meant: str) -> None:
    with pytest.raises(SettingError, match=f"did you mean '{meant}'"):
        merge(Recipe, {typo: 1})


def test_a_typo_in_the_environment_is_answered() -> None:
    with pytest.raises(SettingError, match="NEWLEAF_MODEL_WIDTH"):
        from_environment(Recipe, {"NEWLEAF_MODEL_WIDHT": "3"})


def test_the_environment_names_settings_with_one_or_two_underscores() -> None:
    layer = from_environment(
        Recipe, {"NEWLEAF_MODEL_WIDTH": "128", "NEWLEAF_TRAIN__BATCH_TOKENS": "512", "NEWLEAF_LANG": "zh", "HOME": "/"}
    )
    assert merge(Recipe, layer).model.width == 128
    assert merge(Recipe, layer).train.batch_tokens == 512


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.width", "wide"),
        ("model.width", 1.5),
        ("train.precision", "fp8"),
        ("model.width", True),
        ("model.width", -4),
        ("train.dropout", 2),
        ("optim.lr", float("nan")),
    ],
)
def test_a_value_that_cannot_be_is_refused(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=name):
        merge(Recipe, {name: value})


toml_values = st.one_of(
    st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.text(), st.lists(st.integers(0, 9))
)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), toml_values))
def test_toml_comes_back_as_it_was(values: dict[str, object]) -> None:
    assert tomllib.loads(to_toml({"": {"seed": 1}, "group": values})) == {"seed": 1, "group": values}


def test_tables_are_flattened() -> None:
    assert flatten({"a": {"b": {"c": 1}}, "d": [1]}) == {"a.b.c": 1, "d": [1]}
