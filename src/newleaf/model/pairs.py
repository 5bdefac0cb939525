"""Which token follows which: a new model knows it before its first step, from counts of its text.

Training spends its first steps on this, and what comes later, copying above all, has to wait. Log-probabilities of two neighbours are a
table of V times V; the best table of low rank is read off its singular vectors and written into channels of the embedding and of the
output projection, with the logarithm of each token's own frequency beside it. As the layers have learned nothing else yet, the model
begins as that table; all of it is trained, and the shape is what it was. Levy and Goldberg 2014 describe such a matrix (positive
pointwise mutual information), Halko et al. 2011 (arXiv 0909.4061) the way to its singular vectors.

Held-out bits per byte after the same steps: 8 % fewer on code after 300 and 2 % after 900, 2 % on stories after 600, half a percent on a
novel, 1 to 5 % on Shakespeare after 40 to 200; nothing where a text is read until it is exhausted (lab/LOG.md, 2026-11-28).
"""

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from newleaf.model.config import ModelConfig
from newleaf.model.initial import has_circuits

if TYPE_CHECKING:
    from newleaf.model.decoder import Decoder, Layer

Ids = npt.NDArray[Any]
COUNTED, PIECE = 2_000_000, 31_250  # tokens of a text that are enough to count, and of a piece of it
PRIOR = 50.0  # how many neighbours, drawn from the whole text, each token is given beside those that were seen
FULL, MOST = 0.9, 0.97  # of the length of an embedding: what a pair's part takes of a token at the 95th percentile, and of any token
ROUNDS, BESIDE = 2, 8  # of the search for singular vectors: rounds, and vectors beyond those that are wanted


def rank_for(config: ModelConfig) -> int:
    """Channels for pairs: half of them; none in a shape that does not begin as its tables, or has one table for both."""
    return config.width // 2 if has_circuits(config) and config.norm == "rmsnorm" and not config.tied else 0


@torch.no_grad()
def begin_with_pairs(model: "Decoder", ids: Ids, generator: torch.Generator) -> None:
    """Write the pairs of a text's ids (N,), COUNTED are enough, into a model as `initialise` leaves it; `generator` begins the search."""
    config = model.config
    rank = min(rank_for(config), config.vocab_size - 1)
    if rank < 1 or len(ids) < 2:
        return
    after, before, log_share = factors_of(ids.astype(np.int64), config.vocab_size, rank, generator)
    table, head = model.model.embed_tokens.weight, model.head_weight
    constant, channels = table[:, 0].mean(), slice(1, 1 + rank)  # look_back leaves the first channel the same for all
    length = table[:, 1:].norm(dim=1).mean()
    scale = FULL * length / after.norm(dim=1).quantile(0.95).clamp(min=1e-6)
    known = scale * after
    known /= (known.norm(dim=1, keepdim=True) / (MOST * length)).clamp(min=1.0)
    rest = table[:, 1 + rank :]
    rest *= (length.square() - known.square().sum(1, keepdim=True)).sqrt() / rest.norm(dim=1, keepdim=True)
    table[:, channels] = known
    unit = table.square().mean(1).sqrt().mean()  # what the last norm divides by
    head[:, 0], head[:, channels] = log_share * unit / constant, before * unit / scale
    keep_apart(model, channels)


def keep_apart(model: "Decoder", channels: slice) -> None:
    """The circuits of a new model (initial.py) tell tokens apart by the other channels, and write to them."""
    size, (first, *others) = model.config.head_dim, [cast("Layer", layer) for layer in model.model.layers]
    first.self_attn.o_proj.weight[channels, :size] = 0
    first.self_attn.v_proj.weight[:size, channels] = 0
    for layer in others[:1]:
        layer.self_attn.q_proj.weight[:size, channels] = 0
        layer.self_attn.k_proj.weight[:size, channels] = 0


def factors_of(ids: Ids, vocab_size: int, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """(V, R) of a token, (V, R) of the one that follows, and (V,) log-frequencies f: a b' + f is the table of the pairs' log-probabilities,
    but for a number a row. What is seen often counts most."""
    keys, seen = np.unique(ids[:-1] * vocab_size + ids[1:], return_counts=True)
    places = torch.from_numpy(np.stack([keys // vocab_size, keys % vocab_size]))
    counts = torch.from_numpy(seen).float()
    often = torch.bincount(places[0], counts, vocab_size).float() + 1
    share = torch.bincount(places[1], counts, vocab_size).float() + 0.5
    share /= share.sum()
    row, column = often.sqrt(), share.sqrt()
    values = torch.log1p(counts / (PRIOR * share[places[1]])) * row[places[0]] * column[places[1]]
    left, right = singular(torch.sparse_coo_tensor(places, values, (vocab_size, vocab_size), check_invariants=False), rank, generator)
    return left / row[:, None], right / column[:, None], share.log()


def singular(matrix: Tensor, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(V, R) and (V, R), whose product is the sparse matrix (V, V), about: its largest singular values, half in each.

    >>> matrix = torch.diag(torch.tensor([3.0, 2.0, 0.1]))
    >>> left, right = singular(matrix.to_sparse(), 2, torch.Generator().manual_seed(0))
    >>> (left @ right.T).abs().round(decimals=3).tolist()
    [[3.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]]
    """
    wide = min(rank + BESIDE, len(matrix))
    basis = torch.linalg.qr(matrix @ torch.randn(len(matrix), wide, generator=generator)).Q
    for _ in range(ROUNDS):
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(matrix.T @ basis).Q).Q
    small, values, right = torch.linalg.svd((matrix.T @ basis).T, full_matrices=False)
    half = values[:rank].sqrt()
    return (basis @ small)[:, :rank] * half, right[:rank].T * half
