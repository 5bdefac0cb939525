"""What a new model can do before it is trained: nothing with words, but two of its heads look where they should."""

import math

import pytest
import torch

from newleaf.model.attention import Attention
from newleaf.model.config import ModelConfig, preset
from newleaf.model.decoder import Decoder
from newleaf.model.positions import rotate

LENGTH, AGAIN = 40, 15  # tokens; the last is the one at this place once more
SHAPES = {
    "qwen3": preset("qwen3", vocab_size=500, width=128, depth=2, head_dim=32),
    "deep": preset("qwen3", vocab_size=500, width=64, depth=4, head_dim=32, context=512),
    "grouped": preset("qwen3", vocab_size=500, width=128, depth=2, head_dim=32, kv_heads=1),
    "one head": preset("qwen3", vocab_size=500, width=128, depth=2, heads=1, head_dim=64),
    "wide heads": preset("qwen3", vocab_size=500, width=256, depth=2),
    "llama": preset("llama", vocab_size=500, width=128, depth=2, head_dim=32),
    "tied": preset("qwen3", vocab_size=500, width=128, depth=2, head_dim=32, tied=True),
}


def looks(model: Decoder, ids: torch.Tensor) -> list[torch.Tensor]:
    """What each head of the first two layers looks at from the last token: two of (H, T)."""
    found, rotation = [], model.table[:, : ids.shape[1]]

    def watch(attention: Attention, inputs: tuple[torch.Tensor, ...]) -> None:
        x, c = inputs[0], attention.config
        q, k = (each(x, torch.float32).unflatten(-1, (-1, c.head_dim)) for each in (attention.q_proj, attention.k_proj))
        q, k = (attention.q_norm(q), attention.k_norm(k)) if c.qk_norm else (q, k)
        q, k = rotate(q, rotation)[0], rotate(k, rotation)[0].repeat_interleave(c.heads // c.kv_heads, 0)
        found.append((q[:, -1:] @ k.mT / math.sqrt(c.head_dim)).softmax(-1)[:, 0])

    for layer in list(model.model.layers)[:2]:
        layer.self_attn.register_forward_pre_hook(watch)
    with torch.no_grad():
        model.hidden(ids)
    return found


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
def test_heads_look_one_and_two_places_back_and_at_what_followed_the_same_token(config: ModelConfig) -> None:
    near = (1, 2) if config.heads > 2 else (1,)  # of two heads one is left free
    looked_back = found_again = 0
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        model, ids = Decoder(config, generator), torch.randperm(config.vocab_size, generator=generator)[None, :LENGTH]
        ids[0, -1] = ids[0, AGAIN]
        first, second = looks(model, ids)
        looked_back += all(first[head].argmax() == LENGTH - 1 - places for head, places in enumerate(near))
        found_again += bool(second[0].argmax() == AGAIN + 1)
    assert looked_back == 20
    assert found_again >= 10  # by chance it would be half of one


@pytest.mark.parametrize("config", SHAPES.values(), ids=SHAPES)
def test_an_untrained_model_guesses_blindly(config: ModelConfig) -> None:
    ids = torch.randint(0, config.vocab_size, (4, 33), generator=torch.Generator().manual_seed(0))
    logits = Decoder(config)(ids[:, :-1]).detach()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    assert float(loss) == pytest.approx(math.log(config.vocab_size), rel=0.01)
