"""Where a text is cut in two: at a line near a given place, else between two characters. Texts are bytes of UTF-8."""


def tail_start(data: bytes) -> int:
    """Where the last tenth of a text begins: at the first line from there on that leaves text behind it, else at the last line within
    the last fifth, else between two characters. A text too short to be divided has no tail: its length.

    >>> tail_start(b"a line\\n" * 10), tail_start("新叶".encode() * 10), tail_start(b"ab")
    (63, 54, 2)
    """
    size = len(data)
    tenth, fifth = -(-size * 9 // 10), -(-size * 4 // 5)
    start = data.find(b"\n", tenth - 1) + 1
    if start and data[start:].strip():
        return start
    start = data.rfind(b"\n", fifth - 1, tenth - 1) + 1
    if start:
        return start
    after, before = character_start(data, tenth, 1), character_start(data, tenth - 1, -1)
    return after if after < size else before if before >= fifth else size


def end_start(end: bytes, room: int) -> int:
    """Where at most `room` bytes are left: at a line that leaves at least half of them, else between two characters."""
    earliest = len(end) - room
    start = end.find(b"\n", max(0, earliest - 1), earliest + room // 2) + 1
    return start if start >= earliest and start else character_start(end, earliest, 1)


def character_start(data: bytes, place: int, step: int) -> int:
    """The nearest place from here on, forwards or backwards, where a character begins or the text ends."""
    while 0 <= place < len(data) and data[place] & 0xC0 == 0x80:
        place += step
    return place
