"""Answers that are written together are those that are written one by one."""

import pytest
import torch
from generation.models import PROMPTS, model, shapes, tokenizer

from newleaf.generation.engine import Engine
from newleaf.generation.sampler import Sampling
from newleaf.generation.together import write_together


@pytest.mark.parametrize("family", shapes())
def test_together_and_alone_they_are_the_same(family: str) -> None:
    """Prompts of 1 to 90 of 96 tokens: some end at an end, some at their room, some with the context."""
    decoder, known = model(shapes()[family]), tokenizer()
    prompts = [known.encode(prompt) for prompt in PROMPTS] + [known.encode("To be or not " * 40)[:90], [5] * 96]
    ends = [known.end_of_text, *range(0, known.vocab_size, 9)]
    engine = Engine(decoder, known, ends=ends)
    alone = [engine.generate(prompt, Sampling(max_tokens=40, temperature=0))[0] for prompt in prompts]
    together = write_together(decoder, prompts, 40, set(ends), known.vocab_size)
    assert together == [(sample.ids, sample.stopped_by == "end") for sample in alone]
    assert {sample.stopped_by for sample in alone} >= {"end", "context"}
    assert len({len(ids) for ids, _ in together}) > 5


def test_one_that_has_no_room_writes_nothing() -> None:
    decoder = model(shapes()["qwen3"])
    assert write_together(decoder, [[5] * 96], 40, {0}, tokenizer().vocab_size) == [([], False)]
    assert torch.is_grad_enabled()
