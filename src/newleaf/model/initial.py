"""The weights that a new model begins with: drawn, then two circuits laid in that every language model has to find first.

A model that copies ("Dursley" after "Mr", the name of a variable, a line of a table) does it with two heads: one tells each token
what stood before it, and one in a later layer looks there for the token at hand and so finds what followed it last time, the
induction head of Olsson et al. 2022 (arXiv 2209.11895). Training comes upon this pair late and suddenly; a run of minutes may end before.
Here both are there from the first step, as nothing but weights: all of them are trained, and the model's shape is what it was.
Held-out bits per byte after a minute of one core: 9 to 12 % fewer on code, 2 % on stories, half a percent on Shakespeare and a novel
(lab/LOG.md, 2026-11-24).
"""

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from newleaf.model.config import ModelConfig
from newleaf.model.positions import rotary_frequencies

if TYPE_CHECKING:
    from newleaf.model.decoder import Decoder, Layer

NEAR = (1, 2)  # how far back the first heads of the first layer look; the others are left free
FAST, SLOW = 4, 6  # rotary pairs up to the one say how far away a token is, from the other on what it is
SCORE = 8.5  # of a pair that matches, before the softmax; e^8.5 outweighs thousands of others
SHARE = torch.tensor([0.4, 0.3, 0.2, 0.1]).sqrt()  # of the fast pairs: together they peak at one distance alone


@torch.no_grad()
def initialise(model: "Decoder", generator: torch.Generator) -> None:
    """Draw all weights from `generator`; norms become 1 and biases 0.

    GPT-2's shape as in Radford et al. 2019: normal, deviation 0.02, and 0.02 / sqrt(2 depth) for the two projections that write to
    the residual stream. Others begin as a function that does nothing yet (Zhang et al. 2019, Fixup): those two projections are 0
    and so is an untied output projection, which makes the first loss ln V exactly. An untied embedding has deviation 0.1: 0.02
    and 0.5 learn slower with Muon (lab/LOG.md); with sinusoidal positions it has 1, which is Vaswani's W^(-1/2) times the sqrt(W)
    that they multiply with.
    """
    config = model.config
    gpt2 = config.norm == "layernorm"
    embedding = 1.0 if config.positions == "sinusoidal" else 0.02 if config.tied or gpt2 else 0.1
    for name, parameter in model.named_parameters():
        writes = name.endswith(("o_proj.weight", "down_proj.weight"))
        if parameter.dim() == 1:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
        elif not gpt2 and (writes or name in ("lm_head.weight", "score.weight")):
            parameter.zero_()
        elif name == "model.embed_tokens.weight":
            parameter.normal_(0.0, embedding, generator=generator)
        else:
            parameter.normal_(0.0, 0.02 / math.sqrt(2 * config.depth) if writes else 0.02, generator=generator)
    if has_circuits(config):
        layers = [cast("Layer", layer) for layer in model.model.layers]
        look_back(model, layers[0])
        if config.depth > 1:
            find_again(model, layers[0], layers[1], generator)


def has_circuits(config: ModelConfig) -> bool:
    """Whether the heads of a shape have the rotary pairs that the circuits need."""
    return config.positions == "rope" and config.head_dim // 2 > SLOW and config.width > config.head_dim


def look_back(model: "Decoder", first: "Layer") -> None:
    """Let the first heads of the first layer see the token one place back, and the one two places back.

    The first channel of every embedding becomes the same number c, the length of what it says otherwise, so that after the norm half of
    a token's square is a constant, and queries and keys made from it depend on their positions alone: k = a and q = R(-n) a, with R the
    rotation by a number of positions, match best at a distance of n.
    """
    config = model.config
    half, table = config.head_dim // 2, model.model.embed_tokens.weight
    table[:, 0] = table[:, 1:].norm(dim=1).mean()
    size = math.sqrt(SCORE * math.sqrt(config.head_dim)) / math.sqrt(config.width / 2)  # queries and keys of this length score SCORE
    key = torch.zeros(config.head_dim)
    key[:FAST] = size * SHARE
    angles = rotary_frequencies(config)[:FAST]
    looking = NEAR[: max(1, config.heads - 1)]
    for head, places in enumerate(looking):
        query = torch.zeros(config.head_dim)
        query[:FAST], query[half : half + FAST] = key[:FAST] * (places * angles).cos(), -key[:FAST] * (places * angles).sin()
        rows(first.self_attn.q_proj.weight, head, config.head_dim)[:, 0] = query
    for head in range(-(-len(looking) * config.kv_heads // config.heads)):
        rows(first.self_attn.k_proj.weight, head, config.head_dim)[:, 0] = key
    sharpen(first, config.head_dim)


def find_again(model: "Decoder", first: "Layer", second: "Layer", generator: torch.Generator) -> None:
    """Let the first head of the second layer look for the token at hand among those that stood before others.

    With V and U random directions (D, W), the first layer's first head writes U' V x of the token before into the stream; queries V x
    and keys U x of the second layer match where that token was the one at hand. Only slow rotary pairs carry it: it holds at any distance.
    """
    width, size, half = model.config.width, model.config.head_dim, model.config.head_dim // 2
    reading, writing = (torch.linalg.qr(torch.randn(width, size, generator=generator))[0] for _ in range(2))  # (W, D)
    reading[0] = writing[0] = 0  # the channel that says nothing
    slow = (torch.arange(size) % half >= SLOW).float()[:, None]
    scale = math.sqrt(SCORE * math.sqrt(size)) / math.sqrt(float(slow.sum()) / 2)
    rows(first.self_attn.v_proj.weight, 0, size).copy_(0.3 * reading.T)
    first.self_attn.o_proj.weight[:, :size] = model.model.embed_tokens.weight[0, 0] * writing
    rows(second.self_attn.q_proj.weight, 0, size).copy_(scale * slow * reading.T)
    rows(second.self_attn.k_proj.weight, 0, size).copy_(scale * slow * writing.T)
    sharpen(second, size)


def rows(weight: Tensor, head: int, size: int) -> Tensor:
    """Those of one head."""
    return weight[head * size : (head + 1) * size]


def sharpen(layer: "Layer", size: int) -> None:
    """Where heads are normalised, a match would score sqrt(D) and no more: let it score SCORE."""
    if hasattr(layer.self_attn, "q_norm"):
        layer.self_attn.q_norm.weight.fill_(SCORE / math.sqrt(size))
