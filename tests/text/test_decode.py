"""Text comes back from every encoding that people have, and what is no text is not taken for it."""

import codecs
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from text.samples import BINARY, ENGLISH, FRENCH, GERMAN, JAPANESE, KOREAN, MIXED, RUSSIAN, SIMPLIFIED, TRADITIONAL

from newleaf.text.decode import NotText, decode, recognise

UNICODE = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
ENCODED = [(text, encoding) for text in (SIMPLIFIED, TRADITIONAL, MIXED, ENGLISH) for encoding in (*UNICODE, "gb18030")]
ENCODED += [(text, encoding) for text in (SIMPLIFIED, MIXED) for encoding in ("gbk", "gb2312")]
ENCODED += [(text, encoding) for text in (TRADITIONAL, ENGLISH) for encoding in ("big5", "cp950", "big5hkscs")]
ENCODED += [(GERMAN, "cp1252"), (FRENCH, "cp1252"), (KOREAN, "euc_kr"), (JAPANESE, "euc_jp"), (JAPANESE, "shift_jis"), (RUSSIAN, "cp1251")]


@pytest.mark.parametrize(("text", "encoding"), ENCODED, ids=[f"{text[:5]}-{encoding}" for text, encoding in ENCODED])
def test_decode_inverts_encode(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs", "Cc"]) | st.sampled_from("\n\t ")))
def test_every_text_comes_back_from_utf8(text: str) -> None:
    assume(not text.startswith(("\ufeff", "%PDF-", "PAR1")))
    assert decode(text.encode()) == text
    assert decode(codecs.BOM_UTF8 + text.encode()) == text


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r")), st.sampled_from(["utf-16", "utf-32"]))
def test_every_text_comes_back_from_marked_utf16(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@given(st.data(), st.sampled_from([(SIMPLIFIED, "gb18030"), (TRADITIONAL, "gb18030"), (TRADITIONAL, "big5")]))
def test_a_dozen_characters_of_chinese_are_enough(data: st.DataObject, sample: tuple[str, str]) -> None:
    text, encoding = sample
    start = data.draw(st.integers(0, len(text) - 12))
    piece = text[start : start + data.draw(st.integers(12, 60))]
    assert decode(piece.encode(encoding)) == piece


@given(st.data(), st.sampled_from([SIMPLIFIED, TRADITIONAL]), st.sampled_from(["utf-16-le", "utf-16-be"]))
def test_forty_characters_of_chinese_are_enough_in_utf16_without_a_mark(data: st.DataObject, text: str, encoding: str) -> None:
    start = data.draw(st.integers(0, len(text) - 40))
    piece = text[start : start + 40]
    assert decode(piece.encode(encoding)) == piece


@pytest.mark.parametrize("encoding", [*UNICODE, "gb18030"])
def test_crlf_becomes_a_line_feed_and_nothing_else_changes(encoding: str) -> None:
    text = SIMPLIFIED + "一\r\n二\r三\n\r四\r\r\n\t 五 \ufeff\u3000\n\n"
    assert decode(text.encode(encoding)) == text.replace("\r\n", "\n")


def test_one_byte_order_mark_is_removed_and_no_more() -> None:
    assert decode(codecs.BOM_UTF8 * 2 + b"abc") == "\ufeffabc"
    assert decode(codecs.BOM_UTF16_LE + codecs.BOM_UTF16_LE + "abc".encode("utf-16-le")) == "\ufeffabc"
    assert decode(b"\x84\x31\x95\x33" + SIMPLIFIED.encode("gb18030")) == SIMPLIFIED


@pytest.mark.parametrize("data", [b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE])
def test_nothing_is_the_empty_text(data: bytes) -> None:
    assert decode(data) == ""


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_file_cut_within_a_character_loses_only_that_character(encoding: str, missing: int) -> None:
    decoded = recognise((SIMPLIFIED + "叶𠀀").encode(encoding)[:-missing])
    assert decoded.text == SIMPLIFIED + "叶"
    assert decoded.repair == "cut off within its last character"


@given(st.integers(100, len(SIMPLIFIED.encode())))
def test_utf8_cut_anywhere_is_read_up_to_there(cut: int) -> None:
    data = SIMPLIFIED.encode()[:cut]
    assert decode(data) == data.decode(errors="ignore")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16-le"])
def test_a_few_damaged_bytes_are_marked_and_counted(encoding: str) -> None:
    damage = {"utf-8": b"\xff", "gb18030": b"\xff", "utf-16-le": b"\x00\xd8"}[encoding]
    data = (SIMPLIFIED * 2).encode(encoding) + damage + (SIMPLIFIED * 2).encode(encoding)
    decoded = recognise(data)
    assert decoded.text.replace("\ufffd", "") == SIMPLIFIED * 4
    assert decoded.repair == "1 damaged characters replaced by U+FFFD"


def test_replacement_characters_of_the_text_itself_are_no_damage() -> None:
    decoded = recognise((SIMPLIFIED + "\ufffd" * 3).encode() + "叶".encode()[:2])
    assert decoded.text == SIMPLIFIED + "\ufffd" * 3
    assert decoded.repair == "cut off within its last character"


@pytest.mark.parametrize("name", BINARY)
def test_binary_data_is_not_text(name: str) -> None:
    with pytest.raises(NotText, match="not text"):
        decode(BINARY[name])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("size", [40, 1000, 20_000])
def test_random_bytes_are_not_text(seed: int, size: int) -> None:
    with pytest.raises(NotText):
        decode(random.Random(seed).randbytes(size))


@given(st.binary(max_size=400))
def test_any_bytes_give_text_or_a_reason(data: bytes) -> None:
    try:
        decode(data).encode()
    except NotText as error:
        assert str(error).startswith("not text")


def test_korean_and_japanese_are_not_taken_for_chinese() -> None:
    assert {recognise(KOREAN.encode("euc_kr")).encoding, recognise(JAPANESE.encode("euc_jp")).encoding}.isdisjoint({"gb18030", "big5"})


def test_an_english_text_with_one_typographic_quote_is_windows_text() -> None:
    text = "It’s an ordinary text. " + ENGLISH * 20
    assert recognise(text.encode("cp1252")).text == text


def test_ascii_at_the_head_does_not_hide_the_encoding_behind_it() -> None:
    head = ENGLISH * 4000  # longer than the sample
    assert decode((head + TRADITIONAL).encode("big5")) == head + TRADITIONAL
    assert decode((head + SIMPLIFIED).encode("gb18030")) == head + SIMPLIFIED
