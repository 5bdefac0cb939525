"""The loss of a model that classifies: nats by which a label surprises its head, which reads the last token."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout, Precision


def label_loss(model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None, precision: Precision) -> Tensor:
    """A scalar in nats a text: of a batch of inputs (B, T), labels (B) and the place of each text's last token (B), all int64."""
    inputs, labels, last = batch
    return F.cross_entropy(label_logits(model, inputs, last, dropout, precision), labels)


def label_logits(model: Decoder, inputs: Tensor, last: Tensor, dropout: Dropout | None = None, precision: Precision = "float32") -> Tensor:
    """(B, labels) float32."""
    hidden = model.hidden(inputs, dropout=dropout, precision=precision)
    return model.labels(hidden[torch.arange(len(inputs), device=inputs.device), last])
