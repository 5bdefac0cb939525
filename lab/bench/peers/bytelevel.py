"""Byte-level BPE for peers without a trainer of their own: GPT-2's, from its files in NEWLEAF_DATA, or one learned from the text."""

from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from peers.texts import RaceError, data_folder


def gpt2() -> Tokenizer:
    """50,257 tokens, the last of which ends a text."""
    files = data_folder() / "gpt2-tokenizer"
    if not (files / "vocab.bpe").exists():
        raise RaceError("NEWLEAF_DATA has no gpt2-tokenizer/vocab.bpe and encoder.json: settings with vocab = 'gpt2' need them.")
    tokenizer = byte_level(models.BPE.from_file(str(files / "encoder.json"), str(files / "vocab.bpe")))
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def learned(text: Path, vocab: int) -> Tokenizer:
    """`vocab` tokens, learned from a file by the trainer of tokenizers."""
    tokenizer = byte_level(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=vocab, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train([str(text)], trainer)
    return tokenizer


def byte_level(model: models.BPE) -> Tokenizer:
    """The rest of GPT-2's tokenizer around a vocabulary."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def ids_of(tokenizer: Tokenizer, text: Path) -> np.ndarray:
    """A whole file as (N,) uint16."""
    return np.array(tokenizer.encode(text.read_text("utf-8")).ids, dtype=np.uint16)
