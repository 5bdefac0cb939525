"""The baselines against slow twins, and against the tool whose name one of them bears."""

import lzma
import math
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newleaf.evaluation.baselines import BYTES_PER_SECOND, SHARE_OF_BUDGET, baseline_bytes, baselines, fivegram, unigram, xz

PROSE = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife. " * 7
).encode()
POEM = "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。红豆生南国，春来发几枝。愿君多采撷，此物最相思。".encode() * 5
SEEN_TEXT = PROSE + POEM + bytes(range(256))
NEW_TEXT = b"A truth is universally acknowledged in spring. " + "花落知多少，愿君多采撷。".encode() + b"\x00\xff\xff\xff"

few_values = st.lists(st.sampled_from(b"ab\x00\xff"), max_size=60).map(bytes)


def fivegram_slowly(training: bytes, held_out: bytes) -> float:
    """The formula as it is written, by counting through the text for each byte."""
    windows = [training[start : start + 5] for start in range(len(training) - 4)]
    text = training[-4:].rjust(4, b"\0") + held_out

    def probability(known: bytes, byte: int) -> float:
        seen = [window[len(known)] for window in windows if window.startswith(known)]
        shorter = probability(known[1:], byte) if known else 1 / 256
        return (seen.count(byte) + len(set(seen)) * shorter) / (len(seen) + len(set(seen))) if seen else shorter

    return -sum(math.log2(probability(text[at - 4 : at], text[at])) for at in range(4, len(text))) / len(held_out)


@settings(max_examples=60)
@given(few_values, few_values.filter(len))
def test_fivegram_equals_its_slow_twin_on_any_bytes(training: bytes, held_out: bytes) -> None:
    assert fivegram(training, held_out) == pytest.approx(fivegram_slowly(training, held_out), rel=1e-12)


def test_fivegram_equals_its_slow_twin_on_text() -> None:
    assert fivegram(SEEN_TEXT, NEW_TEXT) == pytest.approx(fivegram_slowly(SEEN_TEXT, NEW_TEXT), rel=1e-12)


@pytest.mark.parametrize("known", [b"abcd", b"zzzz", b"ab"])
def test_fivegram_probabilities_of_all_bytes_sum_to_one(known: bytes) -> None:
    training = PROSE[:300] + known
    total = sum(2 ** -fivegram(training, bytes([byte])) for byte in range(256))
    assert total == pytest.approx(1, abs=1e-9)


def test_unigram_is_add_one_over_256_values() -> None:
    expected = -(math.log2(3 / 259) + math.log2(1 / 259)) / 2
    assert unigram(b"aab", b"az") == pytest.approx(expected)


def test_xz_is_what_the_held_out_text_adds() -> None:
    grown, alone = (len(lzma.compress(text, preset=6)) for text in (SEEN_TEXT + NEW_TEXT, SEEN_TEXT))
    assert xz(SEEN_TEXT, NEW_TEXT) == 8 * (grown - alone) / len(NEW_TEXT)


@pytest.mark.skipif(shutil.which("xz") is None, reason="the xz program is not installed")
def test_xz_equals_the_xz_program() -> None:
    texts = (SEEN_TEXT + NEW_TEXT, SEEN_TEXT)
    grown, alone = (len(subprocess.run(["xz", "-6", "-T1", "-c"], input=text, capture_output=True, check=True).stdout) for text in texts)
    assert xz(SEEN_TEXT, NEW_TEXT) == 8 * (grown - alone) / len(NEW_TEXT)


def test_each_baseline_knows_more_than_the_one_before() -> None:
    figures = baselines(PROSE * 3, PROSE[: len(PROSE) // 7])
    assert list(figures) == ["uniform", "unigram", "fivegram", "xz"]
    assert figures["uniform"] == 8 > figures["unigram"] > figures["fivegram"] > 0


def test_only_the_tail_of_the_training_text_counts() -> None:
    noise = np.random.default_rng(0).integers(256, size=5000, dtype=np.uint8).tobytes()
    assert baselines(noise + SEEN_TEXT, NEW_TEXT, len(SEEN_TEXT)) == baselines(SEEN_TEXT, NEW_TEXT)


@pytest.mark.parametrize("training", [b"", b"a", b"abc", b"abcd", b"abcde"])
def test_little_training_text_is_enough_for_a_figure(training: bytes) -> None:
    assert all(math.isfinite(value) for value in baselines(training, b"hello").values())


def test_without_training_text_every_byte_costs_eight_bits() -> None:
    assert unigram(b"", NEW_TEXT) == fivegram(b"", NEW_TEXT) == 8


def test_no_held_out_text_is_refused() -> None:
    with pytest.raises(ValueError, match="held-out"):
        baselines(PROSE, b"")


@pytest.mark.parametrize("minutes", [1, 2, 5, 10, 60, 600])
def test_bytes_to_read_fit_two_percent_of_the_budget(minutes: float) -> None:
    held_out = 256_000 if minutes <= 10 else 2_000_000
    tail = baseline_bytes(minutes, held_out)
    assert tail <= 4_000_000
    assert (2 * tail + held_out) / BYTES_PER_SECOND <= SHARE_OF_BUDGET * 60 * minutes


def test_without_a_clock_sizes_depend_on_bytes_alone() -> None:
    assert baseline_bytes(None) == 4_000_000
