"""Every shipped recipe can be used: it parses, and a plan can be made of it."""

from pathlib import Path

import pytest

from newleaf.runtime import Machine
from newleaf.settings import merge, read_toml
from newleaf.training.choices import make_plan
from newleaf.training.clock import Budget
from newleaf.training.plan import Plan, TextFacts
from newleaf.training.planfile import recipe_layer
from newleaf.training.settings import Recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.toml"))
MACHINE = Machine("cpu", "float32", threads=2, memory_bytes=64 << 30, instruction_set="any", matmul_flops_per_second=1e11)
TEXT = TextFacts(train_bytes=20_000_000, train_tokens=6_000_000, val_bytes=256_000, val_tokens=80_000, vocab_size=4480)


def planned(path: Path) -> Plan:
    """What `newleaf train --recipe` would do with 20 MB of text on this machine."""
    layer, other = recipe_layer(read_toml(path), str(path))
    budget = Budget(
        **{name: value for name, value in other.items() if name in vars(Budget(steps=1)) and value is not None} or {"minutes": 60}
    )
    return make_plan(TEXT, budget, MACHINE, merge(Recipe, layer), other["seed"] or 0)


def test_there_are_recipes() -> None:
    assert RECIPES


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_gives_a_plan_that_says_what_it_says(path: Path) -> None:
    plan = planned(path)
    layer, _ = recipe_layer(read_toml(path), str(path))
    assert layer
    for name, value in layer.items():
        group, setting = name.split(".")
        assert getattr(getattr(plan.recipe, group), setting) == value, name
    assert plan.batch_tokens % plan.context == 0


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_begins_with_what_it_is_for_and_how_it_is_used(path: Path) -> None:
    head = [line for line in path.read_text("utf-8").splitlines() if line.startswith("#")]
    assert len(head) >= 2
    assert head[-1].startswith("# newleaf train ")
    assert f"--recipe recipes/{path.name}" in head[-1]


def test_gpt2_shape_is_gpt2() -> None:
    config = planned(next(path for path in RECIPES if path.stem == "gpt2-shape")).config
    assert (config.family, config.width, config.depth, config.heads, config.head_dim, config.mlp_width) == ("gpt2", 768, 12, 12, 64, 3072)


def test_the_articles_model_is_a_decoder_with_sinusoidal_positions() -> None:
    config = planned(next(path for path in RECIPES if path.stem == "articles")).config
    assert (config.positions, config.norm, config.mlp, config.bias) == ("sinusoidal", "layernorm", "relu", "all")
