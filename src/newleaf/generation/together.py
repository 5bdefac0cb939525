"""Several prompts in, the likeliest continuation of each out, all of them written at the same time: for figures over many examples.

A token of sixteen small rows takes little longer than one of a single row. All rows of a cache hold the same number of tokens, so the
prompts are read as far as the shortest goes, and a longer one is fed on, token by token, while the others write. The twin is
`Engine.generate`: the same ids, but where rounding in a batch decides between two that are equally likely.
"""

from collections.abc import Collection, Sequence

import torch

from newleaf.model.cache import Cache
from newleaf.model.decoder import Decoder


@torch.inference_mode()
def write_together(
    model: Decoder, prompts: Sequence[Sequence[int]], most: int, ends: Collection[int], vocab_size: int
) -> list[tuple[list[int], bool]]:
    """Of each prompt, the ids of its continuation and whether that ended by itself, with one of `ends`: at most `most` ids, and no more
    than the context has room for. `vocab_size`: a model may have more rows than ids that stand for something."""
    room = [min(most, model.config.context - len(prompt)) for prompt in prompts]
    written, ended, done = [list[int]() for _ in prompts], [False] * len(prompts), [space < 1 for space in room]
    place, last = min(map(len, prompts)), max(len(prompt) + space for prompt, space in zip(prompts, room, strict=True))
    cache = Cache(model.config, len(prompts), last, device=model.device)
    ids = torch.tensor([[*prompt[:place]] for prompt in prompts], device=model.device)  # (B, T)
    while True:
        likeliest = model.head(model.hidden(ids, cache)[:, -1])[:, :vocab_size].argmax(-1).tolist()  # (B)
        for row, prompt in enumerate(prompts):
            if place < len(prompt):
                likeliest[row] = prompt[place]
            elif not done[row]:
                ended[row] = likeliest[row] in ends
                written[row] += [likeliest[row]] * (not ended[row])
                done[row] = ended[row] or len(written[row]) == room[row]
        if all(done):
            return list(zip(written, ended, strict=True))
        ids, place = torch.tensor(likeliest, device=model.device)[:, None], place + 1
