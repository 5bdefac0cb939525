"""`--from`: what another model knows is the beginning; its shape and its tokenizer stay."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from texts import text
from tokens.foreign_examples import MAKERS

import newleaf
from newleaf import fsio
from newleaf.errors import ModelError
from newleaf.tokens.foreign import load_tokenizer

transformers = pytest.importorskip("transformers")
SHORT: dict[str, Any] = {"train.threads": 1, "train.precision": "float32", "train.batch_tokens": 64, "model.context": 32}
POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。\n"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Text that the trained run has not seen."""
    path = tmp_path / "other.txt"
    path.write_text(POEM * 40 + text(60, seed=9), "utf-8")
    return path


def foreign_model(folder: Path, kind: str) -> Path:
    """Random weights in Llama's shape, as transformers writes them, with a tokenizer of that kind."""
    MAKERS[kind](folder)
    torch.manual_seed(0)
    size = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 128}
    config = transformers.LlamaConfig(vocab_size=load_tokenizer(folder).vocab_size + 3, **size, bos_token_id=1, eos_token_id=[2, 3])
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_it_begins_where_the_model_ended(trained: Path, other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from newleaf.cli.main import run

    val = tmp_path / "val.txt"
    val.write_text(POEM + text(20, seed=4), "utf-8")
    before = newleaf.evaluate(trained, val)["bits_per_byte"]
    settings = [word for name, value in SHORT.items() for word in (f"--{name}", str(value))]
    command = ["train", str(other), "--from", str(trained), "--val", str(val), "--out", str(tmp_path / "run"), "--steps", "30"]
    assert run([*command, *settings, "--train.evaluation_tokens", "1000000"]) == 0
    said = capsys.readouterr().err
    assert f"scores {before:.4f} bits per byte on the held-out text" in said
    assert "a Chinese character costs" in said
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["val_bpb"] < before
    for name in ("tokenizer.json", "config.json"):
        assert (tmp_path / "run" / name).read_bytes() == (trained / name).read_bytes()
    card = (tmp_path / "run" / "README.md").read_text("utf-8")
    assert f"trained on from {trained.name}" in card and "from nothing" not in card and str(trained.parent) not in card


def test_the_same_command_gives_the_same_bits_and_the_plan_as_a_recipe_too(trained: Path, other: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        newleaf.train(other, base=trained, out=tmp_path / name, steps=5, settings=SHORT)
    newleaf.train(recipe=tmp_path / "one" / "newleaf.toml", out=tmp_path / "three")
    bits = {fsio.sha256(tmp_path / name / "model.safetensors") for name in ("one", "two", "three")}
    assert len(bits) == 1


def test_it_goes_on_from_the_trunk_like_any_other_run(trained: Path, other: Path, tmp_path: Path) -> None:
    newleaf.train(other, base=trained, out=tmp_path / "run", steps=10, settings=SHORT)
    assert newleaf.train(out=tmp_path / "run", extend=True, steps=5)["steps"] > 10


def test_a_model_that_has_changed_since_the_plan_is_refused(trained: Path, other: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"):
        (base / name).write_bytes((trained / name).read_bytes())
    newleaf.plan(other, base=base, out=tmp_path / "run", steps=5, settings=SHORT)
    newleaf.train(other, base=trained, out=base / "more", steps=2, settings=SHORT)
    (base / "model.safetensors").write_bytes((base / "more" / "model.safetensors").read_bytes())
    with pytest.raises(ModelError, match="is not the model that this run was begun from"):
        newleaf.train(out=tmp_path / "run", resume=True)


def test_a_model_that_was_named_from_another_folder_is_found(
    trained: Path, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained.parent)
    newleaf.plan(other, base=trained.name, out=tmp_path / "run", steps=3, settings=SHORT)
    monkeypatch.chdir(tmp_path)
    assert newleaf.train(other, out="run")["steps"] == 3


@pytest.mark.parametrize("kind", MAKERS)
def test_a_model_of_another_make_keeps_its_tokenizer_and_its_ends(kind: str, other: Path, tmp_path: Path) -> None:
    base = foreign_model(tmp_path / "base", kind)
    plan = newleaf.plan(other, base=base, steps=4, settings=SHORT)
    assert plan["context"] == 32 and plan["vocab_size"] == load_tokenizer(base).vocab_size + 3
    assert plan["val_bpb_high"] > 0 and "costs" in plan["reasons"]["from"]
    summary = newleaf.train(other, base=base, out=tmp_path / "run", steps=4, settings=SHORT)
    assert summary["context"] == 128  # what it can look at, though it was trained in shorter windows
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["bos_token_id"], config["eos_token_id"], config["model_type"]) == (1, [2, 3], "llama")
    assert load_tokenizer(tmp_path / "run").encode(POEM) == load_tokenizer(base).encode(POEM)
    held_out = other.read_bytes()[-summary["val_bytes"] :]  # UTF-8 of the text itself, whatever the tokenizer makes of it
    (tmp_path / "held_out.txt").write_bytes(held_out)
    assert math.isclose(newleaf.evaluate(tmp_path / "run", tmp_path / "held_out.txt")["bits_per_byte"], summary["val_bpb"], abs_tol=1e-6)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    ids = torch.tensor([load_tokenizer(base).encode(POEM)])
    with torch.inference_mode():
        torch.testing.assert_close(newleaf.load(tmp_path / "run").logits(ids), theirs(ids).logits, rtol=0, atol=1e-4)
