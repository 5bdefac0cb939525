"""llama.cpp is the judge: from the files that we write it gets the same ids, the same log-probabilities and the same greedy texts."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from conversion.strings import as_everybody_reads, varied
from model.configs import random_decoder, random_ids
from tokens.examples import TRICKY, all_pairs, bytes_alone, source
from tokens.foreign_examples import CHAT, MAKERS

from newleaf.conversion import gguf as ours
from newleaf.conversion.gguf import in_pairs, rounded_weights, write_gguf
from newleaf.conversion.gguf_tokens import QWEN2, REPLACE
from newleaf.errors import ModelError
from newleaf.jobs.llamacpp import LlamaCpp
from newleaf.jobs.proof import Compared, compare
from newleaf.model.config import ModelConfig, preset
from newleaf.model.decoder import Decoder
from newleaf.tokens.foreign import load_tokenizer
from newleaf.tokens.interface import AnyTokenizer
from newleaf.tokens.tokenizer import Tokenizer

gguf = pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

SIZE: dict[str, Any] = {"width": 128, "depth": 2, "context": 256}
VOCABULARIES = {"gpt2": 512, "llama": 1024, "qwen3": 768}
FAMILIES = pytest.mark.parametrize("family", VOCABULARIES)
EQUAL = {"gpt2": 0.01, "llama": 1e-4, "qwen2": 1e-4, "qwen3": 1e-4}  # between log-probabilities; GPT-2's GELU comes from a table in halves
YARN: dict[str, Any] = {
    "rope_scaling": "yarn",
    "rope_factor": 4.0,
    "rope_original_context": 64,
    "rope_attention_factor": 1 + 0.1 * math.log(4),
    "rope_high_frequency": 32.0,
    "rope_theta": 500.0,
}
LLAMA3: dict[str, Any] = {"rope_scaling": "llama3", "rope_factor": 8.0, "rope_original_context": 64, "rope_theta": 500.0}


@cache
def learned(vocab_size: int) -> Tokenizer:
    """From English, Chinese and code."""
    return Tokenizer.train([source(), *(TRICKY["blanks of two kinds between lines"][:9000], "once upon a time 12345 ")], vocab_size)


def shape(family: str, vocab_size: int = 1024, **axes: Any) -> ModelConfig:
    return preset(family, vocab_size=vocab_size, **SIZE | axes)


def written(folder: Path, config: ModelConfig, tokenizer: AnyTokenizer, kind: str = "f32", model: Decoder | None = None) -> Path:
    path = folder / "model.gguf"
    write_gguf(path, config, (model or random_decoder(config)).state_dict(), tokenizer, kind, "a model")
    return path


def held(config: ModelConfig, kind: str) -> Decoder:
    """Our decoder with the weights as a file of this kind holds them."""
    model = Decoder(config, initialised=False)
    model.load_state_dict(rounded_weights(config, random_decoder(config).state_dict(), kind))
    return model


@dataclass(frozen=True)
class Verdict:
    """What a judge's steps look like from here."""

    steps: list[Compared]
    num_told: int  # of which the judge told log-probabilities

    @property
    def difference(self) -> float:
        return max(step.difference for step in self.steps)

    @property
    def lost(self) -> list[float]:
        """Where the judge took another token than we would have taken: by how much ours was the better."""
        return [step.lost for step in self.steps if step.lost > 0]


def judged(path: Path, model: Decoder, tokenizer: AnyTokenizer, prompts: list[list[int]], num_tokens: int) -> Verdict:
    with LlamaCpp(path, model.config.context) as judge:
        found = judge.greedy(prompts, num_tokens)
    ends = frozenset(tokenizer.special_tokens.values())
    steps = [step for prompt, each in zip(prompts, found, strict=True) for step in compare(model, prompt, each, ends)]
    assert len(steps) == len(prompts) * num_tokens
    return Verdict(steps, sum(bool(best) for each in found for _, best in each))


def prompts(tokenizer: AnyTokenizer, number: int = 20, most: int = 100) -> list[list[int]]:
    """Beginnings of varied strings."""
    return [tokenizer.prompt(string)[:most] for string in varied(number, seed=2)]


def long_prompts(config: ModelConfig) -> list[list[int]]:
    """Beyond any original context here."""
    return (8 + random_ids(replace(config, vocab_size=config.vocab_size - 8), rows=4, length=200)).tolist()


def unequal(path: Path, tokenizer: AnyTokenizer, strings: list[str]) -> list[str]:
    """The strings of which llama.cpp makes other ids."""
    with LlamaCpp(path, 64) as judge:
        return [string for string, ids in zip(strings, judge.ids(strings), strict=True) if ids != tokenizer.encode(string)]


# models -----------------------------------------------------------------------------------------------------------------


@FAMILIES
def test_greedy_texts_are_equal_in_float32(family: str, tmp_path: Path) -> None:
    config, tokenizer = shape(family, VOCABULARIES[family]), learned(VOCABULARIES[family])
    model = random_decoder(config)
    verdict = judged(written(tmp_path, config, tokenizer), model, tokenizer, prompts(tokenizer), num_tokens=64)
    print(f"{family}: {len(verdict.lost)} of 1,280 steps differ; log-probabilities of {verdict.num_told} by {verdict.difference:.2g}")
    assert verdict.num_told > 300
    assert verdict.difference < EQUAL[family]
    assert max(verdict.lost, default=0.0) <= (0.01 if family == "gpt2" else 1e-5)  # another processor rounds otherwise


@FAMILIES
def test_greedy_texts_in_half_precision_are_equal_but_where_two_tokens_are_as_good(family: str, tmp_path: Path) -> None:
    config, tokenizer = shape(family, VOCABULARIES[family]), learned(VOCABULARIES[family])
    verdict = judged(written(tmp_path, config, tokenizer, "f16"), held(config, "f16"), tokenizer, prompts(tokenizer), num_tokens=64)
    print(f"{family}: {len(verdict.lost)} of 1,280 steps differ, by {max(verdict.lost, default=0.0):.2g} at most")
    assert max(verdict.lost, default=0.0) <= 0.02
    assert len(verdict.lost) <= 0.02 * 1280


SHAPES: dict[str, ModelConfig] = {
    "gpt2 untied": shape("gpt2", tied=False, heads=4, mlp_width=50),
    "llama grouped, biases": shape("llama", heads=4, kv_heads=2, bias="all"),
    "llama tied, small heads": shape("llama", heads=4, head_dim=10, tied=True),
    "qwen2 multi-query": shape("qwen2", heads=4, kv_heads=1),
    "qwen2 tied": shape("qwen2", heads=2, tied=True),
    "qwen3 tied, free heads": shape("qwen3", heads=6, kv_heads=2, head_dim=48, tied=True),
    "qwen3 odd sizes": shape("qwen3", heads=5, kv_heads=1, head_dim=6, mlp_width=33, norm_eps=1e-5, rope_theta=1e6),
}


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
def test_every_shape_of_a_family_gives_the_same_log_probabilities(config: ModelConfig, tmp_path: Path) -> None:
    tokenizer = learned(1024)
    verdict = judged(written(tmp_path, config, tokenizer), random_decoder(config), tokenizer, prompts(tokenizer, number=4), num_tokens=16)
    assert verdict.num_told > 16
    assert verdict.difference < EQUAL[str(config.family)]


SCALED: dict[str, ModelConfig] = {
    "llama linear": shape("llama", rope_scaling="linear", rope_factor=4.0, rope_theta=500.0),
    "qwen2 linear": shape("qwen2", rope_scaling="linear", rope_factor=2.5),
    "llama llama3": shape("llama", **LLAMA3),
    "llama yarn": shape("llama", **YARN),
    "llama yarn, its own attention factor": shape("llama", **YARN | {"rope_attention_factor": 1.3}),
    "llama yarn that shortens": shape("llama", **YARN | {"rope_factor": 0.5, "rope_attention_factor": 1.0}),
    "qwen2 yarn": shape("qwen2", heads=4, kv_heads=2, **YARN),
    "qwen3 yarn": shape("qwen3", **YARN),
}


@pytest.mark.parametrize("config", SCALED.values(), ids=SCALED)
def test_scaled_positions_give_the_same_log_probabilities_beyond_the_original_context(config: ModelConfig, tmp_path: Path) -> None:
    tokenizer = learned(1024)
    plain = replace(config, rope_scaling="none", rope_attention_factor=1.0)
    model, unscaled = random_decoder(config), Decoder(plain, initialised=False)
    unscaled.load_state_dict(model.state_dict())
    path = written(tmp_path, config, tokenizer)
    assert judged(path, model, tokenizer, long_prompts(config), num_tokens=8).difference < 1e-3
    assert judged(path, unscaled, tokenizer, long_prompts(config), num_tokens=8).difference > 0.1  # the judge does scale


def test_rows_left_as_halves_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, tokenizer = shape("llama"), learned(1024)
    monkeypatch.setattr(ours, "in_pairs", lambda rows, head_dim: rows)
    verdict = judged(written(tmp_path, config, tokenizer), random_decoder(config), tokenizer, prompts(tokenizer, number=2), num_tokens=16)
    assert verdict.difference > 0.1


def test_halves_become_pairs_head_by_head() -> None:
    assert in_pairs(torch.arange(12), head_dim=6).tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
    rows = torch.randn(12, 5)
    assert torch.equal(in_pairs(rows, head_dim=6)[:, 2], in_pairs(rows[:, 2], head_dim=6))


# numbers ----------------------------------------------------------------------------------------------------------------

QUANTISED = ("bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0")
NEAR = {"bf16": 0.1}  # llama.cpp multiplies quantised matrices with activations of 8 bits: some hundredths


@pytest.mark.parametrize(
    ("family", "kind"), [*(("llama", kind) for kind in QUANTISED), ("gpt2", "q5_1"), ("gpt2", "q4_0"), ("qwen3", "q4_1")]
)
def test_a_quantised_file_answers_as_its_rounded_weights_do(family: str, kind: str, tmp_path: Path) -> None:
    config, tokenizer = shape(family, VOCABULARIES[family]), learned(VOCABULARIES[family])
    verdict = judged(written(tmp_path, config, tokenizer, kind), held(config, kind), tokenizer, prompts(tokenizer, 5), num_tokens=16)
    print(f"{family} {kind}: {verdict.difference:.2g} at most, {len(verdict.lost)} of 80 steps differ")
    assert verdict.num_told > 20
    assert verdict.difference < NEAR.get(kind, 0.5)


def test_coarser_kinds_make_smaller_files(tmp_path: Path) -> None:
    config, tokenizer = shape("llama", bias="all"), learned(512)
    sizes = [written(tmp_path, config, tokenizer, kind).stat().st_size for kind in ours.TYPES if kind != "bf16"]
    assert sizes == sorted(set(sizes), reverse=True)
    assert sizes[-1] < 0.25 * sizes[0]


@pytest.mark.parametrize("kind", ["q8_0", "q4_0"])
def test_rows_that_fill_no_whole_blocks_stay_in_half_precision(kind: str, tmp_path: Path) -> None:
    config, tokenizer = shape("qwen3", width=40, mlp_width=64, heads=2, head_dim=16), learned(1024)
    path = written(tmp_path, config, tokenizer, kind)
    types = {tensor.name: tensor.tensor_type.name.lower() for tensor in gguf.GGUFReader(path).tensors}
    assert {types[name] for name in ("token_embd.weight", "blk.0.attn_q.weight", "blk.1.ffn_up.weight")} == {"f16"}
    assert {types[name] for name in ("blk.0.attn_output.weight", "blk.1.ffn_down.weight")} == {kind}
    assert {types[name] for name in ("output_norm.weight", "blk.0.attn_q_norm.weight")} == {"f32"}
    assert judged(path, held(config, kind), tokenizer, prompts(tokenizer, 3), num_tokens=8).difference < 0.5


def test_the_same_model_is_the_same_file(tmp_path: Path) -> None:
    config = shape("gpt2", 512)
    files = [written(tmp_path, config, learned(512), kind).read_bytes() for kind in ("q4_0", "q4_0", "q4_1")]
    assert files[0] == files[1] != files[2]


# tokens -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vocab_size", VOCABULARIES.values())
def test_the_ids_of_varied_strings_are_equal(vocab_size: int, tmp_path: Path) -> None:
    tokenizer = learned(vocab_size)
    path = written(tmp_path, shape("llama", vocab_size, width=32, depth=1), tokenizer)
    assert unequal(path, tokenizer, ["", *varied(1000, seed=vocab_size)]) == []


@pytest.mark.parametrize("kind", ["gpt2", "qwen2", "llama3", "llama2"])
def test_the_ids_of_tokenizers_of_others_are_equal(kind: str, tmp_path: Path) -> None:
    MAKERS[kind](tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    path = written(tmp_path, shape("llama", tokenizer.vocab_size, width=32, depth=1), tokenizer)
    assert unequal(path, tokenizer, ["", *as_everybody_reads(varied(1000, seed=3))]) == []


def test_no_border_between_words_is_elsewhere(tmp_path: Path) -> None:
    tokenizer = all_pairs()
    path = written(tmp_path, shape("llama", tokenizer.vocab_size, width=32, depth=1), tokenizer, "q4_0")
    assert unequal(path, tokenizer, varied(1000, seed=4)) == []


def metadata(path: Path) -> dict[str, Any]:
    return {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}


def test_what_the_file_says_of_itself_is_read_back(tmp_path: Path) -> None:
    MAKERS["qwen2"](tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    found = metadata(written(tmp_path, shape("qwen2", heads=4, kv_heads=2), tokenizer, "q8_0"))
    expected = {
        "general.architecture": "qwen2",
        "general.name": "a model",
        "general.file_type": gguf.LlamaFileType.MOSTLY_Q8_0,
        "qwen2.context_length": 256,
        "qwen2.embedding_length": 128,
        "qwen2.block_count": 2,
        "qwen2.attention.head_count": 4,
        "qwen2.attention.head_count_kv": 2,
        "qwen2.vocab_size": 1024,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.eos_token_id": tokenizer.special_tokens["<|endoftext|>"],
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": CHAT,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert len(found["tokenizer.ggml.tokens"]) == 1024
    assert found["tokenizer.ggml.token_type"][-1] == 5  # a row of the model that is no token


@pytest.mark.parametrize(
    ("kind", "split", "begins"),
    [("gpt2", "gpt-2", False), ("qwen2", "qwen2", False), ("llama3", "llama-bpe", True), ("llama2", "default", True)],
)
def test_a_prompt_begins_in_the_file_as_here(kind: str, split: str, begins: bool, tmp_path: Path) -> None:
    MAKERS[kind](tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    found = metadata(written(tmp_path, shape("llama", width=32, depth=1), tokenizer))
    assert (found["tokenizer.ggml.pre"], found["tokenizer.ggml.add_bos_token"], found["tokenizer.ggml.add_eos_token"]) == (
        split,
        begins,
        False,
    )
    assert not begins or tokenizer.prompt("a")[0] == found["tokenizer.ggml.bos_token_id"]


# what cannot be said ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (shape("llama", rope_scaling="dynamic", rope_factor=2.0, rope_original_context=64), "no dynamic scaling"),
        (shape("llama", **YARN | {"rope_truncate": False}), "YaRN with beta_fast 32, beta_slow 1 and truncate true alone"),
        (shape("llama", **YARN | {"rope_low_frequency": 0.5}), "YaRN with beta_fast 32, beta_slow 1 and truncate true alone"),
        (shape("qwen2", **YARN | {"rope_high_frequency": 8.0}), "YaRN with beta_fast 32, beta_slow 1 and truncate true alone"),
        (shape("qwen3", **LLAMA3), "no llama3 scaling for qwen3"),
        (shape("gpt2", mlp="relu"), "GPT-2 with GELU alone"),
        (shape("vaswani"), "GPT-2 with GELU alone"),
    ],
)
def test_a_shape_that_llama_cpp_does_not_run_is_refused_by_its_reason(config: ModelConfig, reason: str, tmp_path: Path) -> None:
    refused(tmp_path, lambda: written(tmp_path, config, learned(512)), reason)


def refused(folder: Path, write: Callable[[], object], reason: str) -> None:
    """One sentence that says why, and no file."""
    with pytest.raises(ModelError, match=reason) as caught:
        write()
    assert str(caught.value).count("\n") == 0
    assert not list(folder.glob("*.gguf"))


Change = Callable[[dict[str, Any]], object]


def changed(folder: Path, kind: str, change: Change) -> AnyTokenizer:
    """A tokenizer of others whose tokenizer.json was changed."""
    MAKERS[kind](folder)
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text("utf-8"))
    change(document)
    path.write_text(json.dumps(document), "utf-8")
    return load_tokenizer(folder)


def add_word(document: dict[str, Any], left: str, right: str) -> None:
    """One more word in the vocabulary, with the merge that makes it."""
    model = document["model"]
    model["vocab"][left + right] = 1 + max(model["vocab"].values())
    model["merges"].append([left, right])


def add_words(document: dict[str, Any], *words: str) -> None:
    """Words that no merge makes, where they are not there."""
    for word in words:
        document["model"]["vocab"].setdefault(word, len(document["model"]["vocab"]))


def as_converted(document: dict[str, Any]) -> None:
    """Runs of blanks, and every way to make a word as a merge: so transformers writes what SentencePiece has learned."""
    for left, right in (("▁", "▁"), ("▁▁", "▁▁"), ("▁▁", "▁"), ("▁▁▁▁", "▁▁▁▁")):
        add_word(document, left, right)
    model = document["model"]
    made = list(dict.fromkeys(left + right for left, right in model["merges"]))
    ways = ((word[:cut], word[cut:]) for word in made for cut in range(len(word) - 1, 0, -1))
    model["merges"] = [way for way in ways if set(way) <= model["vocab"].keys()]


def lose_merge(document: dict[str, Any], ignore_merges: bool) -> None:
    """The last word of the vocabulary can only be taken whole, or not at all."""
    document["model"]["merges"].pop()
    document["model"]["ignore_merges"] = ignore_merges


def add_token(document: dict[str, Any], **flags: bool) -> None:
    """One that is looked for in texts."""
    id = 1 + max([*document["model"]["vocab"].values(), *(token["id"] for token in document["added_tokens"])])
    common = {"special": False, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False}
    document["added_tokens"].append({"id": id, "content": "<tool>"} | common | flags)


def split(document: dict[str, Any]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = document["pre_tokenizer"]["pretokenizers"]
    return steps[0]


def metaspace(document: dict[str, Any], **values: Any) -> None:
    document["normalizer"] = None
    document["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True} | values


DIGITS = {"type": "Digits", "individual_digits": True}
UNKNOWN = "GGUF has no such tokenizer"
NAMELESS = "no name for this split"


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("unigram", lambda document: None, UNKNOWN),
        ("unigram of bytes", lambda document: None, UNKNOWN),
        ("gpt2", lambda document: document["pre_tokenizer"].update(add_prefix_space=True), UNKNOWN),
        ("gpt2", lambda document: document["pre_tokenizer"].update(use_regex=False), NAMELESS),
        ("gpt2", lambda document: document["model"].update(end_of_word_suffix="</w>"), UNKNOWN),
        ("gpt2", lambda document: document.update(pre_tokenizer={"type": "Whitespace"}), UNKNOWN),
        ("gpt2", lambda document: lose_merge(document, ignore_merges=True), "that no merge makes"),
        ("llama3", lambda document: lose_merge(document, ignore_merges=False), "that no merge makes"),
        ("qwen2", lambda document: document["normalizer"].update(type="NFKC"), UNKNOWN),
        ("qwen2", lambda document: split(document)["pattern"].update(Regex=QWEN2.replace("+[", "*[")), NAMELESS),
        ("qwen2", lambda document: split(document).update(behavior="Removed"), NAMELESS),
        ("qwen2", lambda document: split(document).update(invert=True), NAMELESS),
        ("qwen2", lambda document: add_token(document, lstrip=True), "cannot say 'lstrip' of the token <tool>"),
        ("gpt2", lambda document: add_token(document, single_word=True), "cannot say 'single_word' of the token <tool>"),
        ("llama2", lambda document: add_token(document, normalized=True), "cannot say 'normalized' of the token <tool>"),
        ("llama2", lambda document: document["normalizer"]["normalizers"].insert(0, {"type": "NFKC"}), UNKNOWN),
        ("llama2", lambda document: metaspace(document) or add_word(document, "s", "▁"), UNKNOWN),
        ("llama2", lambda document: add_words(document, "<", "s>"), "would read <s> as one token"),
        ("llama2", lambda document: document["model"]["vocab"].update({"<0x07x": document["model"]["vocab"].pop("<0x07>")}), UNKNOWN),
    ],
)
def test_a_tokenizer_of_which_llama_cpp_would_make_other_ids_is_refused(kind: str, change: Change, reason: str, tmp_path: Path) -> None:
    tokenizer = changed(tmp_path, kind, change)
    refused(tmp_path, lambda: written(tmp_path, shape("llama", width=32, depth=1), tokenizer), reason)


WAYS: dict[str, tuple[str, Change]] = {
    "a token in texts": ("gpt2", lambda document: add_token(document)),
    "digits one by one": (
        "gpt2",
        lambda document: document.update(pre_tokenizer={"type": "Sequence", "pretokenizers": [DIGITS, document["pre_tokenizer"]]}),
    ),
    "words taken whole": ("llama3", lambda document: lose_merge(document, ignore_merges=True)),
    "words never taken": ("gpt2", lambda document: lose_merge(document, ignore_merges=False)),
    "every way to make a word": ("llama2", as_converted),
    "no blank in front": ("llama2", lambda document: document.update(normalizer=REPLACE)),
    "Metaspace, no blank in front": ("llama2", lambda document: metaspace(document, prepend_scheme="never")),
    "Metaspace, one word": ("llama2", lambda document: metaspace(document, prepend_scheme="first", split=False)),
}


@pytest.mark.parametrize(("kind", "change"), WAYS.values(), ids=WAYS)
def test_other_ways_of_the_same_kinds_give_equal_ids(kind: str, change: Change, tmp_path: Path) -> None:
    tokenizer = changed(tmp_path, kind, change)
    path = written(tmp_path, shape("llama", width=32, depth=1), tokenizer)
    strings = [
        *as_everybody_reads(varied(500, seed=5)),
        "one<tool>two <tool>",
        *map(tokenizer.decode, ([id] for id in range(tokenizer.vocab_size))),
    ]
    assert unequal(path, tokenizer, [string for string in strings if string[:1] not in ("", " ", "▁")]) == []


def test_a_tokenizer_of_bytes_alone_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, lambda: written(tmp_path, shape("llama"), bytes_alone()), "takes no tokenizer without merges")


def test_a_tokenizer_with_more_tokens_than_the_model_has_rows_is_refused(tmp_path: Path) -> None:
    refused(
        tmp_path,
        lambda: written(tmp_path, shape("llama", vocab_size=500), learned(512)),
        r"the tokenizer has 512 tokens \(expected at most 500\)",
    )
