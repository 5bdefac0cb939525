"""The articles' recipe: load GPT-2 and continue "Once upon a time in a faraway land".

With GPT-2's own tokenizer and random weights of its shape wherever NEWLEAF_DATA is, and with its real weights by `make test-hub`.
"""

import os
from pathlib import Path

import pytest

import newleaf
from newleaf.api import load

transformers = pytest.importorskip("transformers")
PROMPT = "Once upon a time in a faraway land"


def continued_by_transformers(model: object, tokenizer: object, num_tokens: int) -> list[int]:
    ids = tokenizer(PROMPT, return_tensors="pt").input_ids  # type: ignore[operator]
    out = model.generate(ids, max_new_tokens=num_tokens, do_sample=False, pad_token_id=50256)  # type: ignore[attr-defined]
    found: list[int] = out[0, ids.shape[1] :].tolist()
    return found


def test_gpt2s_shape_and_tokenizer_continue_as_transformers_does(tmp_path: Path) -> None:
    data = os.environ.get("NEWLEAF_DATA")
    if data is None:
        pytest.skip("NEWLEAF_DATA is not set: GPT-2's tokenizer is there")
    import torch

    torch.manual_seed(0)
    config = transformers.GPT2Config()
    theirs = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.mul_(3)
    theirs.save_pretrained(tmp_path)
    for name in ("encoder.json", "vocab.bpe"):
        (tmp_path / name).write_bytes((Path(data) / "gpt2-tokenizer" / name).read_bytes())
    tokenizer = transformers.GPT2TokenizerFast(vocab=str(tmp_path / "encoder.json"), merges=str(tmp_path / "vocab.bpe"))
    expected = continued_by_transformers(theirs, tokenizer, 64)
    model = load(tmp_path)
    (sample,) = model.samples(PROMPT, model.sampling(greedy=True, max_tokens=64))
    assert sample.ids == expected
    assert len(set(expected)) > 3
    assert sample.text == tokenizer.decode(expected)


@pytest.mark.hub
def test_gpt2_itself_continues_as_transformers_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    theirs = transformers.AutoModelForCausalLM.from_pretrained("gpt2").eval()
    expected = continued_by_transformers(theirs, transformers.AutoTokenizer.from_pretrained("gpt2"), 64)
    model = newleaf.load("gpt2")
    (sample,) = model.samples(PROMPT, model.sampling(greedy=True, max_tokens=64))
    assert sample.ids == expected
