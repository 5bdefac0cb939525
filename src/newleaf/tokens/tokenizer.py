"""Text in, token ids out, and back without loss: byte-level BPE, learned from the user's own text.

Two encoders hold the same vocabulary. `tokenizers` trains it and reads tokenizer.json, the file of record that other tools
load; `tiktoken` encodes some eight times faster. Ids stand in one order: special tokens, the 256 bytes, then one token a
merge, so an id is also the rank of its merge and tiktoken's table follows from the merges. That both merge alike is no
accident: between two places that no earlier merge crossed, merging in order of rank always runs the same way, so a token is
only ever made from the two parts that made it in training.

Text is always encoded as plain text: "<|endoftext|>" in a document becomes the tokens of its 13 characters, never id 0.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import tiktoken
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from newleaf import fsio
from newleaf.errors import ModelError
from newleaf.tokens.interface import AnyTokenizer, byte_letters, require_whole_characters
from newleaf.tokens.pieces import PATTERN, pieces, set_blanks_apart

END_OF_TEXT = "<|endoftext|>"
PADDING = "<|pad|>"
TEMPLATE = "chat_template.jinja"
RESERVED = tuple(f"<|reserved_{number}|>" for number in range(4))
SPECIAL_TOKENS = (END_OF_TEXT, "<|im_start|>", "<|im_end|>", PADDING, *RESERVED)  # ids from 0 in this order

MAX_TOKEN_BYTES = 16  # keeps clauses of Chinese from becoming tokens; costs 0 to 0.7 % in bytes per token (5 MB each of four texts)
PIECE = 1 << 16  # characters encoded at once
LONG_RUN = 100_000  # blanks; fancy-regex fails from 999,999 in a row
TRAINING_PIECE = 1 << 9  # characters; the trainer takes quadratic time in the length of a word


class Tokenizer(AnyTokenizer):
    """A vocabulary with both its encoders.

    >>> tokenizer = Tokenizer.train(["to be, or not to be"] * 9, vocab_size=320)
    >>> ids = tokenizer.encode("not to be")
    >>> tokenizer.decode(ids), [tokenizer.token_bytes(id) for id in ids]
    ('not to be', [b'no', b't', b' to', b' be'])
    """

    def __init__(self, special: Sequence[str], merges: Sequence[Sequence[str]]) -> None:
        """`merges` in order of rank, each two names as tokenizer.json spells them; KeyError or ValueError where they make no sense."""
        self._merges = [(left, right) for left, right in merges]
        self.special_tokens = {name: id for id, name in enumerate(special)}
        self.end_of_text = self.special_tokens[END_OF_TEXT]
        letters = byte_letters()
        spellings = {letter: bytes([letters[letter]]) for letter in sorted(letters)}
        for left, right in self._merges:
            if left + right in spellings:
                raise ValueError(f"two merges make the token {left + right}")
            spellings[left + right] = spellings[left] + spellings[right]
        self._names = [*special, *spellings]
        self._bytes = dict(enumerate([*(name.encode() for name in special), *spellings.values()]))
        self._ranks = {spelling: id for id, spelling in enumerate(spellings.values(), start=len(special))}
        self._fast = tiktoken.Encoding("newleaf", pat_str=PATTERN, mergeable_ranks=self._ranks, special_tokens={})

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> "Tokenizer":
        """Learn a vocabulary, the same on every machine; smaller than `vocab_size` where the text has no more to merge."""
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=sorted(byte_letters()),
            max_token_length=MAX_TOKEN_BYTES + 1,  # tokens stay below it
            show_progress=False,
        )
        model = tokenizers.Tokenizer(models.BPE())
        split = pre_tokenizers.Split(tokenizers.Regex(PATTERN), behavior="isolated")
        model.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        with one_thread():
            model.train_from_iterator(training_pieces(texts), trainer)
        return cls(SPECIAL_TOKENS, json.loads(model.to_str())["model"]["merges"])

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """The tokenizer of a run; ModelError where tokenizer.json says anything that `save` would not have written."""
        path = folder / "tokenizer.json"
        try:
            document = json.loads(path.read_bytes())
            tokenizer = cls([token["content"] for token in document["added_tokens"]], document["model"]["merges"])
            known = document == tokenizer.as_json()
        except OSError as error:
            raise ModelError(f"{path} cannot be read: {error.strerror}", where=str(path), expected="the tokenizer of a model") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(f"{path} is damaged", where=str(path), expected="a tokenizer.json that newleaf wrote") from error
        template = folder / TEMPLATE
        tokenizer.chat_template = template.read_text("utf-8") if template.exists() else None
        if not known:
            raise ModelError(f"{path} is damaged or of another make", where=str(path), expected="a tokenizer.json that newleaf wrote")
        return tokenizer

    def save(self, folder: Path, model_max_length: int | None = None) -> dict[str, str]:
        """Write tokenizer.json and tokenizer_config.json; returns their sha256 by name. `model_max_length` is the context."""
        config: dict[str, Any] = {
            "tokenizer_class": "PreTrainedTokenizerFast",  # read alike by transformers 4 and 5; 5's own name is unknown to 4
            "eos_token": END_OF_TEXT,
            "pad_token": PADDING,
            "clean_up_tokenization_spaces": False,
        }
        if model_max_length is not None:
            config["model_max_length"] = model_max_length
        template = {} if self.chat_template is None else {TEMPLATE: fsio.write_text(folder / TEMPLATE, self.chat_template)}
        return template | {
            "tokenizer.json": fsio.write_json(folder / "tokenizer.json", self.as_json()),
            "tokenizer_config.json": fsio.write_json(folder / "tokenizer_config.json", config),
        }

    def with_template(self, template: str) -> "Tokenizer":
        other = copy(self)
        other.chat_template = template
        return other

    def as_json(self) -> dict[str, Any]:
        """The content of tokenizer.json: all of it follows from the special tokens and the merges."""
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        split = {"type": "Split", "pattern": {"Regex": PATTERN}, "behavior": "Isolated", "invert": False}
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [{"id": id, "content": name} | flags for name, id in self.special_tokens.items()],
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
            "post_processor": None,
            "decoder": byte_level,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "ignore_merges": False,
                "vocab": {name: id for id, name in enumerate(self._names)},
                "merges": [list(merge) for merge in self._merges],
            },
        }

    @property
    def vocab_size(self) -> int:
        """The number of tokens there are; a model may have more rows than this."""
        return len(self.bytes_of)

    @property
    def bytes_of(self) -> Mapping[int, bytes]:
        return self._bytes

    def is_special(self, id: int) -> bool:
        return id < len(self.special_tokens)

    def prompt(self, text: str) -> list[int]:
        """The text as it is, nothing prepended; of an empty one, end-of-text."""
        return self.encode(text) or [self.end_of_text]

    def pieces(self, document: str) -> Iterator[str]:
        return pieces(document, PIECE)

    def encode(self, text: str) -> list[int]:
        """The ids of a text, in time that grows with its length only. TextError on half a character (a lone surrogate)."""
        parts: list[list[int]] = []
        for piece in pieces(text, PIECE):
            require_whole_characters(piece)
            if len(piece) < LONG_RUN:
                parts.append(self._fast.encode_ordinary(piece))
            else:
                parts += [
                    (self._word if is_word else self._fast).encode_ordinary(part) for part, is_word in set_blanks_apart(piece, LONG_RUN)
                ]
        return parts[0] if len(parts) == 1 else list(chain.from_iterable(parts))

    def encode_slowly(self, text: str) -> list[int]:
        """The twin of `encode`: the whole text at once through tokenizer.json. (It fails on ten million blanks in a row.)"""
        require_whole_characters(text)
        ids: list[int] = self._slow.encode(text, add_special_tokens=False).ids
        return ids

    @cached_property
    def _slow(self) -> tokenizers.Tokenizer:
        slow = tokenizers.Tokenizer.from_str(json.dumps(self.as_json()))
        slow.encode_special_tokens = True
        return slow

    @cached_property
    def _word(self) -> tiktoken.Encoding:
        """Takes its whole text for one word."""
        return tiktoken.Encoding("newleaf-word", pat_str=r"[\s\S]+", mergeable_ranks=self._ranks, special_tokens={})


def training_pieces(texts: Iterable[str]) -> Iterator[str]:
    """The texts in pieces for the trainer; a piece without a border is cut hard, which costs one word in thousands."""
    for text in texts:
        for piece in pieces(text, TRAINING_PIECE):
            require_whole_characters(piece)
            yield from (piece[start : start + 2 * TRAINING_PIECE] for start in range(0, len(piece), 2 * TRAINING_PIECE))


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep `tokenizers` to one thread; this variable is the one way to say so.

    Training on two takes twice the CPU time and no less wall time, and a process that forked after it would warn, or hang.
    """
    variable = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(variable)
    os.environ[variable] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before
