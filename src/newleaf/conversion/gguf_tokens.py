"""The part of a GGUF file that says how text becomes ids.

GGUF carries a vocabulary, merges or scores, and only the name of the split; llama.cpp has the splits built in. A tokenizer whose split
has no name there is refused: its ids would differ. Some things llama.cpp reads otherwise whatever its file says: it composes no
characters (Qwen's NFC), it does not know the letters of Unicode 16 (2024), "'ſ" is no "'s", and Metaspace's first blank is always added.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from newleaf.errors import ModelError
from newleaf.tokens.foreign import HEXADECIMAL, SPACE, parts_of
from newleaf.tokens.interface import AnyTokenizer
from newleaf.tokens.pieces import PATTERN

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6  # llama.cpp's kinds of tokens
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)  # fmt: skip
SPLITS = {PATTERN: "qwen2", QWEN2: "qwen2", QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|", 1): "llama-bpe"}  # of a regular expression
REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
BLANKS = {True: [{"type": "Prepend", "prepend": SPACE}, REPLACE], False: [REPLACE]}  # SentencePiece's steps with and without one in front
HINT = "export with --to hf"


def add_tokenizer(writer: Any, tokenizer: AnyTokenizer, vocab_size: int, end: int) -> None:
    """Vocabulary, kinds, merges or scores, the name of the split, special tokens. ModelError where llama.cpp has no such tokenizer."""
    description = tokenizer.as_json()
    model = description["model"]
    if tokenizer.vocab_size > vocab_size:
        raise ModelError(f"the tokenizer has {tokenizer.vocab_size:,} tokens", where="tokenizer.json", expected=f"at most {vocab_size:,}")
    words: list[str | None] = [None] * vocab_size
    for word, id in model["vocab"].items() if isinstance(model["vocab"], dict) else []:
        words[id] = word
    kinds = [UNUSED if word is None else NORMAL for word in words]
    for token in description["added_tokens"]:
        words[token["id"]], kinds[token["id"]] = token["content"], CONTROL if token["special"] else USER
    names = [f"[PAD{id}]" if word is None else word for id, word in enumerate(words)]
    if is_sentencepiece(description):
        require_plain(description["added_tokens"], "lstrip", "rstrip", "single_word", "normalized")
        writer.add_add_space_prefix(adds_blank(description))
        add_sentencepiece(writer, model, names, kinds)
    else:
        require_plain(description["added_tokens"], "lstrip", "rstrip", "single_word")
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(split_name(description))
        writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]])
        writer.add_token_list(names)
        writer.add_token_types(kinds)
    add_special(writer, tokenizer, end)


def require_plain(added: Sequence[Mapping[str, Any]], *flags: str) -> None:
    """ModelError for a token that is looked for in texts, but not wherever its name stands."""
    for token in added:
        if not token["special"] and (asked := [flag for flag in flags if token.get(flag)]):
            raise ModelError(f"GGUF cannot say {asked[0]!r} of the token {token['content']}", where="tokenizer.json", hint=HINT)


def add_special(writer: Any, tokenizer: AnyTokenizer, end: int) -> None:
    """Begin and end of what is written, and whether a prompt has them."""
    prompt = tokenizer.prompt("a")
    begins, ends = tokenizer.is_special(prompt[0]), tokenizer.is_special(prompt[-1])
    writer.add_bos_token_id(prompt[0] if begins else tokenizer.end_of_text)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(begins)
    writer.add_add_eos_token(ends)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def is_sentencepiece(description: Mapping[str, Any]) -> bool:
    """Whether it is BPE over characters with bytes to fall back to, blanks written as SPACE."""
    model = description["model"]
    return bool(model["type"] == "BPE" and model.get("byte_fallback") and SPACE in json.dumps(description["decoder"], ensure_ascii=False))


def adds_blank(description: Mapping[str, Any]) -> bool:
    """Whether one stands before each text. ModelError for what else is done to texts."""
    steps = [*parts_of(description.get("normalizer"), "normalizers"), *parts_of(description.get("pre_tokenizer"), "pretokenizers")]
    for adds, known in BLANKS.items():
        if steps == known:
            return adds
    if [step.get("type") for step in steps] == ["Metaspace"] and steps[0].get("replacement") == SPACE:
        crossed = any(SPACE in word[1:] for word in description["model"]["vocab"])
        if not (crossed and steps[0].get("split", True)):
            return bool(steps[0].get("prepend_scheme") != "never")
    raise no_such_tokenizer()


def no_such_tokenizer() -> ModelError:
    return ModelError("GGUF has no such tokenizer", where="tokenizer.json", expected="byte-level BPE, or SentencePiece's")


def add_sentencepiece(writer: Any, model: Mapping[str, Any], names: list[str], kinds: list[int]) -> None:
    """llama.cpp merges the pair whose result scores highest: minus the rank of the first merge that gives it."""
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(model["merges"]):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        ranks.setdefault(left + right, rank)
    last, known = float(len(ranks)), set(names)
    for id, name in enumerate(names):
        if HEXADECIMAL.fullmatch(name):
            kinds[id] = BYTE
        elif name == model.get("unk_token"):
            kinds[id] = UNKNOWN
        if name not in ranks and any(name[:cut] in known and name[cut:] in known for cut in range(1, len(name))):
            raise ModelError(f"llama.cpp would read {name} as one token, which no merge makes", where="tokenizer.json", hint=HINT)
    if kinds.count(BYTE) != 256:
        raise no_such_tokenizer()
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(names)
    writer.add_token_scores([-float(ranks[name]) if name in ranks else -last for name in names])
    writer.add_token_types(kinds)


def split_name(description: Mapping[str, Any]) -> str:
    """What llama.cpp calls the split of a byte-level tokenizer."""
    steps, model = parts_of(description.get("pre_tokenizer"), "pretokenizers"), description["model"]
    normalizers = {step.get("type") for step in parts_of(description.get("normalizer"), "normalizers")}
    kinds = [step.get("type") for step in steps]
    if model["type"] != "BPE" or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix") or normalizers - {"NFC"}:
        raise no_such_tokenizer()
    if kinds[-1:] != ["ByteLevel"] or steps[-1].get("add_prefix_space"):
        raise no_such_tokenizer()
    if not model["merges"]:
        raise ModelError("llama.cpp takes no tokenizer without merges", where="tokenizer.json", hint=HINT)
    found, splits = None, steps[-1].get("use_regex", True)  # as GPT-2 does
    if kinds == ["ByteLevel"] and splits:
        found = "gpt-2"
    elif kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and splits:
        found = "smollm"
    elif kinds == ["Split", "ByteLevel"] and not splits and (steps[0].get("behavior"), steps[0].get("invert")) == ("Isolated", False):
        found = SPLITS.get(steps[0]["pattern"].get("Regex", ""))
    if found is None:
        raise ModelError("llama.cpp has no name for this split", where="tokenizer.json: pre_tokenizer", hint=HINT)
    if bool(model.get("ignore_merges")) != (found == "llama-bpe") and (word := without_merge(description)):
        message = f"llama.cpp reads {word}, a word that no merge makes, in another way under the split {found}"
        raise ModelError(message, where="tokenizer.json", hint=HINT)
    return found


def without_merge(description: Mapping[str, Any]) -> str | None:
    """A word of the vocabulary that can only be taken whole, if there is one."""
    model = description["model"]
    made = {merge.replace(" ", "") if isinstance(merge, str) else "".join(merge) for merge in model["merges"]}
    made |= {token["content"] for token in description["added_tokens"]}
    return next((word for word in model["vocab"] if len(word) > 1 and word not in made), None)
