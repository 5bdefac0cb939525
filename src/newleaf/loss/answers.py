"""The loss of a model that answers: nats of the answers alone, and what it learns from two answers of which one is better."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from newleaf.loss import IGNORED
from newleaf.loss.language import language, token_losses
from newleaf.model.decoder import Decoder
from newleaf.model.layers import PRODUCT_DTYPE, Dropout, Precision


def answers(model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None, precision: Precision) -> Tensor:
    """A scalar in nats a token: of a batch of inputs and targets, each (B, T) int64, the mean over the targets that are not IGNORED."""
    inputs, targets = batch
    hidden, wanted = model.hidden(inputs, dropout=dropout, precision=precision), targets != IGNORED
    return language(hidden[wanted], model.head_weight, targets[wanted], PRODUCT_DTYPE[precision])


def log_probabilities(model: Decoder, inputs: Tensor, targets: Tensor, dropout: Dropout | None, precision: Precision) -> Tensor:
    """(B) log-probability of each row's answer: inputs and targets (B, T) int64."""
    hidden, wanted = model.hidden(inputs, dropout=dropout, precision=precision), targets != IGNORED
    losses = token_losses(hidden[wanted], model.head_weight, targets[wanted])
    rows = wanted.nonzero()[:, 0]
    return -hidden.new_zeros(len(inputs)).index_add(0, rows, losses)


def preference(model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None, precision: Precision, beta: float) -> Tensor:
    """Direct preference optimisation (Rafailov et al. 2023, eq. 7), a scalar: -log sigmoid(beta (chosen gain - rejected gain)), the gain
    being how much more likely an answer is than before. A batch of inputs (B, 2, T), reference log-probabilities (B, 2), targets
    (B, 2, T), the chosen answers first."""
    return -F.logsigmoid(beta * margins(model, batch, dropout, precision)).mean()


def margins(model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None, precision: Precision) -> Tensor:
    """(B) by how many nats more the chosen answer has gained than the rejected one."""
    inputs, reference, targets = batch
    now = log_probabilities(model, inputs.flatten(0, 1), targets.flatten(0, 1), dropout, precision).view(-1, 2)
    gained = now - reference
    return gained[:, 0] - gained[:, 1]
