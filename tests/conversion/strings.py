"""Strings of every kind, for judges that encode them: what people write, and what breaks tokenizers."""

import random
import re
import unicodedata

from tokens.examples import FRAGMENTS

WORDS = ["The", "quick", "brown", "fox", "doesn't", "ITS", "river", "moon", "OnceUpon", "naïve", "café", "straße", "ﬁne", "İstanbul"]
WORDS += ["Ελλάδα", "Привет", "שלום", "नमस्ते", "한국어", "각"]
MIXED = [
    *FRAGMENTS,
    *WORDS,
    *(f" {word}" for word in WORDS),
    *("春眠不觉晓", "处处闻啼鸟。", "第1回", "……", "“天下大勢”", "こんにちは", "𠀀", "﨎", "㍿"),
    *(
        "for i in range(10):\n    x += i\n",
        "{'a': 1.5e-3}",
        "\tif (x != y) {\n\t\treturn;\n\t}\n",
        "https://a.b/c?d=e&f#g",
        "0x1F",
        "__init__",
    ),
    *("12345", "3.14159", "1,000,000", "٣٤", "Ⅷ", "½", "１２", "0"),
    *(
        "\x01",
        "\x07",
        "\x1b[0m",
        "\x7f",
        "\x1c\x1d\x1e\x1f",
        "\0",
        "\u2028",
        "\u2029",
        "\u200e",
        "\ufffd",
        "\ue000",
        "\ufffe",
        "\U0010ffff",
    ),
    *("\u0300\u0301", "x\u0332", "ก็", "क्षि", "👍🏽", "🏳️‍🌈", "𝒳"),
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>", "<unk>", "[INST]", "<0x0A>", "▁", "▁▁", "Ġ"),
    *("      ", "\n\n\n", " \n \n", "\r\n\r\n", "\t\t"),
]
LONGEST = 4096  # bytes


def varied(number: int, seed: int) -> list[str]:
    """`number` strings of 1 to some 100 fragments, each under 4 KB."""
    random_ = random.Random(seed)
    return [shortened(text(random_)) for _ in range(number)]


def text(random_: random.Random) -> str:
    pieces = (
        character(random_) if random_.random() < 0.05 else random_.choice(MIXED) for _ in range(random_.choice((1, 2, 5, 20, 60, 100)))
    )
    return "".join(pieces)


def character(random_: random.Random) -> str:
    """Any that Unicode 3.2 had, so that every library has it in its tables."""
    while True:
        found = chr(random_.randrange(1, 0x30000))
        if unicodedata.ucd_3_2_0.category(found) not in ("Cn", "Cs"):
            return found


def shortened(string: str) -> str:
    while len(string.encode()) >= LONGEST:
        string = string[: len(string) // 2]
    return string


def as_everybody_reads(strings: list[str]) -> list[str]:
    """Without what llama.cpp reads otherwise than the tokenizers of others: it composes no characters (NFC), and takes 'ſ for no 's."""
    return [unicodedata.normalize("NFC", re.sub("'+ſ+", "", string)) for string in strings]
