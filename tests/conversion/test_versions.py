"""What newleaf writes is read alike by transformers 5 and 4.57: `make test` runs this with the one, `make test-hf4` with the other."""

import json
from pathlib import Path

import pytest
import torch
from model.configs import CONFIGS, random_decoder, random_ids

from newleaf.conversion.huggingface import read_model, write_model
from newleaf.model.config import ModelConfig, preset
from newleaf.tokens.tokenizer import Tokenizer

transformers = pytest.importorskip("transformers")
SCALED = {
    "llama, dynamic scaling": {"rope_scaling": "dynamic", "rope_factor": 2.0, "rope_original_context": 12},
    "llama, YaRN": {"rope_scaling": "yarn", "rope_factor": 3.0, "rope_original_context": 8, "rope_high_frequency": 32.0},
}
SHAPES = CONFIGS | {name: preset("llama", vocab_size=101, width=48, depth=2, context=24, heads=2, **axes) for name, axes in SCALED.items()}


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
def test_the_logits_are_equal(config: ModelConfig, tmp_path: Path) -> None:
    model = random_decoder(config)
    write_model(tmp_path, model, {})
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert theirs.dtype == torch.float32
    for length in (7, config.context):
        ids = random_ids(config, 2, length)
        with torch.inference_mode():
            torch.testing.assert_close(model(ids), theirs(ids).logits, rtol=0, atol=1e-4)
    theirs.save_pretrained(tmp_path / "back")
    again = read_model(tmp_path / "back")
    ids = random_ids(config, 1, 9)
    assert torch.equal(again(ids), read_model(tmp_path)(ids))


def test_the_ids_are_equal(tmp_path: Path) -> None:
    tokenizer = Tokenizer.train(["to be, or not to be 春眠不觉晓，处处闻啼鸟。 def f(x):\n    return x\n"] * 50, 400)
    tokenizer.save(tmp_path, model_max_length=24)
    write_model(tmp_path, random_decoder(preset("qwen3", vocab_size=400, width=64, depth=1, context=24)), {})
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("to be", "春眠不觉晓 🙂", "def g(y):\n\n\treturn 12345", "don't  stop \u3000 \r\n"):
        assert list(theirs(text).input_ids) == tokenizer.encode(text)
        assert theirs.decode(tokenizer.encode(text)) == text
    assert theirs.eos_token_id == tokenizer.end_of_text
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["tokenizer_class"] == "PreTrainedTokenizerFast"
