"""Every kind of model and tokenizer goes in and out, in fact; what happened is a row of docs/formats.md."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from conversion.strings import as_everybody_reads, varied
from tokens.examples import source, trained
from tokens.foreign_examples import MAKERS

from newleaf.cli.chinese import in_chinese
from newleaf.conversion.gguf import write_gguf
from newleaf.conversion.huggingface import read_model, write_export
from newleaf.conversion.wording import Words
from newleaf.errors import ModelError
from newleaf.jobs.llamacpp import LlamaCpp
from newleaf.jobs.proof import compare
from newleaf.model.config import preset
from newleaf.model.decoder import Decoder
from newleaf.tokens.foreign import load_tokenizer
from newleaf.tokens.tokenizer import Tokenizer

Write = Callable[[Path], None]
EQUAL, NOTHING = Words("equal", "一致"), Words("—", "—")
CONTEXT, ORIGINAL = 64, 24  # what positions are scaled to, and from
COMMON: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": CONTEXT,
}
GPT2: dict[str, Any] = {"vocab_size": 320, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}
STRINGS = varied(300, seed=7)


def llama(**values: Any) -> Any:
    return transformers.LlamaConfig(**COMMON | values)


def scaled(kind: str, **values: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 500.0, "factor": 4.0} | values}


LLAMA3 = scaled("llama3", low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=ORIGINAL)
YARN = scaled("yarn", original_max_position_embeddings=ORIGINAL)


@dataclass(frozen=True)
class Row:
    """A model or a tokenizer by its name, and who writes it into a folder."""

    name: Words
    write: Write


def model(en: str, zh: str, config: Callable[[], Any], change: Callable[[Path], object] = lambda folder: None) -> Row:
    """Random weights as transformers writes them, and what is done to the folder then."""

    def write(folder: Path) -> None:
        torch.manual_seed(0)
        found = transformers.AutoModelForCausalLM.from_config(config(), attn_implementation="eager")
        with torch.no_grad():
            for name, weight in found.named_parameters():
                weight.normal_(std=0.15).add_(float(weight.dim() == 1 and name.endswith("weight")))
        found.save_pretrained(folder)
        change(folder)

    return Row(Words(en, zh), write)


def with_field(name: str, value: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {name: value}), "utf-8")

    return change


MODELS = [
    model("GPT-2", "GPT-2", lambda: transformers.GPT2Config(**GPT2)),
    model("GPT-2, output of its own", "GPT-2，输出不与嵌入共用", lambda: transformers.GPT2Config(**GPT2, tie_word_embeddings=False)),
    model("GPT-2 with ReLU", "GPT-2，用 ReLU", lambda: transformers.GPT2Config(**GPT2, activation_function="relu")),
    model("Llama", "Llama", llama),
    model("Llama, grouped heads", "Llama，几个头共用键值", lambda: llama(num_key_value_heads=2)),
    model("Llama, biases", "Llama，带偏置", lambda: llama(attention_bias=True, mlp_bias=True)),
    model("Llama, linear scaling", "Llama，线性缩放", lambda: llama(**scaled("linear"))),
    model("Llama, dynamic scaling", "Llama，动态缩放", lambda: llama(max_position_embeddings=ORIGINAL, **scaled("dynamic"))),
    model("Llama, llama3 scaling", "Llama，llama3 缩放", lambda: llama(**LLAMA3)),
    model("Llama, YaRN", "Llama，YaRN", lambda: llama(**YARN)),
    model("Mistral", "Mistral", lambda: transformers.MistralConfig(**COMMON, num_key_value_heads=2, sliding_window=None)),
    model(
        "Mistral, sliding window",
        "Mistral，滑动窗口",
        lambda: transformers.MistralConfig(**COMMON, num_key_value_heads=2, sliding_window=32),
    ),
    model("Qwen2", "Qwen2", lambda: transformers.Qwen2Config(**COMMON, num_key_value_heads=2)),
    model("Qwen2, YaRN", "Qwen2，YaRN", lambda: transformers.Qwen2Config(**COMMON, num_key_value_heads=2, **YARN)),
    model("Qwen3", "Qwen3", lambda: transformers.Qwen3Config(**COMMON, num_key_value_heads=4, head_dim=16)),
    model(
        "Qwen3, tied, heads of any size",
        "Qwen3，输出与嵌入共用，头的大小任意",
        lambda: transformers.Qwen3Config(**COMMON, num_key_value_heads=1, head_dim=24, tie_word_embeddings=True),
    ),
    model("Llama, biases in attention alone", "Llama，只有注意力带偏置", lambda: llama(attention_bias=True)),
    model("code that comes with a model", "自带代码的模型", llama, with_field("auto_map", {"AutoModelForCausalLM": "model.Model"})),
    model("quantised weights", "量化过的权重", llama, with_field("quantization_config", {"bits": 4})),
    model(
        "weights as a pickle",
        "pickle 格式的权重",
        llama,
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
    ),
    Row(Words("another architecture (Mamba)", "其他架构（Mamba）"), lambda folder: transformers.MambaConfig().save_pretrained(folder)),
]


def own(folder: Path) -> None:
    folder.mkdir(parents=True)
    trained().save(folder)


TOKENIZERS = [
    Row(Words("newleaf's own", "新叶自己的"), own),
    Row(Words("GPT-2's", "GPT-2 的"), MAKERS["gpt2"]),
    Row(Words("Qwen2's", "Qwen2 的"), MAKERS["qwen2"]),
    Row(Words("Llama 3's", "Llama 3 的"), MAKERS["llama3"]),
    Row(Words("SentencePiece, BPE", "SentencePiece，BPE"), MAKERS["llama2"]),
    Row(Words("SentencePiece, Unigram", "SentencePiece，Unigram"), MAKERS["unigram"]),
]

# judging ----------------------------------------------------------------------------------------------------------------


def attempted(place: Path, attempt: Callable[[], bool]) -> Words:
    """Equal, not equal, or why it is refused."""
    try:
        return EQUAL if attempt() else Words("NOT EQUAL", "不一致")
    except ModelError as error:
        message = error.message.replace(f"{place}/", "")
        return Words(message, in_chinese(message) or message)


def model_cells(row: Row, place: Path) -> list[Words]:
    """Read, to Hugging Face, to GGUF."""
    source = place / "theirs"
    row.write(source)
    found: list[Decoder] = []

    def is_read() -> bool:
        found.append(read_model(source))
        ids = torch.arange(2 * found[0].config.context).reshape(2, -1) % found[0].config.vocab_size
        with torch.inference_mode():
            expected = transformers.AutoModelForCausalLM.from_pretrained(source, attn_implementation="eager")(ids).logits
            return bool((found[0](ids) - expected).abs().max() < 1e-4)

    read = attempted(source, is_read)
    if not found:
        return [read, NOTHING, NOTHING]
    return [
        read,
        attempted(place, lambda: goes_to_huggingface(found[0], source, place)),
        attempted(place, lambda: goes_to_gguf(found[0], place)),
    ]


def goes_to_huggingface(decoder: Decoder, source: Path, place: Path) -> bool:
    out = place / "ours"
    out.mkdir()
    write_export(out, decoder, source)
    before, after = (transformers.AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (source, out))
    return before.keys() == after.keys() and all(torch.equal(tensor, after[name]) for name, tensor in before.items())


@cache
def small() -> Tokenizer:
    return Tokenizer.train([source()], COMMON["vocab_size"])


def goes_to_gguf(decoder: Decoder, place: Path) -> bool:
    path, config, tokenizer = place / "model.gguf", decoder.config, small()
    write_gguf(path, config, decoder.state_dict(), tokenizer, "f32", "model")
    prompts = [[8 + (7 * place + 31 * number) % 312 for place in range(CONTEXT - 16)] for number in range(4)]  # longer than ORIGINAL
    with LlamaCpp(path, CONTEXT) as judge:
        found = judge.greedy(prompts, 12)
    ends = frozenset(tokenizer.special_tokens.values())
    steps = [step for prompt, each in zip(prompts, found, strict=True) for step in compare(decoder, prompt, each, ends)]
    told = sum(bool(best) for each in found for _, best in each)
    return told >= 12 and all(step.difference < 0.02 and step.lost < 0.02 for step in steps)


def tokenizer_cells(row: Row, place: Path) -> list[Words]:
    """Read, to Hugging Face, to GGUF."""
    row.write(place / "theirs")
    tokenizer = load_tokenizer(place / "theirs")
    expected = list(map(tokenizer.encode, STRINGS))

    def goes_out() -> bool:
        (place / "ours").mkdir()
        tokenizer.save(place / "ours")
        return ids_in_transformers(place / "ours") == expected

    def goes_to_gguf() -> bool:
        config = preset("llama", vocab_size=tokenizer.vocab_size, width=32, depth=1)
        write_gguf(place / "model.gguf", config, Decoder(config).state_dict(), tokenizer, "f32", "model")
        strings = as_everybody_reads(STRINGS)
        with LlamaCpp(place / "model.gguf", 64) as judge:
            return judge.ids(strings) == list(map(tokenizer.encode, strings))

    return [
        attempted(place, lambda: ids_in_transformers(place / "theirs") == expected),
        attempted(place, goes_out),
        attempted(place, goes_to_gguf),
    ]


def ids_in_transformers(folder: Path) -> list[list[int]]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return [list(tokenizer(string, add_special_tokens=False, split_special_tokens=True).input_ids) for string in STRINGS]


# writing ----------------------------------------------------------------------------------------------------------------

ENGLISH = """# Formats

Each cell was found by doing it: "equal", or the reason for which newleaf refuses. A test, tests/promises/test_formats.py, compares this
page with what happens (with NEWLEAF_WRITE_DOCS=1 it writes the page). · [中文](#格式)

- **Read**: random weights that transformers wrote give its logits here, within 1e-4; 300 strings of all kinds get its ids.
- **To Hugging Face**: transformers loads what newleaf wrote, and finds each tensor and each id equal.
- **To GGUF**: llama.cpp's log-probabilities are ours within 0.02, beyond the original context where positions are scaled; it gives
  equal ids to strings of composed characters (NFC), because it composes none.
"""
CHINESE = """# 格式

每一格都是实际试出来的：“一致”，或者新叶拒绝的理由。测试 tests/promises/test_formats.py 会把本页与实际结果对照
（设 NEWLEAF_WRITE_DOCS=1 则改写本页）。

- **读入**：transformers 写出的随机权重，在这里算出的 logits 与它相差不到 1e-4；300 条各式各样的字符串，编号也与它相同。
- **写成 Hugging Face**：transformers 读入新叶写出的文件，每个张量、每个编号都相等。
- **写成 GGUF**：llama.cpp 的对数概率与这里相差不到 0.02，位置有缩放的模型要超出原来的上下文长度来比；
  字符先合成（NFC）的字符串编号相同，因为 llama.cpp 自己不合成。
"""
HEADS = {
    "en": ("model", "tokenizer", ("read", "to Hugging Face", "to GGUF")),
    "zh": ("模型", "分词器", ("读入", "写成 Hugging Face", "写成 GGUF")),
}


def page(place: Path) -> str:
    """docs/formats.md, from what happens in the folder `place`."""
    models = [(row.name, model_cells(row, place / f"model-{number}")) for number, row in enumerate(MODELS)]
    tokenizers = [(row.name, tokenizer_cells(row, place / f"tokenizer-{number}")) for number, row in enumerate(TOKENIZERS)]
    parts = []
    for prose, language in ((ENGLISH, "en"), (CHINESE, "zh")):
        first, second, columns = HEADS[language]
        parts += [prose, table([first, *columns], models, language), table([second, *columns], tokenizers, language)]
    return "\n".join(parts)


def table(head: list[str], rows: Iterable[tuple[Words, list[Words]]], language: Any) -> str:
    lines = [head, ["---"] * len(head)]
    lines += [[word.say(language).replace("|", "\\|") for word in (name, *cells)] for name, cells in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
