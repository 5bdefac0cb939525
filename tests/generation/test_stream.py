"""The streamed pieces are whole characters, hold no stop string, and together are the text."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from newleaf.generation.stream import TextStream

PIECES_OF_UTF8 = st.lists(
    st.sampled_from([b"a", b"b", b"\n", "新".encode(), "🌱".encode(), b"\xe6", b"\x96\xb0", b"\xff", b"\xf0\x9f", b"\x80"])
)
BYTES = st.binary(max_size=40) | PIECES_OF_UTF8.map(b"".join) | st.text(max_size=15).map(str.encode)
CUTS = st.lists(st.integers(0, 60), max_size=8)
STOPS = st.lists(st.text("ab\n新🌱\ufffd", min_size=1, max_size=4), max_size=3)


def pieces_of(data: bytes, cuts: list[int], stream: TextStream) -> list[str]:
    """The pieces of `data` fed in parts."""
    borders = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [stream.feed(data[start:end]) for start, end in pairwise(borders)] + [stream.finish()]


def before_first_stop(text: str, stops: list[str]) -> tuple[str, bool]:
    """The slow twin: grow the text by single characters until it ends with a stop string."""
    for end in range(len(text) + 1):
        matching = [stop for stop in stops if text[:end].endswith(stop)]
        if matching:
            return text[: end - max(map(len, matching))], True
    return text, False


@given(BYTES, CUTS)
def test_pieces_concatenate_to_what_decode_with_replacement_gives(data: bytes, cuts: list[int]) -> None:
    stream = TextStream()
    assert "".join(pieces_of(data, cuts, stream)) == stream.text == data.decode(errors="replace")
    assert not stream.stopped


@given(BYTES, CUTS, STOPS)
@example(b"ab" * 3, [1, 2, 3], ["ba\n", "aba"])
def test_text_ends_before_the_stop_string_that_is_complete_first_however_the_bytes_are_cut(
    data: bytes, cuts: list[int], stops: list[str]
) -> None:
    stream = TextStream(stops)
    text, stopped = before_first_stop(data.decode(errors="replace"), stops)
    assert "".join(pieces_of(data, cuts, stream)) == stream.text == text
    assert stream.stopped == stopped
    assert not any(stop in text for stop in stops)


@given(st.text(max_size=20))
def test_no_piece_of_valid_text_holds_a_replacement_character_of_its_own(text: str) -> None:
    stream = TextStream()
    pieces = [stream.feed(bytes([byte])) for byte in text.encode()]
    assert "".join(pieces) == text
    assert stream.finish() == ""


def test_each_character_is_given_out_by_its_last_byte() -> None:
    stream = TextStream()
    assert [stream.feed(bytes([byte])) for byte in "é新🌱".encode()] == ["", "é", "", "", "新", "", "", "", "🌱"]


def test_an_incomplete_character_at_the_end_becomes_one_replacement_character() -> None:
    stream = TextStream()
    assert [stream.feed("新叶".encode()[:5]), stream.finish()] == ["新", "\ufffd"]


def test_what_may_become_a_stop_string_waits_and_is_given_out_when_it_does_not() -> None:
    stream = TextStream(["\n\nQ:"])
    assert [stream.feed(data) for data in (b"yes\n", b"\n", b"Q", b".")] == ["yes", "", "", "\n\nQ."]


@pytest.mark.parametrize("rest", [b"", b" more", b"\n\nQ:"])
def test_nothing_comes_after_a_stop_string(rest: bytes) -> None:
    stream = TextStream(["\n\nQ:"])
    assert [stream.feed(b"yes\n\nQ: who"), stream.feed(rest), stream.finish()] == ["yes", "", ""]
