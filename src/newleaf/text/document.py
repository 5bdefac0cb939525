"""What reading gives: documents, and a word about everything that did not become one."""

from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Document:
    """One text, decoded: no byte order mark, line feeds for CRLF, nothing else changed."""

    text: str
    source: str  # where it is from, for people: "poems/a.txt", "poems.jsonl:12"


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that was left out."""

    source: str
    reason: str  # "not text", "broken JSON: line 3 …": what it is stands before the colon
    count: int = 1  # more than one only for the rows of one file beyond those named one by one


CHANGED = "changed while it was being read"  # a reason: text is read several times, and must be the same each time


@dataclass(frozen=True, slots=True)
class Repaired:
    """Something that was read although it was damaged, and what had to be mended."""

    source: str
    repair: str
    count: int = 1  # as in Skipped


def content_hash(data: bytes) -> int:
    """64 bits of BLAKE2b."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def hexadecimal(key: int) -> str:
    """A hash as it is written."""
    return f"{key:016x}"
