"""Texts and the labels that they may have in, how likely each is out: a label is an answer that the model finds more or less likely."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from newleaf.evaluation.between import Between
from newleaf.evaluation.examples import score_answers
from newleaf.model.decoder import Decoder
from newleaf.text.examples import Labelled
from newleaf.training.encode import Encoder, as_examples
from newleaf.workers import Workers


def score_spelled(
    model: Decoder,
    encoder: Encoder,
    rows: Sequence[Labelled],
    names: Sequence[str],
    workers: Workers,
    between: Between,
    context: int | None = None,
) -> np.ndarray:
    """(N, names) log-probabilities: of each label as a whole answer, up to the token that ends it, and of one of them being it."""
    asked = [replace(row, label=name) for row in rows for name in names]
    fitting = encoder.all_fitting(asked, encoder.parts(asked), context or model.config.context)
    found = score_answers(model, as_examples(list(fitting), {}), range(len(asked)), workers, between)
    likely = -found.nats.reshape(len(rows), len(names))
    return likely - np.logaddexp.reduce(likely, axis=1, keepdims=True)
