"""Rows of the real data in NEWLEAF_DATA, each in the part that it belongs to: "train", "val" or, where the data has one, "test"."""

import csv
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

Part = Literal["train", "val", "test"]
Row = dict[str, Any]
HELD_OUT = 10  # one of so many


def part_of(key: str) -> Part:
    """By its content, so that all examples made of it stand on one side."""
    return "val" if zlib.crc32(key.encode()) % HELD_OUT == 0 else "train"


def table(path: Path, names: list[str] | None = None) -> list[Row]:
    """Of tab-separated values; without `names` the first line has them."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, names, delimiter="\t", quoting=csv.QUOTE_NONE))


def objects(path: Path) -> list[Row]:
    """Of a list in JSON."""
    return list(json.loads(path.read_text("utf-8")))


def tables(folder: Path, names: list[str] | None, train: str = "train.tsv") -> Iterator[tuple[Part, Row]]:
    """Of data that comes in parts. Where there are three, the figures that choose are those of the second."""
    parts: tuple[tuple[Part, str], ...] = (("train", train), ("val", "dev.tsv"), ("test", "test.tsv"))
    for part, name in parts:
        for row in table(folder / name, names):
            yield part, row


def labelled(data: Path, name: str) -> Iterator[tuple[Part, Row]]:
    """{text, label} rows. What is held out is in no other part: of the hotel reviews, a quarter of the test stands in the training part."""
    rows = list(all_labelled(data, name))
    held = {other: {row["text"].strip() for part, row in rows if part == other} for other in ("val", "test")}
    for part, row in rows:
        text = row["text"].strip()
        if part == "test" or (text not in held["test"] and (part == "val" or text not in held["val"])):
            yield part, row


def all_labelled(data: Path, name: str) -> Iterator[tuple[Part, Row]]:
    """As they stand in the files."""
    if name == "topics-en":  # what there is, is its dev.tsv and its test.tsv
        for file in ("dev.tsv", "test.tsv"):
            for row in table(data / "agnews" / file, ["text", "label"]):
                yield "test" if file == "test.tsv" else part_of(row["text"]), row
        return
    folder, text, label, names = {
        "sentiment-zh": ("chnsenticorp", "text_a", "label", None),
        "sentiment-en": ("sst2", "sentence", "label", None),
        "topics-zh": ("csl-category", "title", "label", ["prompt", "title", "label"]),
    }[name]
    for part, row in tables(data / folder, names):
        yield part, {"text": row[text], "label": row[label]}


def conversations(data: Path) -> Iterator[tuple[Part, Row]]:
    """Alpaca's rows, Chinese and English."""
    for name in ("oasst1-zh/oaast_sft_zh.json", "sft-llamafactory/alpaca_zh_demo.json", "sft-llamafactory/alpaca_en_demo.json"):
        for row in objects(data / name):
            yield part_of(row["instruction"] + row.get("input", "")), row


def persona(data: Path) -> Iterator[tuple[Part, Row]]:
    """Questions about a name and who gave it; nothing of so few is held out."""
    for row in objects(data / "sft-llamafactory/identity.json"):
        yield "train", {**row, "output": row["output"].replace("{{name}}", NAME).replace("{{author}}", AUTHOR)}


NAME, AUTHOR = "新叶", "芳林"


def preferences(data: Path) -> Iterator[tuple[Part, Row]]:
    """A prompt and two answers. No answer to a question that is held out is learned from."""
    for language in ("zh", "en"):
        for row in objects(data / f"pref-llamafactory/dpo_{language}_demo.json"):
            said = row["conversations"][-1]["value"]
            yield part_of(said), {"prompt": said, "chosen": row["chosen"]["value"], "rejected": row["rejected"]["value"]}
    for row in objects(data / "oasst1-zh/oaast_rm_zh.json"):
        if len(row["output"]) > 1 and not row["history"]:
            pair = {"prompt": row["instruction"] + row["input"], "chosen": row["output"][0], "rejected": row["output"][-1]}
            yield part_of(pair["prompt"]), pair


def pairs(data: Path) -> Iterator[tuple[Part, Row]]:
    """{en, zh} of tatoeba, all translations of a sentence on one side."""
    for row in table(data / "tatoeba-en-zh/cmn.txt", ["en", "zh", "attribution"]):
        yield part_of(row["en"]), {"en": row["en"], "zh": row["zh"]}


def abstracts(data: Path) -> Iterator[tuple[Part, Row]]:
    """{abstract, title} of papers."""
    for name in ("dev.tsv", "test.tsv"):
        for row in table(data / "csl-title" / name, ["prompt", "abstract", "title"]):
            yield part_of(row["abstract"]), {"abstract": row["abstract"], "title": row["title"]}


def paragraphs(data: Path) -> Iterator[tuple[Part, Row]]:
    """{context, questions} of cmrc2018, a paragraph with all its questions on one side."""
    for item in json.loads((data / "cmrc2018/dev.json").read_text("utf-8"))["data"]:
        for paragraph in item["paragraphs"]:
            yield part_of(paragraph["context"]), {"context": paragraph["context"], "qas": paragraph["qas"]}


def poems(data: Path) -> Iterator[tuple[Part, Row]]:
    """{title, paragraphs}: of Tang poems their title, of Song poems the name of their tune."""
    for path in sorted((data / "zh-poetry").glob("tang/poet.*.json")) + sorted((data / "zh-poetry").glob("songci/ci.song.*.json")):
        for row in objects(path):
            lines = [line.strip() for line in row["paragraphs"] if line.strip()]
            title = row.get("title") or row.get("rhythmic")
            if title and lines and len(lines) <= MOST_LINES:
                yield part_of("".join(lines)), {"title": title.strip(), "paragraphs": lines}


MOST_LINES = 16  # of a poem
