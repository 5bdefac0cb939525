"""The run directory is a Hugging Face model directory: transformers loads it and computes what newleaf says."""

import json
import math
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import newleaf


def test_transformers_computes_the_same_logits_and_ids(trained: Path) -> None:
    theirs, tokenizer = AutoModelForCausalLM.from_pretrained(trained), AutoTokenizer.from_pretrained(trained)
    ours = newleaf.load(trained)
    text = "the spring river 春江 moon."
    ids = ours.tokenizer.encode(text)
    assert tokenizer(text)["input_ids"] == ids
    with torch.inference_mode():
        assert torch.allclose(theirs(torch.tensor([ids])).logits[0], ours.logits(ids), atol=1e-4)


def test_transformers_writes_the_same_greedy_text(trained: Path) -> None:
    theirs, tokenizer = AutoModelForCausalLM.from_pretrained(trained), AutoTokenizer.from_pretrained(trained)
    inputs = tokenizer("moon night", return_tensors="pt")
    written = theirs.generate(**inputs, max_new_tokens=16, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert tokenizer.decode(written, skip_special_tokens=True) == newleaf.load(trained).generate("moon night", greedy=True, max_tokens=16)


def test_val_bpb_is_what_the_definition_says_computed_by_transformers_alone(trained: Path) -> None:
    summary = json.loads((trained / "summary.json").read_text())
    whole = (trained.parent / "text.txt").read_text("utf-8")
    held_out = whole.encode()[-summary["val_bytes"] :].decode()
    theirs, tokenizer = AutoModelForCausalLM.from_pretrained(trained), AutoTokenizer.from_pretrained(trained)
    end = tokenizer.eos_token_id
    ids, context = [end, *tokenizer(held_out)["input_ids"], end], summary["context"]
    nats, scored, start = 0.0, 0, 0
    while scored < len(ids) - 1:
        window = ids[start : start + context + 1]
        with torch.inference_mode():
            losses = torch.nn.functional.cross_entropy(
                theirs(torch.tensor([window[:-1]])).logits[0], torch.tensor(window[1:]), reduction="none"
            )
        nats += float(losses[scored - start :].double().sum())
        scored, start = start + len(window) - 1, start + context // 2
    assert scored == summary["val_tokens"]
    assert math.isclose(nats / math.log(2) / summary["val_bytes"], summary["val_bpb"], abs_tol=1e-5)


def test_evaluate_gives_the_number_of_the_summary(trained: Path) -> None:
    summary = json.loads((trained / "summary.json").read_text())
    assert math.isclose(newleaf.evaluate(trained)["bits_per_byte"], summary["val_bpb"], abs_tol=1e-6)
    held_out = trained.parent / "held_out.txt"
    held_out.write_bytes((trained.parent / "text.txt").read_bytes()[-summary["val_bytes"] :])
    assert math.isclose(newleaf.evaluate(trained, held_out)["bits_per_byte"], summary["val_bpb"], abs_tol=1e-6)
