import re
import sys

import pytest
import tiktoken
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Regex, normalizers
from tokens.examples import TEXTS, TRICKY, all_pairs, trained

from newleaf.tokens.pieces import BLANK, NEWLINE, WHITE, pieces, set_blanks_apart

EVERY = "".join(chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)
# without most of the long blocks of one class: ideographs, Hangul, private use, nothing at all
VARIED = "".join(c for c in EVERY if ord(c) < 0x3100 or 0xA000 <= ord(c) < 0xAC00 or 0xF900 <= ord(c) < 0x17000 or ord(c) % 97 == 0)


def in_oniguruma(pattern: str) -> str:
    """The code points of a class, in order."""
    others = set(normalizers.Replace(Regex(pattern), "").normalize_str(EVERY))
    return "".join(c for c in EVERY if c not in others)


def in_fancy_regex(pattern: str) -> str:
    encoding = tiktoken.Encoding("class", pat_str=pattern, mergeable_ranks={bytes([b]): b for b in range(256)}, special_tokens={})
    return encoding.decode(encoding.encode_ordinary(EVERY))  # tiktoken drops what its pattern does not match


@pytest.mark.parametrize("pattern", [r"\p{L}", r"\p{N}", r"[^\r\n\p{L}\p{N}]", rf"[^{WHITE}\p{{L}}\p{{N}}]"])
def test_both_engines_put_every_code_point_in_the_same_class(pattern: str) -> None:
    assert in_oniguruma(pattern) == in_fancy_regex(pattern) != ""


def test_the_list_of_white_space_is_what_unicode_and_both_engines_mean_by_it() -> None:
    listed = in_oniguruma(f"[{WHITE}]")
    assert len(listed) == 25
    assert listed == in_oniguruma(r"\s") == in_fancy_regex(r"\s") == in_fancy_regex(f"[{WHITE}]")
    assert listed == "".join(re.findall(f"[{BLANK}]|[{NEWLINE}]", EVERY))


@pytest.mark.parametrize("characters", [pytest.param(VARIED, id="varied"), pytest.param(EVERY, id="every", marks=pytest.mark.campaign)])
def test_both_engines_split_alike_around_every_code_point(characters: str) -> None:
    """Alone, doubled, after a space, before and after a letter, a digit, a sign, an apostrophe and a line end."""
    tokenizer = all_pairs()
    for start in range(0, len(characters), 20_000):
        for context in ("{0}{0} {0}a{0}\n", "{0}\n{0}'{0} 1{0}.{0}"):
            text = "".join(context.format(c) for c in characters[start : start + 20_000])
            assert tokenizer.encode(text) == tokenizer.encode_slowly(text)


@given(TEXTS, st.integers(1, 9))
@example("汉。字，a .b\n.\n\nc", 1)
def test_ids_of_the_pieces_are_the_ids_of_the_text(text: str, size: int) -> None:
    parts = list(pieces(text, size))
    assert "".join(parts) == text
    assert all(parts)
    for tokenizer in (trained(), all_pairs()):
        assert [id for part in parts for id in tokenizer.encode_slowly(part)] == tokenizer.encode_slowly(text)


@given(TEXTS, st.integers(2, 4))
@example("!\n  \n   x   \n   ", 2)
def test_ids_are_the_same_with_blanks_set_apart(text: str, length: int) -> None:
    parts = list(set_blanks_apart(text, length))
    assert "".join(part for part, _ in parts) == text
    for tokenizer in (trained(), all_pairs()):
        assert [id for part, _ in parts for id in tokenizer.encode_slowly(part)] == tokenizer.encode_slowly(text)
    for part, is_word in parts:
        assert not is_word or re.fullmatch(f"[{BLANK}]+", part)


def test_ordinary_text_is_cut_into_pieces_of_about_the_size() -> None:
    text = TRICKY["Chinese"] * 100 + "to be, or not to be; " * 100
    assert max(map(len, pieces(text, 100))) < 130
