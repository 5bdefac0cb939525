"""A model and text in, bits per byte out, by the same function that training reports."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from newleaf.batches.pretrain import Stream
from newleaf.errors import ModelError, TextError
from newleaf.evaluation import bits
from newleaf.jobs.loaded import Model
from newleaf.runs import Run, in_shell
from newleaf.runtime import available_cores
from newleaf.text.read import Corpus
from newleaf.training.prepare import open_data, stdin_for
from newleaf.workers import workers_for


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
    if not run.begun:
        raise ModelError(
            f"{model.path} has no held-out text of its own",
            where=str(model.path),
            hint=f"name some: newleaf evaluate {in_shell(model.path)} FILE",
        )
    data = open_data(run, verify=True)
    scored = run.read_summary().get("val_tokens") if run.read_summary().get("final_val_bpb") is not None else None
    ids = data.val[: scored + 1 if scored else len(data.val)]
    return ids, data.num_bytes(ids[1:]), int(data.manifest["val"]["num_documents"])
