"""The examples of a use: files of rows to learn from, to choose by and, where the data has them, to test on."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from uses import rows
from uses.functions import functions
from uses.rows import Part, Row
from uses.spelling import errors

MOST_VAL = {"translation": 1000, "poems": 1000}  # examples to choose by


def written(name: str, data: Path, folder: Path) -> dict[Part, Path]:
    """{part: file}, made where they are not there."""
    paths: dict[Part, Path] = {part: folder / f"{name}-{part}.jsonl" for part in ("train", "val", "test")}
    if not paths["train"].exists():
        folder.mkdir(parents=True, exist_ok=True)
        found: dict[Part, list[str]] = {part: [] for part in paths}
        for part, row in made(name, data):
            found[part].append(json.dumps(row, ensure_ascii=False))
        for part, lines in found.items():
            if lines:
                paths[part].write_text("\n".join(lines[: MOST_VAL.get(name, len(lines)) if part == "val" else None]) + "\n", "utf-8")
    return {part: path for part, path in paths.items() if path.exists()}


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def made(name: str, data: Path) -> Iterable[tuple[Part, Row]]:
    if name.startswith(("sentiment", "topics")):
        return rows.labelled(data, name.removesuffix("-lora"))
    return {
        "chat-zh": rows.conversations,
        "persona": rows.persona,
        "preference": rows.preferences,
        "translation": rows.pairs,
        "summaries": rows.abstracts,
        "answers": questions,
        "rewriting": errors,
        "code": lambda _: functions(),
        "poems": rows.poems,
    }[name](data)


def questions(data: Path) -> Iterator[tuple[Part, Row]]:
    """{question, context, answer}: each with the sentence that has the answer and those beside it."""
    for part, row in rows.paragraphs(data):
        for each in row["qas"]:
            answers = sorted({answer["text"] for answer in each["answers"]}, key=len)
            place = row["context"].find(answers[0])
            if place >= 0:
                start = max(0, row["context"].rfind("。", 0, max(0, place - AROUND)) + 1)
                yield part, {"question": each["question"], "context": row["context"][start : place + 2 * AROUND], "answer": answers[0]}


AROUND = 60  # characters
