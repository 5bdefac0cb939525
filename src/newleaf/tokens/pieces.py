"""The split that no token crosses, and the places where text can be cut without changing its ids.

`PATTERN` splits text into words; tokens are merged inside words only. It is the split that GGUF files call "qwen2": a word
is letters with at most one other sign before them, one digit, a run of other signs, or white space. Two engines read it,
Oniguruma (in `tokenizers`) and fancy-regex (in `tiktoken`), so it spells out what they could understand differently: no
flags for case, and white space as a list. What needs no look-ahead stands in one group, which fancy-regex then runs as one
automaton: English and code are encoded a fifth faster (`split_ratio` in lab/bench/tokens.py).

The rest of this file is about size. Text is encoded in pieces of bounded length, several at once; and fancy-regex gives up
on a million blanks in a row, with an exception that `except Exception` does not catch, so these are set apart.
"""

import re
from collections.abc import Iterator

NEWLINE = r"\n\r"
BLANK = r"\t\v\f \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
WHITE = BLANK + NEWLINE  # Unicode's White_Space: what \s means in both engines and in llama.cpp, but not in Python

PATTERN = (
    r"(?:'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}"
    rf"| ?[^{WHITE}\p{{L}}\p{{N}}]+[\r\n]*"
    rf"|[{WHITE}]*[\r\n]+)"
    rf"|[{WHITE}]+(?![^{WHITE}])"
    rf"|[{WHITE}]+"
)

# Places inside no word, whatever stands around them: a sign or letter before a blank (only line ends follow them in a word),
# a line end before what is not white (it ends the word), a letter before a sign (Chinese may go on for pages without blanks).
BORDER = re.compile(
    f"(?<=[^{WHITE}])(?=[{BLANK}])"
    f"|(?<=[{NEWLINE}])(?=[^{WHITE}])"
    "|(?<=[\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5])(?=[、。，；：？！])"
)  # fmt: skip


def pieces(text: str, size: int) -> Iterator[str]:
    """`text` in pieces of `size` characters or a few more, cut where the ids of the pieces are the ids of the text.

    Text without such a place stays in one piece, however long.

    >>> list(pieces("to be, or not to be", size=5))
    ['to be,', ' or not', ' to be']
    """
    start = 0
    while border := BORDER.search(text, start + size):
        yield text[start : border.start()]
        start = border.start()
    if start < len(text):
        yield text[start:]


def set_blanks_apart(text: str, length: int) -> Iterator[tuple[str, bool]]:
    """(part, is one word) for parts that join to `text`: runs of `length` blanks and more are words, found without look-ahead.

    Such a word begins where the run begins, since what stands before (a line end or what is not white) never takes a blank
    along. It ends with the text, or else one blank early: the last blank belongs to what follows. A run before a line end is
    not set apart: it is part of a word that needs no look-ahead.

    >>> list(set_blanks_apart("to be,     or not", length=4))
    [('to be,', False), ('    ', True), (' or not', False)]
    """
    start = 0
    for run in re.finditer(f"(?<![{BLANK}])[{BLANK}]{{{length},}}+(?![{NEWLINE}])", text):  # possessive: a shorter run would be wrong
        end = run.end() if run.end() == len(text) else run.end() - 1
        yield text[start : run.start()], False
        yield text[run.start() : end], True
        start = end
    yield text[start:], False
