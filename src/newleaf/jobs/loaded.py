"""A model to use: what `newleaf.load` returns."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from newleaf.conversion.configs import SPELLED
from newleaf.conversion.huggingface import read_model, read_object
from newleaf.errors import ModelError, UsageError
from newleaf.evaluation.between import Between, unheard
from newleaf.evaluation.examples import embeddings, score_labels
from newleaf.evaluation.spelled import score_spelled
from newleaf.generation.engine import Engine, Sample
from newleaf.generation.settings import Sampling, resolve
from newleaf.model.decoder import Decoder
from newleaf.runs import Run, read_json
from newleaf.runtime import Precision, available_cores
from newleaf.text.examples import Labelled
from newleaf.tokens.conversations import Message, Renderer
from newleaf.tokens.foreign import has_tokenizer, load_tokenizer
from newleaf.tokens.interface import AnyTokenizer
from newleaf.tokens.templates import chat_template
from newleaf.training.encode import Encoder, as_examples
from newleaf.training.tasks import TASKS, Task, task_named
from newleaf.workers import workers_for

WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32)


class Model:
    """A decoder with its tokenizer, if it has one.

    `decoder` and `tokenizer` are open to whoever wants to look inside; `config` is the decoder's shape.
    """

    def __init__(self, path: Path, decoder: Decoder, generation_config: dict[str, Any]) -> None:
        self.path, self.decoder, self.config = path, decoder, decoder.config
        self._tokenizer: AnyTokenizer | None = None
        self._generation_config = generation_config
        self._engines: dict[Precision, Engine] = {}

    @property
    def has_tokenizer(self) -> bool:
        return has_tokenizer(self.path)

    @property
    def tokenizer(self) -> AnyTokenizer:
        """ModelError if the folder holds none that can be used: such a model has logits, but no text."""
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self.path, self.config.vocab_size)
        return self._tokenizer

    def logits(self, ids: Sequence[int] | Sequence[Sequence[int]] | Tensor) -> Tensor:
        """(T) or (B, T) ints -> float32 (…, T, vocabulary). UsageError for ids outside the vocabulary or more than the context."""
        try:
            block = torch.as_tensor(ids)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UsageError(f"ids cannot be read: {error}", expected="(T) or (B, T) with at least one id") from None
        if block.dim() not in (1, 2) or not block.numel():
            raise UsageError(f"ids have the shape {tuple(block.shape)}", expected="(T) or (B, T) with at least one id")
        if block.dtype not in WHOLE:
            raise UsageError(f"ids are of the type {str(block.dtype).removeprefix('torch.')}", expected="whole numbers")
        block = block.long()
        if int(block.min()) < 0 or int(block.max()) >= self.config.vocab_size:
            raise UsageError(f"ids reach from {int(block.min())} to {int(block.max())}", expected=f"0 to {self.config.vocab_size - 1}")
        if block.shape[-1] > self.config.context:
            raise UsageError(f"{block.shape[-1]} ids are more than the context", expected=f"at most {self.config.context}")
        with torch.inference_mode():
            logits: Tensor = self.decoder(block if block.dim() == 2 else block[None])
        return logits if block.dim() == 2 else logits[0]

    def generate(self, prompt: str = "", *, precision: Precision = "float32", **settings: Any) -> str:
        """The continuation of `prompt`. Settings are those of newleaf.generation.settings.Sampling: temperature, top_p, stop, seed, …"""
        return self.samples(prompt, resolve(settings, self._generation_config), precision)[0].text

    def samples(self, prompt: str, sampling: Sampling, precision: Precision = "float32") -> list[Sample]:
        """`sampling.n` continuations with their ids and why each ended."""
        return self.engine(precision).generate(prompt, sampling)

    def answer(self, messages: Sequence[Message], sampling: Sampling | None = None, precision: Precision = "float32") -> Iterator[str]:
        """What the assistant says next, piece by piece. Turns that no longer fit are forgotten, the oldest first. ModelError where the
        model has no chat template, UsageError where not even the last turn fits."""
        engine, turns, sampling = self.engine(precision), list(messages), sampling or self.sampling()
        room = self.config.context - min(sampling.max_tokens, self.config.context // 2)
        while (
            len(ids := self.renderer.ids(turns)) > room
            and (old := next((n for n, turn in enumerate(turns[:-1]) if turn["role"] != "system"), None)) is not None
        ):
            del turns[old : old + 2]
        return (piece for piece in engine.stream(ids, sampling) if isinstance(piece, str))

    @cached_property
    def renderer(self) -> Renderer:
        """ModelError where the model has no chat template."""
        return Renderer(self.tokenizer)

    @property
    def answers_each_alone(self) -> bool:
        """Whether a question has nothing to do with the one before it: of tasks such as translation, known by their templates."""
        words = {task.words for task in TASKS.values()} - {TASKS["chat"].words}
        return self.tokenizer.chat_template in [chat_template(self.tokenizer, each) for each in words]

    def stream(self, prompt: str, sampling: Sampling, precision: Precision = "float32") -> Iterator[str]:
        """One continuation, piece by piece as it comes; never half a character."""
        return (piece for piece in self.engine(precision).stream(prompt, sampling) if isinstance(piece, str))

    def sampling(self, **settings: Any) -> Sampling:
        """What was asked for, then what the model's generation_config.json says, then the defaults."""
        return resolve(settings, self._generation_config)

    @property
    def labels(self) -> list[str]:
        """What a model that classifies tells apart, by id; empty for others."""
        said = read_object(self.path / "config.json")
        names = said.get("id2label") or {}
        count = self.config.num_labels or (len(names) if said.get(SPELLED) else 0)
        return [str(names.get(str(id), id)) for id in range(count)]

    @property
    def classification(self) -> Task:
        """The task of a model that classifies: by a head, or by the label that it would answer."""
        return task_named("classify", "head" if self.config.num_labels else "text")

    def label_scores(self, rows: Sequence[Labelled], context: int | None = None, between: Between = unheard) -> np.ndarray:
        """(N, labels) log-probabilities for texts, whatever label they have; of what is longer than `context` the beginning counts."""
        encoder, workers = Encoder(self.classification, self.tokenizer), workers_for(str(self.decoder.device), available_cores())
        if not self.config.num_labels:
            return score_spelled(self.decoder, encoder, rows, self.labels, workers, between, context)
        encoded = as_examples(list(encoder.all_fitting(rows, encoder.parts(rows), context or self.config.context)), {})
        return score_labels(self.decoder, encoded, range(len(rows)), workers, between)

    def classify(self, text: str, second: str | None = None) -> dict[str, float]:
        """{label: probability} of a text, or of two, the likeliest first. ModelError if the model does not classify."""
        if not self.labels:
            raise ModelError(f"{self.path} does not classify", where=str(self.path), expected="a model that was tuned to classify")
        scores = np.exp(self.label_scores([Labelled((text,) if second is None else (text, second), "")])[0])
        return dict(sorted(zip(self.labels, scores.tolist(), strict=True), key=lambda pair: -pair[1]))

    def embed(self, texts: Sequence[str]) -> Tensor:
        """(N, W) float32, each of length 1: the mean over a text's tokens of what the model has at its end. Of long texts the beginning."""
        workers = workers_for(str(self.decoder.device), available_cores())
        encoder = Encoder(task_named("classify"), self.tokenizer)
        rows = [Labelled((text,), "") for text in texts]
        encoded = as_examples(list(encoder.all_fitting(rows, encoder.parts(rows), self.config.context)), {})
        found = torch.from_numpy(embeddings(self.decoder, encoded, range(len(texts)), workers)).float()
        return torch.nn.functional.normalize(found, dim=-1)

    @property
    def ends(self) -> list[int]:
        """The ids that end what the model writes: a text, or in a chat a turn. Empty where its files name none."""
        return ends(self._generation_config) or ends(read_object(self.path / "config.json"))

    def engine(self, precision: Precision = "float32") -> Engine:
        """Built once for each precision. ModelError for a model that classifies: it writes nothing."""
        if self.config.num_labels:
            hint = "newleaf evaluate measures it"
            raise ModelError(f"{self.path} tells labels apart and writes no text", where=str(self.path), hint=hint)
        if precision not in self._engines:
            self._engines[precision] = Engine(self.decoder, self.tokenizer, precision, self.ends)
        return self._engines[precision]


def open_model(path: Path) -> Model:
    """Read a run directory, or any folder with config.json and model.safetensors of a known family."""
    if Run(path).plan.exists() and not Run(path).model.exists():
        raise ModelError(f"{path} has no model yet", where=str(path), hint="the first evaluation writes it: wait, or resume the run")
    decoder = read_model(path)
    config = path / "generation_config.json"
    return Model(path, decoder, read_json(config) if config.exists() else {})


def ends(config: Mapping[str, Any]) -> list[int]:
    """The ids that end a text, by a config.json or generation_config.json: one or several."""
    found = config.get("eos_token_id")
    return [id for id in (found if isinstance(found, list) else [found]) if isinstance(id, int)]
