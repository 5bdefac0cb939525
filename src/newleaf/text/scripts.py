"""Text in, how many letters of each script out, for the report: what was this text written in?

A table gives each code point its script, so that a million characters take some milliseconds. Spaces, punctuation and symbols
belong to none.
"""

from functools import cache

import numpy as np

SCRIPTS = ("", "latin", "han", "kana", "hangul", "cyrillic", "other", "digits")
RANGES = {  # first and last code point
    "digits": ((0x30, 0x39), (0xFF10, 0xFF19)),
    "latin": ((0x41, 0x5A), (0x61, 0x7A), (0xAA, 0xAA), (0xBA, 0xBA), (0xC0, 0x24F), (0x1E00, 0x1EFF), (0xFF21, 0xFF3A), (0xFF41, 0xFF5A)),
    "han": ((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),
    "kana": ((0x3041, 0x309F), (0x30A1, 0x30FA), (0x30FC, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F)),
    "hangul": ((0x1100, 0x11FF), (0x3131, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xFFA0, 0xFFDC)),
    "cyrillic": ((0x400, 0x52F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF), (0xA640, 0xA69F)),
    "other": ((0x250, 0x2AF), (0x370, 0x3FF), (0x530, 0x10FF), (0x1200, 0x1C7F), (0x1C90, 0x1DFF), (0x1F00, 0x1FFF), (0x2C00, 0x2DDF)),
    "": ((0xD7, 0xD7), (0xF7, 0xF7)),
}
CHUNK = 1 << 20  # characters at once


@cache
def table() -> np.ndarray:
    """(0x110000,) the number of each code point's script."""
    result = np.zeros(0x110000, dtype=np.uint8)
    for script, ranges in RANGES.items():
        for first, last in ranges:
            result[first : last + 1] = SCRIPTS.index(script)
    return result


class ScriptCounter:
    """Counts the letters of many texts, short ones in groups.

    >>> counter = ScriptCounter()
    >>> counter.add("GPT 是新叶, 2026!")
    >>> counter.counts()
    {'latin': 3, 'han': 3, 'kana': 0, 'hangul': 0, 'cyrillic': 0, 'other': 0, 'digits': 4}
    """

    def __init__(self) -> None:
        self._totals = np.zeros(len(SCRIPTS), dtype=np.int64)
        self._waiting: list[str] = []
        self._num_waiting = 0

    def add(self, text: str) -> None:
        """Count one text."""
        self._waiting.append(text)
        self._num_waiting += len(text)
        if self._num_waiting >= CHUNK:
            self._count()

    def counts(self) -> dict[str, int]:
        """Letters by script."""
        self._count()
        return {script: int(total) for script, total in zip(SCRIPTS, self._totals, strict=True) if script}

    def _count(self) -> None:
        text, self._waiting, self._num_waiting = "".join(self._waiting), [], 0
        for start in range(0, len(text), CHUNK):
            codes = np.frombuffer(text[start : start + CHUNK].encode("utf-32-le"), dtype="<u4")
            self._totals += np.bincount(table()[codes], minlength=len(SCRIPTS))
