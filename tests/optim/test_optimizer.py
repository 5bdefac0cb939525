"""The optimizer: every parameter in one group, each group moved as torch.optim moves it, saved and loaded to the same bits."""

import ast
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import newleaf.optim
from newleaf.errors import CheckpointError
from newleaf.optim.cost import NEWTON_SCHULZ_STEPS
from newleaf.optim.groups import group_name
from newleaf.optim.optimizer import Optimizer
from newleaf.optim.settings import Kind, OptimSettings
from newleaf.runtime import Precision

RATES: dict[str, Any] = {"lr": 0.005, "embedding_lr": 0.02, "head_lr": 0.003, "norm_lr": 0.01, "weight_decay": 0.1}
SHAPES = {
    "model.embed_tokens.weight": (100, 32),
    "model.embed_positions.weight": (16, 32),
    **{
        f"model.layers.{layer}.{name}": shape
        for layer in range(2)
        for name, shape in {
            "input_layernorm.weight": (32,),
            "self_attn.q_proj.weight": (64, 32),
            "self_attn.q_proj.bias": (64,),
            "self_attn.k_proj.weight": (16, 32),
            "self_attn.o_proj.weight": (32, 64),
            "mlp.up_proj.weight": (96, 32),
            "mlp.down_proj.weight": (32, 96),
        }.items()
    },
    "model.norm.weight": (32,),
    "lm_head.weight": (100, 32),
}


def model(seed: int = 0) -> dict[str, torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in SHAPES.items()}


def gradients(params: dict[str, torch.nn.Parameter], step: int) -> None:
    generator = torch.Generator().manual_seed(1000 + step)
    for param in params.values():
        param.grad = torch.randn(param.shape, generator=generator)


def train(params: dict[str, torch.nn.Parameter], optimizer: Optimizer, steps: range) -> None:
    for step in steps:
        gradients(params, step)
        optimizer.clip()
        optimizer.step(lr_multiplier=1 / (1 + step))


def judges(params: dict[str, torch.nn.Parameter], kind: Kind) -> Iterator[tuple[torch.optim.Optimizer, float]]:
    """torch.optim's own for each group, with its learning rate."""
    adamw: dict[str, Any] = {"betas": (0.9, 0.95), "eps": 1e-8, "fused": True}
    for name, param in params.items():
        group = group_name(name, param.ndim)
        lr = {"matrices": RATES["lr"], "embeddings": RATES["embedding_lr"], "head": RATES["head_lr"]}.get(group, RATES["norm_lr"])
        if group == "matrices" and kind == "muon":
            settings = {"weight_decay": 0.1, "momentum": 0.95, "ns_steps": NEWTON_SCHULZ_STEPS}
            yield torch.optim.Muon([param], lr=lr, adjust_lr_fn="match_rms_adamw", **settings), lr
        else:
            yield torch.optim.AdamW([param], lr=lr, weight_decay=0.1 if group == "matrices" else 0.0, **adamw), lr


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_all_groups_equal_torch_optim_over_twenty_steps(kind: Kind) -> None:
    ours, theirs = model(), model()
    optimizer = Optimizer(ours.items(), OptimSettings(kind=kind, **RATES), precision="bf16")
    others = [*judges(theirs, kind)]
    train(ours, optimizer, range(20))
    for step in range(20):
        gradients(theirs, step)
        torch.nn.utils.clip_grad_norm_([theirs[name] for group in optimizer.groups for name in group.params], 1.0)
        for other, lr in others:
            other.param_groups[0]["lr"] = lr * (1 / (1 + step))
            other.step()
    in_bf16 = {name for group in optimizer.groups if group.optimizer == "muon" for name in group.params}
    for name, param in ours.items():
        if name in in_bf16:  # rounded the other way now and then: see test_muon
            assert (param - theirs[name]).norm() < 0.01 * (theirs[name] - model()[name]).norm(), name
        else:
            assert torch.equal(param, theirs[name]), name


def test_every_parameter_is_in_exactly_one_group_and_only_matrices_in_layers_decay() -> None:
    optimizer = Optimizer(model().items(), OptimSettings(kind="muon", **RATES))
    assert sorted(name for group in optimizer.groups for name in group.params) == sorted(SHAPES)
    decaying = {name for group in optimizer.groups if group.weight_decay for name in group.params}
    assert decaying == {name for name, shape in SHAPES.items() if ".layers." in name and len(shape) == 2}
    assert [row["name"] for row in optimizer.describe()] == ["matrices", "embeddings", "head", "norms and biases"]
    assert sum(row["parameters"] for row in optimizer.describe()) == sum(math.prod(shape) for shape in SHAPES.values())


def test_a_parameter_that_needs_no_gradient_is_left_out() -> None:
    params = model()
    params["lm_head.weight"].requires_grad_(False)
    optimizer = Optimizer(params.items(), OptimSettings(kind="muon", **RATES))
    assert [row["name"] for row in optimizer.describe()] == ["matrices", "embeddings", "norms and biases"]


@pytest.mark.parametrize("kind", ["muon", "adamw"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_saved_and_loaded_it_goes_on_to_the_same_bits(kind: Kind, precision: Precision) -> None:
    settings = OptimSettings(kind=kind, **RATES)
    unbroken, stopped = model(), model()
    train(unbroken, Optimizer(unbroken.items(), settings, precision), range(8))
    first = Optimizer(stopped.items(), settings, precision)
    train(stopped, first, range(3))
    saved = {name: tensor.clone() for name, tensor in first.state().items()}
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    resumed = {name: torch.nn.Parameter(param.detach().clone()) for name, param in stopped.items()}
    second = Optimizer(resumed.items(), settings, precision)
    second.load(saved, first.steps)
    train(resumed, second, range(3, 8))
    assert all(torch.equal(param, unbroken[name]) for name, param in resumed.items())


def test_state_names_say_optimizer_buffer_and_parameter() -> None:
    names = Optimizer(model().items(), OptimSettings(kind="muon", **RATES)).state()
    assert "muon.momentum.model.layers.0.self_attn.q_proj.weight" in names
    assert {"adamw.exp_avg.lm_head.weight", "adamw.exp_avg_sq.lm_head.weight"} <= set(names)
    assert len(names) == sum(1 if group_name(name, len(shape)) == "matrices" else 2 for name, shape in SHAPES.items())


def test_a_state_of_another_model_or_kind_is_refused_and_changes_nothing() -> None:
    optimizer = Optimizer(model().items(), OptimSettings(kind="muon", **RATES))
    good = {name: torch.ones_like(tensor) for name, tensor in optimizer.state().items()}
    name = "adamw.exp_avg.model.norm.weight"
    other_kind = Optimizer(model().items(), OptimSettings(kind="adamw", **RATES)).state()
    for bad in ({**good, name: torch.ones(33)}, {n: t for n, t in good.items() if n != name}, {**good, "more": torch.ones(1)}, other_kind):
        with pytest.raises(CheckpointError, match="saved optimizer"):
            optimizer.load(bad, steps=5)
    assert optimizer.steps == 0 and not any(bool(tensor.any()) for tensor in optimizer.state().values())


def test_a_step_with_a_bad_gradient_can_be_left_out() -> None:
    params, untouched = model(), model()
    optimizer = Optimizer(params.items(), OptimSettings(kind="muon", **RATES))
    gradients(params, 0)
    params["model.norm.weight"].grad[3] = math.nan  # type: ignore[index]
    assert math.isnan(optimizer.clip())
    assert optimizer.steps == 0 and not any(bool(tensor.any()) for tensor in optimizer.state().values())
    assert all(torch.equal(param, untouched[name]) for name, param in params.items())


STEPS_WITHOUT_TORCH_OPTIM = """
import sys, torch
torch.optim = sys.modules["torch.optim"] = None  # torch imports its package by itself: here any use of it fails
from newleaf.optim.optimizer import Optimizer
from newleaf.optim.settings import OptimSettings
layer, head = torch.nn.Parameter(torch.randn(8, 8)), torch.nn.Parameter(torch.randn(20, 8))
settings = OptimSettings(kind="muon", lr=0.01, head_lr=0.01, weight_decay=0.1)
optimizer = Optimizer([("model.layers.0.mlp.up_proj.weight", layer), ("lm_head.weight", head)], settings)
for step in range(3):
    torch.nn.functional.cross_entropy(torch.randn(4, 8) @ layer @ head.T, torch.arange(4)).backward()
    optimizer.clip()
    optimizer.step(1.0)
    layer.grad = head.grad = None
sys.exit(", ".join({"torch._dynamo", "torch._inductor", "sympy"} & set(sys.modules)) or 0)
"""


def test_steps_import_neither_torch_optim_nor_dynamo() -> None:
    done = subprocess.run([sys.executable, "-c", STEPS_WITHOUT_TORCH_OPTIM], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_source_file_names_torch_optim() -> None:
    source = Path(newleaf.optim.__file__).parents[1]
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            text = ast.unparse(node) if isinstance(node, ast.Import | ast.ImportFrom | ast.Attribute) else ""
            assert not any(name in text for name in ("torch.optim", "from torch import optim", "torch._dynamo")), path
