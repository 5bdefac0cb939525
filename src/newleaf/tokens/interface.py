"""What the rest asks of a tokenizer, whoever made it: text to ids, ids to text, and what each token stands for."""

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from newleaf.errors import ModelError, TextError


class AnyTokenizer(ABC):
    """A vocabulary. Text is encoded as plain text: the name of a special token in it becomes the tokens of its characters."""

    special_tokens: Mapping[str, int]
    end_of_text: int  # the id that stands before, between and after documents
    chat_template: str | None = None  # Jinja
    named_tokens: Mapping[str, str] = MappingProxyType({})  # {"bos_token": name, …}, for the template

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """The ids of a text. TextError on half a character (a lone surrogate)."""

    @abstractmethod
    def prompt(self, text: str) -> list[int]:
        """The ids that a model reads for a prompt, at least one."""

    @abstractmethod
    def pieces(self, document: str) -> Iterator[str]:
        """A document in parts whose ids, one behind the other, are its ids."""

    @abstractmethod
    def save(self, folder: Path, model_max_length: int | None = None) -> dict[str, str]:
        """Write tokenizer.json and what belongs to it; returns their sha256 by name. `model_max_length` is the context."""

    @abstractmethod
    def with_template(self, template: str) -> "AnyTokenizer":
        """The same vocabulary with another chat template, which `save` writes, too."""

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """The content of tokenizer.json."""

    @property
    @abstractmethod
    def bytes_of(self) -> Mapping[int, bytes]:
        """{id: what it stands for, which may be a part of a character}."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """One more than the largest id; a model may have more rows than this."""

    @abstractmethod
    def is_special(self, id: int) -> bool:
        """Whether `id` stands for no text but for a mark: end of text, a turn of a chat, padding."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type that holds every id: uint16 up to 65,536 tokens."""
        return np.dtype(np.uint16 if self.vocab_size <= 65_536 else np.uint32)

    def encode_array(self, text: str) -> npt.NDArray[Any]:
        """(N,) the ids of a text in the smallest type."""
        return np.frombuffer(array("I", self.encode(text)), np.uintc).astype(self.dtype)  # a third of the time of np.array

    def encode_batch(self, texts: Iterable[str], threads: int) -> list[npt.NDArray[Any]]:
        """The ids of each text, several texts at a time."""
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self.encode_array, texts))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; bytes that are no whole character become U+FFFD. Special tokens show as their names."""
        return self.decode_bytes(ids).decode("utf-8", errors="replace")

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of `ids`, one token behind the other."""
        return b"".join(map(self.token_bytes, ids))

    def token_bytes(self, id: int) -> bytes:
        """What one token stands for, which may be a part of a character. ModelError for an id that there is not."""
        try:
            return self.bytes_of[id]
        except KeyError:
            raise ModelError(f"token id {id} is outside the vocabulary", expected=f"0 to {self.vocab_size - 1:,}") from None

    def byte_lengths(self) -> npt.NDArray[np.int64]:
        """(V,) how many bytes of text each token stands for; 0 for special ones and for ids that there are not."""
        lengths = np.zeros(self.vocab_size, np.int64)
        for id, spelling in self.bytes_of.items():
            lengths[id] = 0 if self.is_special(id) else len(spelling)
        return lengths


def labelled_ids(tokenizer: AnyTokenizer, texts: Sequence[str], context: int | None = None) -> list[int]:
    """What a model that classifies reads of one text or two, as transformers would encode it; of what is too long the beginning, and of
    two texts each keeps half of the context."""
    first, second = tokenizer.prompt(texts[0]), [id for text in texts[1:] for id in tokenizer.encode(f"\n{text}")]
    if context is None:
        return first + second
    return (first[: max(context // 2, context - len(second))] + second)[:context]


def require_whole_characters(text: str) -> None:
    """TextError where `text` cannot be written as UTF-8: Python strings may hold halves of characters."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TextError(
            f"the text holds half a character (a lone surrogate, U+{ord(text[error.start]):04X})",
            expected="text that can be written as UTF-8",
            hint="read the file with its own encoding, or leave this character out",
        ) from None


def byte_letters() -> dict[str, int]:
    """The letter that stands for each byte in a byte-level tokenizer.json: itself where it can be printed, else one from U+0100 on.

    >>> letters = byte_letters()
    >>> len(letters), letters["a"], letters["Ġ"]
    (256, 97, 32)
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted(set(range(256)) - set(printable))
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}
