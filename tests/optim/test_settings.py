"""Settings of the optimizer: bounds in one sentence, one sentence of help a field, no torch."""

import ast
import inspect
import subprocess
import sys
from dataclasses import fields
from itertools import pairwise

import pytest

from newleaf.errors import SettingError
from newleaf.optim import settings as module
from newleaf.optim.settings import OptimSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lr", 0.0),
        ("lr", float("nan")),
        ("embedding_lr", -1.0),
        ("weight_decay", -0.1),
        ("momentum", 1.0),
        ("beta1", -0.1),
        ("beta2", 1.0),
        ("eps", 0.0),
        ("grad_clip", -1.0),
        ("warmup_steps", -1),
        ("decay_fraction", 1.5),
        ("final_lr_fraction", -0.1),
    ],
)
def test_an_impossible_value_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(SettingError, match=rf"optim\.{name} is .*expected"):
        OptimSettings(**{name: value})


def test_every_setting_has_one_sentence_of_help() -> None:
    body = ast.parse(inspect.getsource(module)).body
    settings = next(node for node in body if isinstance(node, ast.ClassDef) and node.name == "OptimSettings").body
    followed = {
        node.target.id: after.value.value
        for node, after in pairwise(settings)
        if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    }
    assert list(followed) == [field.name for field in fields(OptimSettings)]
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in followed.values())


def test_settings_and_schedule_import_no_torch() -> None:
    code = "import sys, newleaf.optim.settings, newleaf.optim.schedule; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
