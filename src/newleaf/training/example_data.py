"""Files of examples in, what is trained on out: split, encoded, and written to the run's data directory.

data/train.safetensors · val.safetensors    ids, which of them are learned, where each row begins, labels
data/train.jsonl · val.jsonl                the examples as people read them, for baselines, figures and samples
data/manifest.json                          what was done, written last
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from newleaf import fsio
from newleaf.batches.examples import Examples
from newleaf.checkpoint.tensors import save_tensors
from newleaf.errors import ShardError, TextError
from newleaf.runs import Run
from newleaf.text.document import content_hash
from newleaf.text.example_files import ExampleFiles, Read
from newleaf.text.examples import Columns, Conversation, Example, Labelled, Preference, Row, conversation, labelled, preference
from newleaf.tokens.interface import AnyTokenizer
from newleaf.training.encode import NO_REFERENCE, Encoder, Rows, as_examples, num_ids
from newleaf.training.prepare import Tell
from newleaf.training.tasks import LABELLED, Task

HELD_OUT_FROM = 50  # examples: with fewer, nothing is held out, and the figures are those of what was learned
ANSWERS_HELD_OUT_FROM = 100  # conversations: a persona's lines are learned by heart (docs/decisions, 0016)
HELD_OUT, MOST_HELD_OUT = 10, 1000  # every so-many-th by its hash, and at most so many
MOST_NAMED = 1000  # rows that were left out are named in the manifest


@dataclass(frozen=True, eq=False)
class ExampleData:
    """Encoded examples, opened for training."""

    manifest: dict[str, Any]
    tokenizer: AnyTokenizer
    train: Examples
    val: Examples
    folder: Path

    @cache  # noqa: B019 (one a run)
    def rows(self, part: str) -> list[Example]:
        """The examples of "train" or "val", as people read them, in the order of the encoded ones."""
        return [from_json(json.loads(line)) for line in (self.folder / f"{part}.jsonl").read_text("utf-8").split("\n") if line]


def read_with(task: Task) -> Read:
    """How a row becomes what an example of this task is made of."""
    if task.kind in LABELLED:
        return labelled
    if task.kind == "preference":
        return preference
    return partial(conversation, known=task.columns)


def named_columns(task: Task, columns: Columns, names: Sequence[str]) -> Columns:
    """The person's, or of a table with two named columns the first and the second."""
    if task.kind == "answers" and len(names) == 2 and columns.input is None and columns.output is None:
        return Columns(names[0], None, names[1])
    return columns


def files_of(inputs: Sequence[str], task: Task, columns: Columns, names: Sequence[str]) -> ExampleFiles:
    return ExampleFiles(inputs, named_columns(task, columns, names), names, read_with(task))


# writing ----------------------------------------------------------------------------------------------------------------


def prepare_examples(
    run: Run,
    task: Task,
    files: ExampleFiles,
    val: ExampleFiles | None,
    tokenizer: AnyTokenizer,
    choose_context: Callable[[np.ndarray], int],
    tell: Tell,
) -> dict[str, Any]:
    """Read, split, encode, write; returns the manifest. `choose_context` is told the tokens of each example. TextError if there is nothing
    to learn from."""
    tell("reading the examples", "读取样例")
    fsio.remove_tree(run.data)
    fsio.make_folders(run.data)
    split_up = split(distinct(files), list(val) if val else None)
    if not split_up["train"]:
        raise TextError("every example is held out by --val", where="--val", expected="other examples than DATA has")
    labels = label_ids(split_up, val is not None) if task.kind in LABELLED else {}
    tokenizer.save(run.path)
    encoder = Encoder(task, tokenizer)
    parts = {name: encoder.parts(examples) for name, examples in split_up.items()}
    context = choose_context(np.array([num_ids(rows) for rows in parts["train"]]))
    rows = {"train": list(encoder.all_fitting(split_up["train"], parts["train"], context))}
    handful = split_up["val"] is split_up["train"]
    rows["val"] = rows["train"] if handful else list(encoder.all_fitting(split_up["val"], parts["val"], context))
    tell_cut(encoder, context, tell)
    if not rows["train"] or not rows["val"]:
        raise TextError(f"no example fits {context:,} tokens", expected="shorter examples", hint="or take a model with a longer context")
    tell_held_out(len(rows["train"]), 0 if handful else len(rows["val"]), tell)
    skipped = [*files.skipped, *(val.skipped if val else [])]
    lengths = tokenizer.byte_lengths()
    written = {name: write_part(run.data, name, found, labels, lengths) for name, found in rows.items()}
    return {
        "task": task.name,
        "kind": task.kind,
        "labels": list(labels),
        "context": context,
        "cut": encoder.cut,
        "too_long": encoder.too_long,
        "num_files": files.num_files,
        "held_out": not handful,
        "num_skipped": sum(each.count for each in skipped),
        "skipped": [asdict(each) for each in skipped[:MOST_NAMED]],
        "tokenizer_sha256": fsio.sha256(run.path / "tokenizer.json"),
        "hashes": [],
        "train_bytes": written["train"]["num_bytes"],
        "val_bytes": written["val"]["num_bytes"],
        **written,
    }


def tell_cut(encoder: Encoder, context: int, tell: Tell) -> None:
    """What became of examples that are too long."""
    if encoder.cut:
        tell(
            f"{encoder.cut:,} examples are longer than {context:,} tokens and were cut",
            f"{encoder.cut:,} 个样例超出 {context:,} 个词元，已截短",
        )
    if encoder.too_long:
        tell(
            f"{encoder.too_long:,} examples are longer than {context:,} tokens and were left out",
            f"{encoder.too_long:,} 个样例超出 {context:,} 个词元，已略去",
        )


def tell_held_out(train: int, held: int, tell: Tell) -> None:
    """How many there are; none is held out of a handful."""
    if held:
        tell(f"{train:,} examples to learn from, {held:,} held out", f"{train:,} 个训练样例，留出 {held:,} 个")
    else:
        tell(
            f"{train:,} examples, too few to hold any out: the figures say how well they are known by heart",
            f"{train:,} 个样例，太少，一个也不留出：成绩只说明背得怎样",
        )


def distinct(files: ExampleFiles) -> list[Example]:
    """Each example once, in the order of the files."""
    return list({content_key(example): example for example in files}.values())


def content_key(example: Example) -> int:
    return content_hash(json.dumps({**as_json(example), "source": ""}, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def split(examples: list[Example], val: list[Example] | None) -> dict[str, list[Example]]:
    """{train, val}: those of --val, or a tenth by their hashes; of a handful nothing is held out. The held-out ones stand in the order of
    their hashes, so that the first few are a fair sample."""
    keys = [content_key(example) for example in examples]
    if val is not None:
        held = {content_key(example): example for example in val}
        train = [example for key, example in zip(keys, examples, strict=True) if key not in held]
        return {"train": train, "val": [held[key] for key in sorted(held)]}
    talk = bool(examples) and isinstance(examples[0], Conversation)
    if len(examples) < (ANSWERS_HELD_OUT_FROM if talk else HELD_OUT_FROM):
        return {"train": examples, "val": examples}
    found = dict(zip(keys, examples, strict=True))
    chosen = sorted(found)[: min(MOST_HELD_OUT, len(examples) // HELD_OUT)]
    kept = set(keys) - set(chosen)
    return {"train": [found[key] for key in keys if key in kept], "val": [found[key] for key in chosen]}


def label_ids(parts: dict[str, list[Example]], named: bool) -> dict[str, int]:
    """{label: id}, sorted. TextError where there is only one, or where a held-out label is in no training example."""
    counts = Counter(example.label for example in parts["train"] if isinstance(example, Labelled))
    if len(counts) < 2:
        raise TextError(f"all examples have the label {next(iter(counts), '')!r}", expected="two labels or more")
    for example in list(parts["val"]):
        assert isinstance(example, Labelled)
        if example.label not in counts:
            if named:
                raise TextError(
                    f"{example.source} has the label {example.label!r}, which no training example has",
                    where=example.source,
                    expected=" or ".join(sorted(counts)[:8]),
                    hint="correct it, leave it out, or add examples of it",
                )
            parts["val"].remove(example)
            parts["train"].append(example)
            counts[example.label] += 1
    if not parts["val"]:
        raise TextError("hardly any label has two examples", expected="several examples of each label")
    numbers = all(re.fullmatch(r"-?[0-9]{1,9}", label) for label in counts)
    return {label: id for id, label in enumerate(sorted(counts, key=int if numbers else str))}


def write_part(
    folder: Path, name: str, examples: Sequence[tuple[Example, Rows]], labels: Mapping[str, int], byte_lengths: np.ndarray
) -> dict[str, Any]:
    """One part of the examples, in both forms; returns its entry in the manifest. `num_bytes` are those of what is learned."""
    found = as_examples(examples, labels)
    tensors = {
        "ids": torch.from_numpy(found.ids.astype(np.int32)),
        "learned": torch.from_numpy(found.answers.astype(np.int32)),
        "starts": torch.from_numpy(found.starts),
        "labels": torch.from_numpy(found.labels),
    }
    lines = "".join(json.dumps(as_json(example), ensure_ascii=False) + "\n" for example, _ in examples)
    said = sum(len(example.label.encode()) for example, _ in examples if isinstance(example, Labelled))
    return {
        "num_examples": len(examples),
        "num_tokens": len(found.ids),
        "num_learned": int(found.answers.sum()),
        "num_bytes": said or int(byte_lengths[found.ids[found.answers]].sum()),
        "files": [
            entry(folder / f"{name}.safetensors", save_tensors(folder / f"{name}.safetensors", tensors, {})),
            entry(folder / f"{name}.jsonl", fsio.write_text(folder / f"{name}.jsonl", lines)),
        ],
    }


def entry(path: Path, sha256: str) -> dict[str, Any]:
    """Of a file in the manifest."""
    return {"path": path.name, "size": path.stat().st_size, "sha256": sha256}


def as_json(example: Example) -> dict[str, Any]:
    if isinstance(example, Labelled):
        return {"texts": list(example.texts), "label": example.label, "source": example.source}
    found: dict[str, Any] = {"turns": [list(turn) for turn in example.turns], "source": example.source}
    if isinstance(example, Conversation) and example.answers:
        found["answers"] = list(example.answers)
    return found | ({"chosen": example.chosen, "rejected": example.rejected} if isinstance(example, Preference) else {})


def from_json(row: Row) -> Example:
    if "label" in row:
        return Labelled(tuple(row["texts"]), row["label"], row["source"])
    turns = tuple((role, said) for role, said in row["turns"])
    if "chosen" in row:
        return Preference(turns, row["chosen"], row["rejected"], row["source"])
    return Conversation(turns, row["source"], tuple(row.get("answers", ())))


# reading ----------------------------------------------------------------------------------------------------------------


def open_examples(run: Run, manifest: dict[str, Any], tokenizer: AnyTokenizer) -> ExampleData:
    """What `prepare_examples` wrote. ShardError where a file has changed."""
    parts = {name: read_part(run.data, name, manifest) for name in ("train", "val")}
    return ExampleData(manifest, tokenizer, parts["train"], parts["val"], run.data)


def read_part(folder: Path, name: str, manifest: dict[str, Any]) -> Examples:
    for each in manifest[name]["files"]:
        path = folder / each["path"]
        if not path.exists() or fsio.sha256(path) != each["sha256"]:
            raise ShardError(f"{path.name} has changed since it was written", where=str(path), hint="restore it, or start a new run")
    tensors = {key: tensor.numpy() for key, tensor in load_file(folder / f"{name}.safetensors").items()}
    each = 2 if manifest["task"] == "prefer" else 1
    return Examples(tensors["ids"], tensors["learned"].astype(bool), tensors["starts"], tensors["labels"], NO_REFERENCE, each)
