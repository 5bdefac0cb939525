"""A model and its tokenizer in, continuations of prompts out: at once, or piece by piece as they are written.

A prompt is encoded as it is, nothing prepended; an empty one is end-of-text. A sample ends at end-of-text, before a stop
string, after `max_tokens`, or when prompt and sample fill the context: nothing slides out of it. Samples of one prompt are
written one after another, each with seed + its number, from the prompt's own cache: that a sample does not depend on how many
there are needs no proof then, and on a CPU in float32 a batch of rows costs as much as its rows (lab/LOG.md).
"""

import codecs
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from newleaf.errors import UsageError
from newleaf.generation.matvec import RowDecoder
from newleaf.generation.sampler import Sampler
from newleaf.generation.settings import Sampling
from newleaf.generation.stream import TextStream
from newleaf.model.cache import Cache
from newleaf.model.decoder import Decoder
from newleaf.model.layers import PRODUCT_DTYPE, Precision
from newleaf.tokens.tokenizer import Tokenizer

StoppedBy = Literal["end", "stop", "length", "context"]


@dataclass(frozen=True)
class Sample:
    """One continuation: `text` without stop string and end-of-text, and the ids that give it."""

    text: str
    ids: list[int]
    stopped_by: StoppedBy


class Engine:
    """Continues prompts. In float32 on a CPU it uses the model's weights as they are; in bf16 it casts them once, here.

    `ends` are the ids that end a text, the tokenizer's end-of-text if none are given. Special tokens are never shown: they
    stand in a sample's ids, not in its text.
    """

    def __init__(self, model: Decoder, tokenizer: Tokenizer, precision: Precision = "float32", ends: Collection[int] = ()) -> None:
        self.model, self.tokenizer, self.precision = model, tokenizer, precision
        self.ends = frozenset(ends or [tokenizer.end_of_text])
        self.device = model.model.embed_tokens.weight.device
        self._row = RowDecoder(model, precision) if self.device.type == "cpu" else None
        self._special = frozenset(tokenizer.special_tokens.values())

    def encode(self, prompt: str) -> list[int]:
        """The ids that the model is given for `prompt`. UsageError if they do not fit its context."""
        ids = self.tokenizer.encode(prompt) or [self.tokenizer.end_of_text]
        context = self.model.config.context
        if len(ids) > context:
            raise UsageError(f"the prompt is {len(ids):,} tokens long", expected=f"at most the model's context of {context:,}", hint="shorten it")
        return ids

    def generate(self, prompt: str, sampling: Sampling | None = None) -> list[Sample]:
        """The samples that `sampling` asks for, in order."""
        return [item for item in self.stream(prompt, sampling) if isinstance(item, Sample)]

    def stream(self, prompt: str, sampling: Sampling | None = None) -> Iterator[str | Sample]:
        """The pieces of text of each sample as they become certain, and after them the `Sample`, whose text they are together."""
        sampling = sampling or Sampling()
        prompt_ids = self.encode(prompt)
        cache, logits = self._read(prompt_ids, sampling.max_tokens)
        for number in range(sampling.n):
            cache.truncate(len(prompt_ids))
            yield from self._write(Sampler(sampling, sampling.seed + number, prompt_ids), cache, logits)

    def _write(self, sampler: Sampler, cache: Cache, logits: Tensor) -> Iterator[str | Sample]:
        """One sample, from the cache of its prompt and the logits behind it."""
        text, ids, stopped_by = TextStream(sampler.sampling.stop), [], self._full(cache.length)
        while not stopped_by:
            id = sampler.pick(logits)
            if id in self.ends:
                stopped_by = "end"
                break
            ids.append(id)
            yield text.feed(b"" if id in self._special else self.tokenizer.token_bytes(id))
            stopped_by = ...

    def _read(self, prompt_ids: Sequence[int], max_tokens: int) -> tuple[Cache, Tensor]:
        """The cache of a prompt, with room for what follows, and the logits behind its last token."""
        raise NotImplementedError
