"""What Python gets: ids, models, and a sentence for what cannot be."""

from pathlib import Path

import pytest
import torch

import newleaf
from newleaf.errors import ModelError, UsageError


def test_logits_take_whole_numbers_alone(trained: Path) -> None:
    model = newleaf.load(trained)
    expected = model.logits([5, 6, 7])
    for ids in (torch.tensor([5, 6, 7], dtype=torch.int32), torch.tensor([5, 6, 7], dtype=torch.uint8), (5, 6, 7)):
        assert torch.equal(model.logits(ids), expected)
    for wrong in ([0.5, 1.0], torch.ones(3), torch.ones(2, 2, dtype=torch.bfloat16), [True, False], [1j]):
        with pytest.raises(UsageError, match=r"ids are of the type .* \(expected whole numbers\)"):
            model.logits(wrong)
    for wrong in ([[1, 2], [3]], ["春"], [2**70], None, [], [[[1]]]):
        with pytest.raises(UsageError, match=r"expected \(T\) or \(B, T\) with at least one id"):
            model.logits(wrong)  # type: ignore[arg-type]


def test_a_name_of_the_hub_is_told_from_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ModelError, match=r"Qwen/Qwen3-0\.6B is no folder here, and on the hub it cannot be reached, nor is it in the cache"
    ):
        newleaf.load("Qwen/Qwen3-0.6B")
    Path("runs").mkdir()
    for name in ("runs/poems", "./poems", "/no/where"):
        with pytest.raises(ModelError, match="is no model"):
            newleaf.load(name)
