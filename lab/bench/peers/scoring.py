"""The last weights of any tool in, bits per byte of all held-out bytes out: one function for all of them.

Windows are those of newleaf.evaluation.bits: every token is predicted from at least half a context. A tool that puts a token in front of
a text has it in front of the stream; of one that does not, the first token of the text costs log2 of its vocabulary.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from newleaf.evaluation.bits import Window, batched, windows

MOST_LOGITS = 1 << 27  # at once: half a gigabyte


@dataclass(frozen=True)
class Trained:
    """A trained model and the held-out text in its tokens."""

    logits: Callable[[Tensor], Tensor]  # (B, T) -> (B, T, V), in float32
    ids: np.ndarray  # (N,)
    leads: bool  # whether ids[0] is what the tool puts in front of a text, and no part of it
    context: int
    vocab_size: int
    parameters: int


def bits_per_byte(trained: Trained, num_bytes: int) -> float:
    """Nats of all tokens / ln 2 / bytes.

    >>> uniform = Trained(lambda ids: torch.zeros(*ids.shape, 4), np.arange(9) % 4, False, context=4, vocab_size=4, parameters=0)
    >>> round(bits_per_byte(uniform, num_bytes=9), 6)
    2.0
    """
    nats = 0.0 if trained.leads else math.log(trained.vocab_size)
    rows = max(1, min(4096, MOST_LOGITS // trained.vocab_size) // trained.context)
    for group in batched(windows(len(trained.ids), trained.context), rows):
        nats += group_nats(trained, group)
    return nats / math.log(2) / num_bytes


@torch.inference_mode()
def group_nats(trained: Trained, group: list[Window]) -> float:
    """Of windows of one length, what is not yet scored."""
    rows = np.stack([trained.ids[w.start : w.start + w.length + 1] for w in group]).astype(np.int64)
    block = torch.from_numpy(rows)  # (B, T + 1)
    logits = trained.logits(block[:, :-1].contiguous()).float()  # (B, T, V)
    losses = functional.cross_entropy(logits.flatten(0, 1), block[:, 1:].flatten(), reduction="none").view(len(group), -1).double()
    skipped = torch.tensor([[w.skipped] for w in group])
    return float(losses[torch.arange(losses.shape[1]) >= skipped].sum())
