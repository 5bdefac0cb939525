"""A small language for tests to learn."""

import random

WORDS = ["the", "spring", "river", "moon", "night", "flower", "leaf", "of", "and", "a", "bright", "old", "new", "song"]
WORDS += ["春江", "花月", "夜", "新叶", "明", "流", "水"]


def text(num_lines: int, seed: int = 0) -> str:
    """Lines of a small language, enough to learn from."""
    source = random.Random(seed)
    return "".join(" ".join(source.choices(WORDS, k=8)) + ".\n" for _ in range(num_lines))
