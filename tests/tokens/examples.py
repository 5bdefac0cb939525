"""Text and vocabularies that several tests use."""

import argparse
import tokenize
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from newleaf.tokens.interface import byte_letters
from newleaf.tokens.tokenizer import SPECIAL_TOKENS, Tokenizer

CHINESE = (
    "芳林新叶催陈叶，流水前波让后波。\n朱雀桥边野草花，乌衣巷口夕阳斜。\n旧时王谢堂前燕，飞入寻常百姓家。\n"
    "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少？\n「白日依山尽，黄河入海流。欲穷千里目，更上一层楼。」\n"
)
TRICKY = {
    "empty": "",
    "NUL": "a\0b\0\0",
    "emoji": "👩‍👩‍👧‍👦 🏳️‍🌈🇨🇳 ok🙂🙂",
    "combining": "e\u0301\u0301 क्षि ก็ x\u0308\u0332y",
    "right to left": "\u202eabc\u202c שלום مرحبا ١٢٣",
    "line ends": "a\r\nb\rc\n\r\n \r\n\t\n d \n",
    "white of all kinds": "\t\v\f \x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000.\x1c\x1d\x1e\x1f\u180e\u200b\ufeff",
    "apostrophes": "it's IT'S 'LL'll ''s 'ſ 'sſ don’t 'd'Re'vE'm't",
    "digits": "3.14159 ٣ Ⅷ ² 1e10 二〇二六 １２",
    "Chinese": CHINESE,
    "special tokens": "<|endoftext|><|im_start|>user\n<|im_end|> <|pad|>x<|reserved_0|>",
    "last code points": "\ud7ff\ue000\uffff\U0010ffff",
    "a million spaces": " " * 1_000_000,
    "a million spaces and a word": " " * 1_000_000 + "x",
    "a million a": "a" * 1_000_000,
    "a million line ends": "\n" * 1_000_000,
    "a million 汉": "汉" * 1_000_000,
    "blanks of two kinds between lines": "!\n\r" + " \u3000" * 100_000 + "\n" + "\t" * 100_100 + "?",
}
FRAGMENTS = [
    *" \t\n\r'.,!-_/<>|#aZsSé汉字。，「079²ſ\0\v\x85\xa0\u1680\u2028\u3000\u180e\u200b\u200d\ufeff\u0301\u0308\u202e",
    *("  ", "    ", "\n\n", "\r\n", "\n ", " \n", "'s", "'S", "'re", "'LL", "'ve ", "to be", " be", "汉字", "，汉", "２"),
    *("🙂", "👩‍👩‍👧‍👦", "🇨🇳", "e\u0301", "שלום", "مرحبا", "क्षि", "ก็", "<|endoftext|>", "<|pad|>", "def f(x):\n    return"),
]
TEXTS = st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.characters(exclude_categories=["Cs"])), max_size=40).map("".join)


def seeds(number: int) -> list[Any]:
    """Seeds for a test that runs a twentieth of its `number` each time and the rest in the campaign."""
    return [*range(number // 20), *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(number // 20, number))]


def source() -> str:
    """Some 200 KB of Python and Chinese that every machine has."""
    return "".join(Path(module.__file__ or "").read_text("utf-8") for module in (argparse, tokenize)) + CHINESE * 20


@cache
def trained() -> Tokenizer:
    """A vocabulary learned from source code, Chinese and long white space."""
    return Tokenizer.train([source(), *(TRICKY["blanks of two kinds between lines"][:9000], "👩‍👩‍👧‍👦 e\u0301 " * 9)], 1024)


@cache
def bytes_alone() -> Tokenizer:
    return Tokenizer(SPECIAL_TOKENS, [])


@cache
def all_pairs() -> Tokenizer:
    """Every two bytes are a token, so that where words begin and end shows in the ids of any text; more than 65,536 tokens."""
    letters = sorted(byte_letters())
    return Tokenizer(SPECIAL_TOKENS, [(left, right) for left in letters for right in letters])


TOKENIZERS = {"trained": trained, "bytes": bytes_alone, "pairs": all_pairs}
