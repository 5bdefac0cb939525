"""A model and its tokenizer in, continuations of prompts out: at once, or piece by piece as they are written.

A prompt is encoded as it is, nothing prepended but what an imported tokenizer prepends; an empty one is end-of-text. A sample
ends at end-of-text, before a stop string, after `max_tokens`, or when prompt and sample fill the context: nothing slides out of
it. Samples of one prompt are written one after another from its cache, number i with the seed + i, each alone in its products:
so no sample depends on how many there are, on any machine (matvec.py says what a batch would cost).
"""

import codecs
import copy
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from newleaf.errors import UsageError
from newleaf.generation.matvec import RowDecoder
from newleaf.generation.sampler import Sampler
from newleaf.generation.settings import Sampling
from newleaf.generation.stream import TextStream
from newleaf.model.cache import Cache
from newleaf.model.decoder import Decoder
from newleaf.model.layers import PRODUCT_DTYPE, Precision
from newleaf.tokens.interface import AnyTokenizer

Prompt = str | Sequence[int]  # text, or ids as a chat template made them
StoppedBy = Literal["end", "stop", "length", "context"]


@dataclass(frozen=True)
class Sample:
    """One continuation: `text` without stop string and end-of-text, and `ids` that give it."""

    text: str
    ids: list[int]
    stopped_by: StoppedBy


class Engine:
    """Continues prompts. In float32 on a CPU it reads the model's own weights; in bf16 it casts the matrices once, here.

    `ends` are the ids that end a text; without them, the tokenizer's end-of-text. Other special tokens stand in a sample's
    ids, but are never shown in its text.
    """

    def __init__(self, model: Decoder, tokenizer: AnyTokenizer, precision: Precision = "float32", ends: Collection[int] = ()) -> None:
        self.model, self.tokenizer, self.precision = model, tokenizer, precision
        self._ends = frozenset(ends or [tokenizer.end_of_text])
        self._hidden = frozenset(tokenizer.special_tokens.values())
        self._row = RowDecoder(model, precision) if model.device.type == "cpu" else None
        self._reader = model if precision == "float32" else rounded(model)

    def encode(self, prompt: Prompt) -> list[int]:
        """The ids that the model reads for a prompt. UsageError if they do not fit its context."""
        ids, context = self.tokenizer.prompt(prompt) if isinstance(prompt, str) else list(prompt), self.model.config.context
        if len(ids) > context:
            raise UsageError(f"the prompt has {len(ids):,} tokens", expected=f"at most {context:,}, the model's context", hint="shorten it")
        return ids

    def generate(self, prompt: Prompt, sampling: Sampling | None = None) -> list[Sample]:
        """The samples that `sampling` asks for, in order."""
        return [item for item in self.stream(prompt, sampling) if isinstance(item, Sample)]

    def stream(self, prompt: Prompt, sampling: Sampling | None = None) -> Iterator[str | Sample]:
        """The pieces of a sample's text as soon as they are certain, then the `Sample` whose text they are; then the next one's."""
        sampling = sampling or Sampling()
        prompt_ids = self.encode(prompt)
        cache, logits = self._read(prompt_ids, room=sampling.max_tokens)
        for number in range(sampling.n):
            cache.truncate(len(prompt_ids))
            yield from self._write(Sampler(sampling, sampling.seed + number, prompt_ids), cache, logits)

    def _write(self, sampler: Sampler, cache: Cache, logits: Tensor) -> Iterator[str | Sample]:
        """One sample, from the cache of its prompt and the logits (V) behind it."""
        stream, ids, context = TextStream(sampler.sampling.stop), list[int](), self.model.config.context
        stopped_by: StoppedBy | None = "context" if cache.length == context else None
        while stopped_by is None:
            id = sampler.pick(logits)
            if id in self._ends:
                stopped_by = "end"
                break
            ids.append(id)
            if piece := stream.feed(self._bytes(id)):
                yield piece
            if stream.stopped:
                stopped_by = "stop"
            elif len(ids) == sampler.sampling.max_tokens:
                stopped_by = "length"
            elif cache.length + 1 == context:  # with this id, which the cache does not hold
                stopped_by = "context"
            else:
                logits = self._next(id, cache)
        if piece := stream.finish():
            yield piece
        if stream.stopped:
            ids, stopped_by = self._ids_within(stream.text, ids), "stop"
        yield Sample(stream.text, ids, stopped_by)

    def _bytes(self, id: int) -> bytes:
        """What a token shows."""
        return b"" if id in self._hidden else self.tokenizer.token_bytes(id)

    def _ids_within(self, text: str, ids: Sequence[int]) -> list[int]:
        """Ids that give `text`, a beginning of what `ids` give: those that end within it; if it ends inside a token, its rest encoded."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        length = num_kept = kept_length = 0
        for number, id in enumerate(ids, start=1):
            length += len(decoder.decode(self._bytes(id)))
            if length <= len(text) and not decoder.getstate()[0]:  # no character is left incomplete
                num_kept, kept_length = number, length
        return [*ids[:num_kept], *self.tokenizer.encode(text[kept_length:])]

    @torch.inference_mode()
    def _read(self, prompt_ids: Sequence[int], room: int) -> tuple[Cache, Tensor]:
        """The cache of a prompt, with room for as many tokens as may follow, and the logits (V) behind its last token."""
        capacity = min(self.model.config.context, len(prompt_ids) + room)
        cache = Cache(self.model.config, 1, capacity, PRODUCT_DTYPE[self.precision], self.model.device)
        return cache, self._last_logits(prompt_ids, cache)

    @torch.inference_mode()
    def _next(self, id: int, cache: Cache) -> Tensor:
        """The logits (V) behind the cached tokens and `id`, which joins them."""
        if self._row is None:
            return self._last_logits([id], cache)
        return self._row.logits(id, cache)[: self.tokenizer.vocab_size]

    def _last_logits(self, ids: Sequence[int], cache: Cache) -> Tensor:
        """By the whole decoder. Only ids that the tokenizer knows: a model may have more rows."""
        hidden = self._reader.hidden(torch.tensor([ids], device=self.model.device), cache, precision=self.precision)[0, -1]
        logits = self._reader.head(hidden, self.precision) if self._row is None else self._row.logits_of(hidden)
        return logits[: self.tokenizer.vocab_size].cpu()


def rounded(model: Decoder) -> Decoder:
    """A copy that shares everything with `model` but the matrices of its layers, which are rounded to bf16 once instead of at each use."""
    memo: dict[int, object] = {id(each): each for each in (*model.parameters(), *model.buffers())}
    for layer in model.model.layers:
        memo |= {id(p): nn.Parameter(p.detach().bfloat16(), requires_grad=False) for p in layer.parameters() if p.ndim == 2}
    return copy.deepcopy(model, memo)


@torch.inference_mode()
def generate_naively(
    model: Decoder, tokenizer: AnyTokenizer, prompt: str, sampling: Sampling, precision: Precision = "float32"
) -> list[int]:
    """The twin of `Engine.generate` for one sample without stop strings: no cache, the whole text again for each token."""
    ids = tokenizer.prompt(prompt)
    sampler, num_prompt = Sampler(sampling, sampling.seed, ids), len(ids)
    for _ in range(min(sampling.max_tokens, model.config.context - num_prompt)):
        logits = model(torch.tensor([sampler.ids]), precision=precision)[0, -1]
        if sampler.pick(logits[: tokenizer.vocab_size]) == tokenizer.end_of_text:
            return sampler.ids[num_prompt:-1]
    return sampler.ids[num_prompt:]
