"""Bytes of tokens in, text that may be shown out: whole characters only, and nothing that may yet become a stop string.

A token may end in the middle of a character: its bytes wait for the rest. Bytes that can never become a character turn into
U+FFFD, as `bytes.decode(errors="replace")` does; so does a character that is still incomplete when the stream ends.
"""

import codecs
from collections.abc import Sequence


class TextStream:
    """Pieces of text whose concatenation is `text`, the same however the bytes were cut.

    The text ends before the stop string that is complete first; of several complete at the same character, the longest.

    >>> stream = TextStream(stop=["END"])
    >>> [stream.feed(data) for data in ("新E".encode()[:2], "新E".encode()[2:], b"ND of it")]
    ['', '新', '']
    >>> stream.stopped, stream.text
    (True, '新')
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self.text = ""  # all pieces so far
        self.stopped = False  # by a stop string: whatever comes after it is ignored
        self._stop = tuple(stop)
        self._held = ""  # characters that are perhaps the beginning of a stop string
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, data: bytes) -> str:
        """The text that these bytes make certain; often empty."""
        return self._advance(self._decoder.decode(data))

    def finish(self) -> str:
        """What was held back, now that nothing more comes."""
        piece = self._advance(self._decoder.decode(b"", final=True))
        rest, self._held = self._held, ""
        self.text += rest
        return piece + rest

    def _advance(self, characters: str) -> str:
        """The next piece, after `characters` were decoded."""
        if self.stopped:
            return ""
        self._held += characters
        found = [(self._held.index(stop) + len(stop), self._held.index(stop)) for stop in self._stop if stop in self._held]
        if found:
            self.stopped = True
            piece, self._held = self._held[: min(found)[1]], ""
        else:
            certain = len(self._held) - max((overlap(self._held, stop) for stop in self._stop), default=0)
            piece, self._held = self._held[:certain], self._held[certain:]
        self.text += piece
        return piece


def overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` are a beginning of `stop`, but not all of it.

    >>> overlap("one\\n", "\\n\\n"), overlap("one", "\\n\\n")
    (1, 0)
    """
    longest = min(len(text), len(stop) - 1)
    return next((length for length in range(longest, 0, -1) if text.endswith(stop[:length])), 0)
