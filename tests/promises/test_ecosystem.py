"""A run directory passes through peft, trl and lm-eval without code of its own: one smoke run each, by `make test-ecosystem`."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import newleaf

pytestmark = pytest.mark.ecosystem


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model, exported."""
    newleaf.export(trained, out := tmp_path_factory.mktemp("ecosystem") / "hf", to="hf")
    return out


def load(folder: Path) -> tuple[Any, Any]:
    import transformers

    return transformers.AutoModelForCausalLM.from_pretrained(folder), transformers.AutoTokenizer.from_pretrained(folder)


def test_peft_adds_an_adapter_and_merges_it(exported: Path, tmp_path: Path) -> None:
    import peft
    import torch

    model, tokenizer = load(exported)
    ids = tokenizer("to be, or not to be", return_tensors="pt").input_ids
    before = model(ids).logits
    tuned = peft.get_peft_model(model, peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    expected = tuned(ids).logits
    assert not torch.allclose(expected, before, atol=1e-3)
    tuned.save_pretrained(tmp_path)
    again = peft.PeftModel.from_pretrained(load(exported)[0], tmp_path)
    torch.testing.assert_close(again(ids).logits, expected)
    torch.testing.assert_close(again.merge_and_unload()(ids).logits, expected, rtol=0, atol=1e-4)


def test_trl_tunes_it(exported: Path, tmp_path: Path) -> None:
    import datasets
    import trl

    model, tokenizer = load(exported)
    data = datasets.Dataset.from_list([{"text": "to be, or not to be, that is the question"}] * 8)
    settings = trl.SFTConfig(
        output_dir=str(tmp_path), max_steps=2, per_device_train_batch_size=2, report_to=[], use_cpu=True, max_length=32
    )
    done = trl.SFTTrainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer).train()
    assert done.global_step == 2 and done.training_loss > 0


def test_lm_eval_measures_it(exported: Path, tmp_path: Path) -> None:
    rows = [{"question": f"{n} comes before", "choices": [f" {n + 1}", f" {n - 1}"], "answer": 0} for n in range(6)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "task.yaml").write_text(
        f"""task: ours
dataset_path: json
dataset_kwargs: {{data_files: {{test: {tmp_path / "rows.jsonl"}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: question
doc_to_choice: choices
doc_to_target: answer
metric_list: [{{metric: acc}}]
"""
    )
    words = [
        "--model",
        "hf",
        "--model_args",
        f"pretrained={exported}",
        "--tasks",
        "ours",
        "--include_path",
        str(tmp_path),
        "--device",
        "cpu",
    ]
    command = [sys.executable, "-m", "lm_eval", *words, "--output_path", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    (found,) = (tmp_path / "out").rglob("results_*.json")
    assert 0 <= json.loads(found.read_text())["results"]["ours"]["acc,none"] <= 1
