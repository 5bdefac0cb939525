"""Small tokenizers of the kinds that models bring along, written as their authors write them: tokenizer.json and tokenizer_config.json.

Each is learned once from `examples.source()`. A maker gets a folder and writes the two files there.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tokens.examples import source

from newleaf.tokens.tokenizer import one_thread

Maker = Callable[[Path], None]
SPACE = "▁"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"  # as published
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
CHAT = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"


def gpt2(folder: Path) -> None:
    """No normalizer, no post-processor; one special token."""
    write(folder, byte_level(None, None, ("<|endoftext|>",)), eos_token="<|endoftext|>", bos_token="<|endoftext|>")


def qwen2(folder: Path) -> None:
    """NFC; a turn ends with another token than a text."""
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    write(
        folder,
        byte_level(QWEN2, normalizers.NFC(), special),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        add_bos_token=False,
        chat_template=CHAT,
        split_special_tokens=False,
    )


def llama3(folder: Path) -> None:
    """Numbers in threes; prompts begin with a token."""
    special = ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
    tokenizer = byte_level(LLAMA3, None, special)
    id = tokenizer.token_to_id("<|begin_of_text|>")
    template = processors.TemplateProcessing(single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", id)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    write(folder, tokenizer, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>")


def llama2(folder: Path) -> None:
    """SentencePiece's BPE: blanks are letters, unknown characters are bytes, prompts begin with <s>."""
    vocab, merges = sentencepiece_bpe()
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in ("<unk>", "<s>", "</s>")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", vocab["<s>"])])
    token = {"__type": "AddedToken", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    roles = {role: token | {"content": name} for role, name in (("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"))}
    write(folder, tokenizer, **roles)


def unigram(folder: Path) -> None:
    """SentencePiece's Unigram, which knows no bytes: a character that it never saw is <unk>."""
    tokenizer = unigram_of(unigram_pieces(), byte_fallback=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    write(folder, tokenizer, eos_token="</s>", unk_token="<unk>")


def unigram_of_bytes(folder: Path) -> None:
    """Unigram whose unknown characters are bytes."""
    pieces = unigram_pieces()
    tokenizer = unigram_of([*pieces[:2], *((name, 0.0) for name in BYTES), *pieces[2:]], byte_fallback=True)
    steps = [decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")]
    tokenizer.decoder = decoders.Sequence(steps)
    write(folder, tokenizer, eos_token="</s>", unk_token="<unk>")


MAKERS: dict[str, Maker] = {
    "gpt2": gpt2,
    "qwen2": qwen2,
    "llama3": llama3,
    "llama2": llama2,
    "unigram": unigram,
    "unigram of bytes": unigram_of_bytes,
}
BYTE_LEVEL = ("gpt2", "qwen2", "llama3")


def gpt2_old(folder: Path, names: Sequence[str] = ("vocab.json", "merges.txt")) -> None:
    """The two files of 2019, with which GPT-2's kind was published."""
    model = json.loads(byte_level_json(None, ("<|endoftext|>",)))["model"]
    vocab = {name: id for name, id in model["vocab"].items() if name != "<|endoftext|>"}
    ids = {name: id for id, name in enumerate([*vocab, "<|endoftext|>"])}  # there it is the last
    (folder / names[0]).write_text(json.dumps(ids), "utf-8")
    (folder / names[1]).write_text("#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in model["merges"]), "utf-8")


def write(folder: Path, tokenizer: Tokenizer, **config: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    common = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(common | config, ensure_ascii=False, indent=2), "utf-8")


def byte_level(pattern: str | None, normalizer: normalizers.Normalizer | None, special: tuple[str, ...]) -> Tokenizer:
    tokenizer = Tokenizer.from_str(byte_level_json(pattern, special))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    return tokenizer


@cache
def byte_level_json(pattern: str | None, special: tuple[str, ...]) -> str:
    """Byte-level BPE; special tokens behind the others. Without a pattern, GPT-2's."""
    tokenizer = Tokenizer(models.BPE())
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    split = [] if pattern is None else [pre_tokenizers.Split(Regex(pattern), behavior="isolated")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, level]) if split else level
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learn(tokenizer, trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False), [source()])
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    return tokenizer.to_str()


@cache
def sentencepiece_bpe() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges. They are learned word by word: the whole text would be one word."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    special = ["<unk>", "<s>", "</s>", *BYTES]
    counts = Counter("".join(source().split()))
    # given, because the trainer chooses among equally frequent characters by chance
    alphabet = [SPACE, *sorted(counts, key=lambda character: (-counts[character], character))[:129]]
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=special, initial_alphabet=alphabet, limit_alphabet=130, show_progress=False
    )
    learn(tokenizer, trainer, source().splitlines())
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [(left, right) for left, right in model["merges"]]


@cache
def unigram_pieces() -> list[tuple[str, float]]:
    """Pieces and their log probabilities, after <unk> and </s>."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=500, special_tokens=["<unk>", "</s>"], unk_token="<unk>", show_progress=False)
    learn(tokenizer, trainer, source().splitlines()[:2000])
    return [(name, score) for name, score in json.loads(tokenizer.to_str())["model"]["vocab"]]


def unigram_of(pieces: list[tuple[str, float]], byte_fallback: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0, byte_fallback=byte_fallback))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in ("<unk>", "</s>")])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))])
    return tokenizer


def learn(tokenizer: Tokenizer, trainer: trainers.Trainer, texts: Iterable[str]) -> None:
    with one_thread():
        tokenizer.train_from_iterator(texts, trainer)
