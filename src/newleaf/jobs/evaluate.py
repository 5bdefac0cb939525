"""A model and data in, figures out, by the same functions that training reports: bits per byte of text, or what its task is judged by."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from newleaf.batches.examples import Examples
from newleaf.batches.pretrain import Stream
from newleaf.errors import ModelError, TextError
from newleaf.evaluation import bits, choice, search
from newleaf.evaluation.between import Between, part
from newleaf.evaluation.examples import score_answers
from newleaf.evaluation.labels import label_figures
from newleaf.evaluation.suite import SuiteTask
from newleaf.evaluation.written import answer_figures, write_answers
from newleaf.jobs.loaded import Model
from newleaf.runs import Run, in_shell
from newleaf.runtime import available_cores
from newleaf.text.example_files import ExampleFiles
from newleaf.text.examples import Columns, Conversation, Example, Labelled, Preference
from newleaf.text.read import Corpus
from newleaf.text.rows import kind_of
from newleaf.training.encode import Encoder, as_examples
from newleaf.training.example_data import files_of, open_examples
from newleaf.training.prepare import learned_text, open_data, read_manifest, stdin_for
from newleaf.training.tasks import LABELLED, TASKS, Task
from newleaf.workers import workers_for

MOST_WRITTEN = 1000  # answers
LOSS_SHARE = 0.1  # of an evaluation of answers, about; the rest is writing them


def measured(model: Model, data: Sequence[str], columns: Columns, names: Sequence[str], between: Between) -> dict[str, Any]:
    """What fits the model and the data: the figures of its task on examples, or bits per byte of text."""
    task = task_of(model)
    if task is not None and task.kind in LABELLED:
        return label_metrics(model, task, data, columns, names, between)
    if task is not None and all(kind_of(Path(name)) or Path(name).is_dir() for name in data):
        return answer_metrics(model, task, data, columns, names, between)
    return bits_per_byte(model, data, columns.input, between)


def suite_metrics(model: Model, tasks: Sequence[SuiteTask], between: Between) -> dict[str, dict[str, Any]]:
    """{task: {items, accuracy, …}} of a suite."""
    workers, found = workers_for(str(model.decoder.device), available_cores()), {}
    if model.config.num_labels:
        raise ModelError(f"{model.path} tells labels apart and finds no text likely", where=str(model.path))
    for number, task in enumerate(tasks):
        items = task.items()
        if task.kind == "search":
            figures = search.measured(lambda texts: model.embed(texts).numpy(), items)
        else:
            likely = choice.measured(
                model.decoder, model.tokenizer, task.kind, items, workers, part(between, number / len(tasks), (number + 1) / len(tasks))
            )
            figures = {name: figure.as_json() for name, figure in likely.items()}
        found[task.name] = {"items": len(items), **figures}
    return found


def task_of(model: Model) -> Task | None:
    """What it was tuned for; of what preferences have tuned, answers are judged, too."""
    run = Run(model.path)
    if model.labels:
        return model.classification
    name = read_manifest(run).get("task") if run.begun else None
    return TASKS.get("chat" if name == "prefer" else str(name))


def answer_metrics(
    model: Model, task: Task, data: Sequence[str], columns: Columns, names: Sequence[str], between: Between
) -> dict[str, Any]:
    """{examples, loss, the task's metrics, stops}, all but the first two {value, stderr}; without `data` of the run's held-out examples.
    Where not all count, also {left_out: rows, written: examples whose answers were written}."""
    left_out, workers = 0, workers_for(str(model.decoder.device), available_cores())
    if data:
        files = files_of(data, task, columns, names)
        read = list(files)
        examples, rows = encoded_rows(model, task, read)
        left_out = skipped(files) + len(read) - len(rows)
    else:
        opened = open_examples(Run(model.path), read_manifest(Run(model.path)), model.tokenizer)
        examples, rows = opened.val, opened.rows("val")
        if examples.rows_each > 1:
            examples, rows = encoded_rows(model, task, [chosen(row) for row in rows if isinstance(row, Preference)])
    some = list(range(len(examples)))
    loss = score_answers(model.decoder, examples, some, workers, part(between, 0, LOSS_SHARE)).loss
    written = write_answers(model.decoder, model.tokenizer, examples, some[:MOST_WRITTEN], part(between, LOSS_SHARE, 1))
    found = answer_figures(written, model.tokenizer, examples, rows, some[:MOST_WRITTEN], task.metrics)
    counted = {"left_out": left_out, "written": len(written) if len(written) < len(examples) else 0}
    return {
        "examples": len(examples),
        **{name: number for name, number in counted.items() if number},
        "loss": loss,
        **{name: figure.as_json() for name, figure in found.items()},
    }


def skipped(files: ExampleFiles) -> int:
    """Rows that are no example."""
    return sum(each.count for each in files.skipped)


def chosen(pair: Preference) -> Conversation:
    """The better answer, as one to be given."""
    return Conversation((*pair.turns, ("assistant", pair.chosen)), pair.source)


def encoded_rows(model: Model, task: Task, rows: Sequence[Example]) -> tuple[Examples, list[Example]]:
    """Those examples that fit the model's context, encoded and as they were. TextError if none does."""
    encoder = Encoder(task, model.tokenizer)
    fitting = list(encoder.all_fitting(rows, encoder.parts(rows), model.config.context))
    if not fitting:
        raise TextError(f"no example fits {model.config.context:,} tokens", expected="shorter examples")
    return as_examples(fitting, {}), [example for example, _ in fitting]


def label_metrics(
    model: Model, task: Task, data: Sequence[str], columns: Columns, names: Sequence[str], between: Between
) -> dict[str, Any]:
    """{examples, accuracy, macro_f1, calibration_error}, the last three {value, stderr}; without `data` of the run's held-out examples. A
    label that the model does not know counts as a mistake."""
    run, context, left_out = Run(model.path), model.config.context, 0
    if data:
        files = files_of(data, task, columns, names)
        rows = [row for row in files if isinstance(row, Labelled)]
        left_out = skipped(files)
        require_known(model, rows)
    elif run.begun:
        manifest = read_manifest(run)
        context, opened = manifest["context"], open_examples(run, manifest, model.tokenizer)
        rows = [row for row in opened.rows("val") if isinstance(row, Labelled)]
    else:
        raise ModelError(f"{model.path} has no held-out examples of its own", where=str(model.path), hint="name some")
    ids = {name: id for id, name in enumerate(model.labels)}
    wanted = np.array([ids.get(row.label, len(ids)) for row in rows])
    counted = {"examples": len(rows)} | ({"left_out": left_out} if left_out else {})
    return counted | label_figures(wanted, model.label_scores(rows, context, between))


def require_known(model: Model, rows: Sequence[Labelled]) -> None:
    """TextError where the model knows none of the labels."""
    if not any(row.label in model.labels for row in rows):
        where = rows[0].source
        raise TextError(f"{where} has the label {rows[0].label!r}", where=where, expected=" or ".join(model.labels))


def bits_per_byte(model: Model, data: Sequence[str], column: str | None, between: Between) -> dict[str, Any]:
    """{bits_per_byte, perplexity, loss, bytes, tokens, documents, stderr}, and of `data` also `files`, in their order, each {path,
    bits_per_byte, perplexity, bytes, tokens, documents}; without `data` of the run's own held-out text."""
    ids, parts = encoded(model, data, column) if data else held_out(model)
    ends = np.cumsum([part.tokens for part in parts]).tolist()
    scores = bits.score_parts(
        model.decoder, ids, ends, bits.window(model.config), workers_for(str(model.decoder.device), available_cores()), between
    )
    result, num_bytes = sum(scores, bits.NOTHING), sum(part.bytes for part in parts)
    figures = {
        "bits_per_byte": result.bits_per_byte(num_bytes),
        "perplexity": result.perplexity,
        "loss": result.loss,
        "bytes": num_bytes,
        "tokens": result.tokens,
        "documents": sum(part.documents for part in parts),
        "stderr": result.stderr(num_bytes),
    }
    return figures | ({"files": [part.figures(score) for part, score in zip(parts, scores, strict=True)]} if data else {})


@dataclass
class Part:
    """One file of a text: a document's end-of-text, which the model has to foresee, counts among its tokens."""

    path: str
    bytes: int = 0  # UTF-8
    tokens: int = 0
    documents: int = 0

    def figures(self, score: bits.Score) -> dict[str, Any]:
        """What is told of it. A file has at least one character, so no figure divides by 0."""
        found = {"path": self.path, "bits_per_byte": score.bits_per_byte(self.bytes), "perplexity": score.perplexity}
        return found | {"bytes": self.bytes, "tokens": score.tokens, "documents": self.documents}


def encoded(model: Model, data: Sequence[str], column: str | None) -> tuple[Stream, list[Part]]:
    """EOT d1 EOT d2 … EOT of the text, and its files in their order."""
    tokenizer = model.tokenizer
    ids, parts = [np.array([tokenizer.end_of_text])], list[Part]()
    corpus = Corpus(data, column=column, stdin=stdin_for(data))
    for document in corpus:
        if not parts or parts[-1].path != corpus.reading:
            parts.append(Part(corpus.reading))
        part = parts[-1]
        ids += [np.array(tokenizer.encode(document.text)), np.array([tokenizer.end_of_text])]
        part.bytes += len(document.text.encode())
        part.tokens += len(ids[-2]) + 1
        part.documents += 1
    if not parts:
        raise TextError(f"{', '.join(data)} holds no text", expected="at least one character")
    return np.concatenate(ids).astype(np.int64), parts


def held_out(model: Model) -> tuple[Stream, list[Part]]:
    """What the run itself held out and scored, as one part."""
    run = Run(model.path)
    if not learned_text(run):
        raise ModelError(
            f"{model.path} has no held-out text of its own",
            where=str(model.path),
            hint=f"name some: newleaf evaluate {in_shell(model.path)} FILE",
        )
    data = open_data(run, verify=True)
    scored = run.read_summary().get("val_tokens") if run.read_summary().get("final_val_bpb") is not None else None
    ids = data.val[: scored + 1 if scored else len(data.val)]
    return ids, [Part("", data.num_bytes(ids[1:]), len(ids) - 1, int(data.manifest["val"]["num_documents"]))]
