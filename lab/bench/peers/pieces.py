"""One long text in, documents for nanochat out: pieces of lines to learn a tokenizer from, then pieces that fill a row exactly."""

import random
from collections.abc import Iterator
from itertools import chain
from typing import Protocol

LONGEST = 8_000  # characters: tok_train reads no more than 10,000 of a document
COPIES = 4  # of the text, each cut at other places


class Encoding(Protocol):
    """What is used of tiktoken's."""

    def encode_ordinary(self, text: str) -> list[int]: ...

    def decode_bytes(self, tokens: list[int]) -> bytes: ...


def of_lines(text: str) -> Iterator[str]:
    """The whole text in pieces of whole lines.

    >>> [len(piece) for piece in of_lines("a line of text\\n" * 1000)]
    [8010, 6990]
    """
    piece, size = list[str](), 0
    for line in text.splitlines(keepends=True):
        piece.append(line)
        size += len(line)
        if size >= LONGEST:
            yield "".join(piece)
            piece, size = [], 0
    if piece:
        yield "".join(piece)


def of_tokens(encoding: Encoding, text: str, context: int) -> Iterator[str]:
    """The text four times over, the pieces of each time shuffled: `context` tokens each, which together with <|bos|> fill a row."""
    ids = encoding.encode_ordinary(text)
    shuffle = random.Random(0).shuffle
    copies = [list(exact(encoding, ids[copy * context // COPIES :], context)) for copy in range(COPIES)]
    for copy in copies:
        shuffle(copy)
    return chain.from_iterable(copies)


def exact(encoding: Encoding, ids: list[int], length: int) -> Iterator[str]:
    """Pieces that are `length` tokens when encoded alone; where one would not be (half a character, a word that merges otherwise), it
    begins a token later."""
    start = 0
    while start + length <= len(ids):
        piece = encoding.decode_bytes(ids[start : start + length]).decode("utf-8", errors="replace")
        if len(encoding.encode_ordinary(piece)) == length and "\N{REPLACEMENT CHARACTER}" not in piece:
            yield piece
            start += length
        else:
            start += 1
