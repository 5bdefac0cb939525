"""How a run ends: with the weights that are best on everything held out, and early only where a text was read before."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from texts import text

import newleaf
from newleaf.jobs.pretrain import Pretraining
from newleaf.model.decoder import Decoder
from newleaf.training.clock import Pace
from newleaf.training.loop import Loop
from newleaf.training.task import Evaluation

SMALL = {
    "model.width": 64,
    "model.depth": 1,
    "model.context": 32,
    "train.threads": 1,
    "train.precision": "float32",
    "train.batch_tokens": 256,
}


@pytest.fixture
def worse_and_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every evaluation on the sample finds more loss than the one before, whatever the model has learned."""
    found: list[float] = []
    evaluate = Pretraining.evaluate

    def rising(self: Pretraining, model: Decoder) -> Evaluation:
        real = evaluate(self, model)
        found.append(1.0 + len(found))
        return Evaluation(found[-1], found[-1], real.num_tokens, real.num_bytes)

    monkeypatch.setattr(Pretraining, "evaluate", rising)


def trained(tmp_path: Path, num_lines: int, **words: Any) -> dict[str, Any]:
    (tmp_path / "text.txt").write_text(text(num_lines), "utf-8")
    return newleaf.train(tmp_path / "text.txt", out=tmp_path / "run", settings=SMALL | {"train.evaluate_every": 5}, **words)


@pytest.mark.usefixtures("worse_and_worse")
def test_the_last_weights_are_kept_where_a_sample_was_wrong_about_them(tmp_path: Path) -> None:
    found = trained(tmp_path, 200, steps=40)
    assert (found["best_step"], found["val_bpb"]) == (40, found["final_val_bpb"])
    kept, last = (load_file(tmp_path / "run" / place / "model.safetensors") for place in (".", "checkpoints/step-00000040"))
    assert all(torch.equal(kept[name], last[name]) for name in last)
    again = newleaf.evaluate(tmp_path / "run")["bits_per_byte"]
    assert again == pytest.approx(found["val_bpb"], abs=1e-6)
    assert newleaf.train(out=tmp_path / "run", resume=True)["val_bpb"] == found["val_bpb"]


@pytest.mark.usefixtures("worse_and_worse")
@pytest.mark.parametrize(("num_lines", "stopped_by"), [(60, "text"), (4_000, "budget")])
def test_a_run_ends_early_only_where_the_text_was_read_before(
    num_lines: int, stopped_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Loop.run

    def with_a_clock(self: Loop) -> None:
        self.pace = Pace(1e9)
        run(self)

    monkeypatch.setattr(Loop, "run", with_a_clock)
    monkeypatch.setattr(Loop, "_check_clock", lambda self, force=False: None)  # which finds that everything takes as long as it takes
    found = trained(tmp_path, num_lines, steps=60)
    assert found["stopped_by"] == stopped_by
    assert (found["epochs"] >= 1, found["steps"] < 60) == (stopped_by == "text",) * 2
