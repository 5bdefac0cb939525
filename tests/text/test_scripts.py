"""Letters are counted by the script they belong to."""

import unicodedata

import pytest
from text.samples import ENGLISH, JAPANESE, KOREAN, RUSSIAN, SIMPLIFIED

from newleaf.text.scripts import CHUNK, SCRIPTS, ScriptCounter, table

BLOCKS = {
    "CJK UNIFIED": "han",
    "HANGUL": "hangul",
    "HIRAGANA LETTER": "kana",
    "KATAKANA LETTER": "kana",
    "CYRILLIC": "cyrillic",
    "LATIN": "latin",
}


def counts(*texts: str) -> dict[str, int]:
    counter = ScriptCounter()
    for text in texts:
        counter.add(text)
    return {script: count for script, count in counter.counts().items() if count}


@pytest.mark.parametrize(("text", "script"), [(ENGLISH, "latin"), (SIMPLIFIED, "han"), (KOREAN, "hangul"), (RUSSIAN, "cyrillic")])
def test_one_script(text: str, script: str) -> None:
    assert counts(text) == {script: sum(map(str.isalpha, text))}


def test_several_scripts() -> None:
    assert counts("GPT-4 是模型 №5, かな ΑΒ！１") == {"latin": 3, "digits": 3, "han": 3, "kana": 2, "other": 2}
    assert set(counts(JAPANESE)) == {"han", "kana"}
    assert counts("", " \n，。—×÷😀\0") == {}


def test_the_table_agrees_with_the_names_of_unicode() -> None:
    for code in (*range(0x2000), *range(0x3040, 0x3100), *range(0x4E00, 0x9FFF, 7), *range(0xAC00, 0xD7A4, 7)):
        name = unicodedata.name(chr(code), "")
        if chr(code).isalpha() and (block := next((block for block in BLOCKS if name.startswith(block)), None)):
            assert SCRIPTS[table()[code]] in (BLOCKS[block], "other"), f"{code:x} {name}"


def test_long_texts_and_many_short_ones_are_counted_in_full() -> None:
    assert counts("叶" * (CHUNK * 2 + 5), "x") == {"han": CHUNK * 2 + 5, "latin": 1}
    assert counts(*["叶x"] * 5000) == {"han": 5000, "latin": 5000}
