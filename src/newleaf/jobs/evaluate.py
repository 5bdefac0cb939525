"""A model and data in, figures out, by the same functions that training reports: bits per byte of text, or what its task is judged by."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from newleaf.batches.examples import Examples
from newleaf.batches.pretrain import Stream
from newleaf.errors import ModelError, TextError
from newleaf.evaluation import bits
from newleaf.evaluation.examples import score_labels
from newleaf.evaluation.labels import label_figures
from newleaf.jobs.loaded import Model
from newleaf.runs import Run, in_shell
from newleaf.runtime import available_cores
from newleaf.text.examples import Columns, Labelled
from newleaf.text.read import Corpus
from newleaf.training.encode import Encoder, as_examples, files_of, open_examples
from newleaf.training.prepare import open_data, read_manifest, stdin_for
from newleaf.training.tasks import TASKS
from newleaf.workers import workers_for


def measured(model: Model, data: Sequence[str], columns: Columns, names: Sequence[str]) -> dict[str, Any]:
    """What fits the model: its labels' figures, or bits per byte."""
    if model.labels:
        return label_metrics(model, data, columns, names)
    return bits_per_byte(model, data, columns.input)


def label_metrics(model: Model, data: Sequence[str], columns: Columns, names: Sequence[str]) -> dict[str, Any]:
    """{examples, accuracy, macro_f1, calibration_error}, the last three {value, stderr}; without `data` of the run's held-out examples. A
    label that the model does not know counts as a mistake."""
    run, workers = Run(model.path), workers_for(str(model.decoder.device), available_cores())
    if data:
        files = files_of(data, TASKS["classify"], columns, names)
        rows = [row for row in files if isinstance(row, Labelled)]
        examples = labelled_examples(model, rows)
    elif run.begun:
        examples = open_examples(run, read_manifest(run), model.tokenizer).val
    else:
        raise ModelError(f"{model.path} has no held-out examples of its own", where=str(model.path), hint="name some")
    found = score_labels(model.decoder, examples, list(range(len(examples))), workers, lambda: None)
    return {"examples": len(examples), **label_figures(examples.labels, found)}


def labelled_examples(model: Model, rows: Sequence[Labelled]) -> Examples:
    """Encoded; a label that the model does not know gets an id that it never says."""
    ids = {name: id for id, name in enumerate(model.labels)}
    unknown = [row for row in rows if row.label not in ids]
    if len(unknown) == len(rows):
        raise TextError(f"{unknown[0].source} has the label {unknown[0].label!r}", where=unknown[0].source, expected=" or ".join(ids))
    encoder, context = Encoder(TASKS["classify"], model.tokenizer), model.config.context
    parts = encoder.parts(rows)
    return as_examples(list(encoder.all_fitting(rows, parts, context)), ids)


def bits_per_byte(model: Model, data: Sequence[str], column: str | None) -> dict[str, Any]:
    """{bits_per_byte, perplexity, loss, bytes, tokens, documents, stderr}; without `data` of the run's own held-out text."""
    ids, num_bytes, documents = held_out(model) if not data else encoded(model, data, column)
    result = bits.score(model.decoder, ids, bits.window(model.config), workers_for(str(model.decoder.device), available_cores()))
    return {
        "bits_per_byte": result.bits_per_byte(num_bytes),
        "perplexity": result.perplexity,
        "loss": result.loss,
        "bytes": num_bytes,
        "tokens": result.tokens,
        "documents": documents,
        "stderr": result.stderr(num_bytes),
    }


def encoded(model: Model, data: Sequence[str], column: str | None) -> tuple[Stream, int, int]:
    """EOT d1 EOT d2 … EOT of the text, its UTF-8 bytes, the number of documents."""
    tokenizer = model.tokenizer
    parts, num_bytes, documents = [np.array([tokenizer.end_of_text])], 0, 0
    for document in Corpus(data, column=column, stdin=stdin_for(data)):
        parts += [np.array(tokenizer.encode(document.text)), np.array([tokenizer.end_of_text])]
        num_bytes, documents = num_bytes + len(document.text.encode()), documents + 1
    if not num_bytes:
        raise TextError(f"{', '.join(data)} holds no text", expected="at least one character")
    return np.concatenate(parts).astype(np.int64), num_bytes, documents


def held_out(model: Model) -> tuple[Stream, int, int]:
    """What the run itself held out and scored."""
    run = Run(model.path)
    if not run.begun or "task" in read_manifest(run):
        raise ModelError(
            f"{model.path} has no held-out text of its own",
            where=str(model.path),
            hint=f"name some: newleaf evaluate {in_shell(model.path)} FILE",
        )
    data = open_data(run, verify=True)
    scored = run.read_summary().get("val_tokens") if run.read_summary().get("final_val_bpb") is not None else None
    ids = data.val[: scored + 1 if scored else len(data.val)]
    return ids, data.num_bytes(ids[1:]), int(data.manifest["val"]["num_documents"])
