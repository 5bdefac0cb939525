"""What the base of a use reads first: all texts at hand in its language, without anything that a use holds out."""

import json
from collections.abc import Iterator
from pathlib import Path

from uses import examples, rows, spelling
from uses.functions import sources


def written(name: str, data: Path, folder: Path) -> Path:
    """A file of documents, made where there is none."""
    path = folder / f"{name}.jsonl"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"text": text}, ensure_ascii=False) for text in TEXTS[name](data)]
        path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def chinese(data: Path) -> Iterator[str]:
    for name in ("sentiment-zh", "topics-zh"):
        yield from (row["text"] for part, row in rows.labelled(data, name) if part == "train")
    yield from (f"{row['title']}\n{row['abstract']}" for part, row in rows.abstracts(data) if part == "train")
    yield from (row["context"] for part, row in rows.paragraphs(data) if part == "train")


def english(data: Path) -> Iterator[str]:
    """News, sentences about films, and what explains the world."""
    yield from (row["text"] for part, row in rows.labelled(data, "topics-en") if part == "train")
    yield from longest([row["text"].strip() for part, row in rows.labelled(data, "sentiment-en") if part == "train"])
    asked = examples.read(data / "eval-en/boolq.jsonl")
    yield from dict.fromkeys(row["query"].removeprefix("Passage: ").partition("\nQuestion: ")[0] for row in asked)
    yield from (row["response"] for row in examples.read(data / "sft-dolly-hhrlhf/dolly_hhrlhf_train_small.jsonl"))
    yield from (row["output"] for row in rows.objects(data / "sft-llamafactory/alpaca_en_demo.json"))


def longest(phrases: list[str]) -> Iterator[str]:
    """Those that are no part of another: the phrases about films are all parts of some thousand sentences."""
    seen = ""
    for phrase in sorted(set(phrases), key=lambda phrase: (-len(phrase), phrase)):
        if f" {phrase} " not in seen:
            seen += f" {phrase} \n"
            yield phrase


def bilingual(data: Path) -> Iterator[str]:
    yield from (f"{row['en']}\n{row['zh']}" for part, row in rows.pairs(data) if part == "train")


def poetry(data: Path) -> Iterator[str]:
    yield from ("\n".join([row["title"], *row["paragraphs"]]) for part, row in rows.poems(data) if part == "train")


def python(data: Path) -> Iterator[str]:
    yield from (path.read_text("utf-8", "ignore") for part, path in sources() if part == "train")


TEXTS = {make.__name__: make for make in (chinese, english, bilingual, poetry, python)} | {"spelling": spelling.pages}
