"""Models that others trained, with the tokenizers they bring: transformers is the judge of every id and every letter."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokens.examples import CHINESE
from tokens.foreign_examples import BYTE_LEVEL, MAKERS

import newleaf
from newleaf.cli.main import run
from newleaf.errors import ModelError
from newleaf.generation.engine import Sample
from newleaf.generation.settings import Sampling
from newleaf.tokens.foreign import load_tokenizer

transformers = pytest.importorskip("transformers")
PROMPTS = ("Once upon a time", CHINESE[:16], "def f(x):\n    return")
SIZE: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 128,
}
CONFIGS: dict[str, Callable[..., Any]] = {
    "gpt2": lambda **more: transformers.GPT2Config(n_embd=48, n_layer=2, n_head=4, n_positions=128, **more),
    "llama": lambda **more: transformers.LlamaConfig(**SIZE | more),
    "mistral": lambda **more: transformers.MistralConfig(**SIZE | {"sliding_window": None} | more),
    "qwen2": lambda **more: transformers.Qwen2Config(**SIZE | more),
    "qwen3": lambda **more: transformers.Qwen3Config(**SIZE | {"head_dim": 16} | more),
}
TIED, UNTIED = {"tie_word_embeddings": True}, {"tie_word_embeddings": False}
IMPORTED: dict[str, tuple[str, str, dict[str, Any]]] = {  # a family, a kind of tokenizer, and what the config says besides
    "gpt2": ("gpt2", "gpt2", TIED),
    "gpt2, untied": ("gpt2", "gpt2", UNTIED),
    "llama": ("llama", "llama3", UNTIED),
    "llama, tied": ("llama", "llama3", TIED),
    "mistral": ("mistral", "llama2", UNTIED),
    "qwen2": ("qwen2", "qwen2", UNTIED),
    "qwen2, tied": ("qwen2", "qwen2", TIED),
    "qwen3": ("qwen3", "qwen2", UNTIED),
    "qwen3, tied": ("qwen3", "qwen2", TIED),
    **{f"llama with the tokenizer of {kind}": ("llama", kind, UNTIED) for kind in MAKERS if kind != "llama3"},
}


def imported(
    folder: Path,
    family: str = "llama",
    kind: str = "llama3",
    dtype: torch.dtype = torch.float32,
    max_shard_size: str = "1GB",
    more_rows: int = 0,
    **more: Any,
) -> Path:
    """A model with random weights, as transformers writes it, beside a tokenizer."""
    MAKERS[kind](folder)
    tokenizer = load_tokenizer(folder)
    end = tokenizer.end_of_text
    config = CONFIGS[family](vocab_size=tokenizer.vocab_size + more_rows, **{"bos_token_id": end, "eos_token_id": end} | more)
    torch.manual_seed(0)
    theirs = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            weight.normal_(std=0.2).add_(float(weight.dim() == 1 and name.endswith("weight")))
        if kind not in BYTE_LEVEL:  # whose decoder gives up whole characters beside a byte that is none: so none is written
            rows = theirs.get_output_embeddings().weight
            rows[[id for id, spelling in tokenizer.bytes_of.items() if not is_text(spelling)]] = 0
    theirs.to(dtype).save_pretrained(folder, max_shard_size=max_shard_size)
    return folder


def is_text(spelling: bytes) -> bool:
    return spelling.decode("utf-8", errors="ignore").encode() == spelling


def judged(folder: Path, prompt: str, max_new_tokens: int = 64) -> tuple[list[int], str]:
    """What transformers writes, and its text. A fresh model each time: scaled positions leave traces in one that was used."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    both = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=max_new_tokens)[0].tolist()
    before, after = (tokenizer.decode(part, skip_special_tokens=True) for part in (both[: ids.shape[1]], both))
    assert after.startswith(before)
    return both[ids.shape[1] :], after[len(before) :]


def greedy(folder: Path, prompt: str, max_tokens: int = 64) -> Sample:
    return newleaf.load(folder).engine().generate(prompt, Sampling(greedy=True, max_tokens=max_tokens))[0]


def assert_writes_alike(folder: Path, prompts: Iterable[str] = PROMPTS) -> None:
    """The same ids and text for each prompt, of which not all are dull."""
    seen = set[int]()
    for prompt in prompts:
        ours, (ids, text) = greedy(folder, prompt), judged(folder, prompt)
        end = load_tokenizer(folder).end_of_text
        assert ours.ids == (ids[:-1] if ids[-1] == end else ids)
        assert ours.text == text
        assert ours.stopped_by == ("end" if ids[-1] == end else "length") and (ids[-1] == end or len(ids) == 64)
        seen |= set(ours.ids)
    assert len(seen) > 15


def change(path: Path, **values: Any) -> None:
    """Set fields of a JSON file; None removes one."""
    found = json.loads(path.read_text("utf-8")) | values
    path.write_text(json.dumps({name: value for name, value in found.items() if value is not None}), "utf-8")


@pytest.mark.parametrize(("family", "kind", "more"), IMPORTED.values(), ids=IMPORTED)
def test_it_writes_what_transformers_writes(family: str, kind: str, more: dict[str, Any], tmp_path: Path) -> None:
    assert_writes_alike(imported(tmp_path, family, kind, **more))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("family", "kind", "tied"), [("llama", "llama2", False), ("gpt2", "gpt2", True)])
def test_half_precision_in_several_parts_is_read_as_float32(family: str, kind: str, tied: bool, dtype: torch.dtype, tmp_path: Path) -> None:
    imported(tmp_path, family, kind, dtype, "40KB", tie_word_embeddings=tied)
    assert len([*tmp_path.glob("model-*.safetensors")]) > 2 and not (tmp_path / "model.safetensors").exists()
    assert_writes_alike(tmp_path, PROMPTS[:1] + PROMPTS[2:])


LONG = "The main entry point for command-line parsing. As the example above shows, the add_argument() method is used."
SCALINGS: dict[str, dict[str, Any]] = {
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 4.0},
    "llama3": {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 32},
}


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize(("scaling", "values"), SCALINGS.items(), ids=SCALINGS)
def test_beyond_the_original_context_it_writes_what_transformers_writes(
    scaling: str, values: dict[str, Any], family: str, tmp_path: Path
) -> None:
    rope = {"rope_type": scaling, "rope_theta": 1000.0, **values}
    imported(tmp_path, family, max_position_embeddings=32 if scaling == "dynamic" else 128, rope_parameters=rope)
    assert 32 < len(load_tokenizer(tmp_path).prompt(LONG)) <= 64
    assert newleaf.load(tmp_path).config.context == 128
    assert_writes_alike(tmp_path, (PROMPTS[0], LONG))
    scaled = greedy(tmp_path, LONG).ids
    change(tmp_path / "config.json", rope_parameters={"rope_type": "default", "rope_theta": 1000.0}, max_position_embeddings=128)
    assert greedy(tmp_path, LONG).ids != scaled


@pytest.mark.parametrize("place", ["generation_config.json", "config.json"])
@pytest.mark.parametrize("number", [1, 2])
def test_it_stops_at_the_ends_that_the_model_names(place: str, number: int, tmp_path: Path) -> None:
    """One or several; generation_config.json counts first."""
    whole = greedy(imported(tmp_path), PROMPTS[0]).ids
    end = whole[9]
    never = next(id for id in range(256) if id not in whole)
    if place == "config.json":
        change(tmp_path / "generation_config.json", eos_token_id=None)
        change(tmp_path / "config.json", eos_token_id=end if number == 1 else [never, end])
    else:
        change(tmp_path / "generation_config.json", eos_token_id=end if number == 1 else [never, end])
        change(tmp_path / "config.json", eos_token_id=whole[0])
    ours = greedy(tmp_path, PROMPTS[0])
    assert (ours.ids, ours.stopped_by) == (whole[: whole.index(end)], "end")
    if place == "generation_config.json":
        assert judged(tmp_path, PROMPTS[0])[0] == [*ours.ids, end]


def test_what_the_model_says_about_sampling_is_the_default(tmp_path: Path) -> None:
    imported(tmp_path)
    said = {"do_sample": True, "temperature": 0.6, "top_p": 0.7, "top_k": 11, "repetition_penalty": 1.3, "max_new_tokens": 7}
    change(tmp_path / "generation_config.json", **said)
    model = newleaf.load(tmp_path)
    default = Sampling(temperature=0.6, top_p=0.7, top_k=11, repetition_penalty=1.3, max_tokens=7)
    assert model.sampling() == default
    assert model.generate(PROMPTS[0]) == model.samples(PROMPTS[0], default)[0].text
    assert len(model.samples(PROMPTS[0], default)[0].ids) == 7
    assert model.sampling(top_p=0.5, max_tokens=9) == Sampling(temperature=0.6, top_p=0.5, top_k=11, repetition_penalty=1.3, max_tokens=9)
    change(tmp_path / "generation_config.json", **said | {"do_sample": False, "repetition_penalty": None})
    assert newleaf.load(tmp_path).generate(PROMPTS[0]) == greedy(tmp_path, PROMPTS[0], max_tokens=7).text


def test_a_folder_without_a_tokenizer_has_logits_but_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in imported(tmp_path).glob("tokenizer*"):
        file.unlink()
    ids, model = torch.tensor([[3, 1, 4, 1, 5]]), newleaf.load(tmp_path)
    with torch.no_grad():
        expected = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)(ids).logits
    torch.testing.assert_close(model.logits(ids), expected, rtol=0, atol=1e-4)
    sentence = f"{tmp_path} has no tokenizer.json; text needs one; model.logits(ids) does not."
    capsys.readouterr()
    with pytest.raises(ModelError) as caught:
        model.generate("a")
    assert str(caught.value) == sentence
    assert run(["generate", str(tmp_path), "a"]) == 2
    assert capsys.readouterr() == ("", sentence + "\n")


def test_a_tokenizer_of_another_model_is_one_sentence(tmp_path: Path) -> None:
    imported(tmp_path, kind="unigram")
    MAKERS["gpt2"](tmp_path)
    with pytest.raises(ModelError, match=r"has 701 tokens \(expected at most 500, the model's\)"):
        newleaf.load(tmp_path).generate("a")


def test_a_model_may_lack_rows_for_special_tokens_that_no_text_has(tmp_path: Path) -> None:
    imported(tmp_path, "qwen2", "qwen2", more_rows=-2)
    assert newleaf.load(tmp_path).config.vocab_size == load_tokenizer(tmp_path).end_of_text + 1
    assert_writes_alike(tmp_path)


def test_rows_beyond_the_vocabulary_are_never_written(tmp_path: Path) -> None:
    imported(tmp_path, "qwen2", "qwen2", more_rows=29)
    weights = load_file(tmp_path / "model.safetensors")
    weights["lm_head.weight"][-29:] *= 100
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    size = load_tokenizer(tmp_path).vocab_size
    assert max(judged(tmp_path, PROMPTS[0])[0]) >= size > max(greedy(tmp_path, PROMPTS[0]).ids)


def test_gpt2s_files_of_2019_are_read(tmp_path: Path) -> None:
    """Names without the prefix, the causal masks among the weights, and the vocabulary in two files."""
    from tokens.foreign_examples import gpt2_old

    before = greedy(imported(tmp_path, "gpt2", "gpt2"), PROMPTS[0])
    weights = {name.removeprefix("transformer."): weight for name, weight in load_file(tmp_path / "model.safetensors").items()}
    weights |= {f"h.{layer}.attn.bias": torch.ones(1, 1, 128, 128).tril() for layer in range(2)}
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    for file in tmp_path.glob("tokenizer*"):
        file.unlink()
    gpt2_old(tmp_path)
    assert greedy(tmp_path, PROMPTS[0]) == before
    assert_writes_alike(tmp_path)


def test_the_command_writes_the_same_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(tmp_path, "qwen3", "qwen2")
    for prompt in PROMPTS:
        assert run(["generate", str(tmp_path), prompt, "--greedy", "--max-tokens", "64"]) == 0
        assert capsys.readouterr().out == judged(tmp_path, prompt)[1] + "\n"


# the hub ----------------------------------------------------------------------------------------------------------------


def offline(*words: str, cache: Path) -> subprocess.CompletedProcess[str]:
    """python with these arguments, where the hub's cache is all that can be reached: huggingface_hub looks once, when it is imported."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE_"))}
    environment |= {"HF_HOME": str(cache), "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUTF8": "1"}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, encoding="utf-8", check=False)


def test_a_name_of_the_hub_is_found_in_its_cache_without_a_network(tmp_path: Path) -> None:
    model = imported(tmp_path / "model")
    place, revision = tmp_path / "cache" / "hub" / "models--owner--name", "0123456789abcdef" * 2 + "01234567"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(revision)
    shutil.copytree(model, place / "snapshots" / revision)
    done = offline("-m", "newleaf", "generate", "owner/name", PROMPTS[1], "--greedy", "--max-tokens", "9", cache=tmp_path / "cache")
    assert (done.returncode, done.stdout, done.stderr) == (0, greedy(model, PROMPTS[1], max_tokens=9).text + "\n", "")
    code = "from newleaf.conversion.hub import folder_of; print(folder_of('owner/name'))"
    assert offline("-c", code, cache=tmp_path / "cache").stdout == f"{place / 'snapshots' / revision}\n"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("owner/other", "cannot be reached, nor is it in the cache"),
        ("gpt3", "cannot be reached, nor is it in the cache"),
        ("owner/na--me", "cannot be: names look otherwise"),
    ],
)
def test_a_name_that_is_not_in_the_cache_is_one_sentence(name: str, why: str, tmp_path: Path) -> None:
    done = offline("-m", "newleaf", "generate", name, "a", cache=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{name} is no folder here, and on the hub it {why}; ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["runs/peoms", "./mdoel", "a/b/c", "text.txt", "~/model", "two words", "模型"])
def test_a_typo_is_one_sentence_and_is_not_looked_for_elsewhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("newleaf.conversion.hub.fetched", lambda name: pytest.fail(f"{name} was looked for"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "text.txt").write_text("text")
    with pytest.raises(ModelError, match="is no model"):
        newleaf.load(name)
    assert run(["generate", name, "a"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
