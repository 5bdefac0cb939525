"""An export and what will run it in, a verdict out: the same ids, the same logits, the same greedy text as here.

The judge continues five prompts; our decoder reads what it wrote, so each step is compared whatever came before. Where two tokens are as
good as equal, rounding decides between them: such a step is counted, and not held against the export. Of a model that classifies the label
of each prompt is compared: one step.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from newleaf.errors import ModelError
from newleaf.jobs.llamacpp import Step
from newleaf.model.decoder import Decoder
from newleaf.tokens.interface import AnyTokenizer

NUM_TOKENS = 16
TEXTS = (
    "Once upon a time in a faraway land, there lived 3 kings.",
    "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少？",
    "def __init__(self, *args: int) -> None:\n    self.x = {'a': 1.5e-3}  # don't\n\n\treturn\n",
    "第1回 宴桃園豪傑三結義——“天下大勢”、Γειά, Привет, こんにちは, 안녕",
    "naïve café 🙂👩‍👩‍👧 <|endoftext|> </s> [INST] \u3000 \r\n\r\n   12345 67,890.00   ",
)
NEAR = {"f32": 0.01, "f16": 0.02}  # between log-probabilities: closer than this, either may be taken
# the largest difference of log-probabilities that rounding explains, measured 2e-5 (f32; 4e-3 with GPT-2, whose GELU llama.cpp reads
# from a table in half precision), 0.01 (f16), 0.1 (bf16); quantised matrices meet activations of 8 bits there
TOLERANCE = {"f32": 0.02, "f16": 0.1, "bf16": 0.5, "q8_0": 1.0}
ROUGH = 4.0  # of coarser types


class Judge(Protocol):
    """What runs an exported model."""

    def ids(self, texts: Sequence[str]) -> list[list[int]]: ...

    def greedy(self, prompts: Sequence[Sequence[int]], num_tokens: int) -> list[list[Step]]: ...


@dataclass(frozen=True)
class Proof:
    """What was compared; None where there was nothing to compare with."""

    max_logit_difference: float | None = None
    ids_equal: bool | None = None
    greedy_equal: bool | None = None
    num_near: int = 0  # steps at which rounding has decided between the two best
    num_steps: int = 0

    @property
    def figures(self) -> dict[str, Any]:
        """As the command prints them."""
        return {name: getattr(self, name) for name in ("max_logit_difference", "ids_equal", "greedy_equal")}


def prove(
    model: Decoder, tokenizer: AnyTokenizer | None, judge: Judge, kind: str, prompts: Sequence[Sequence[int]], ends: Collection[int]
) -> Proof:
    """ModelError, saying how, where they disagree. `kind` is the type of the numbers that the judge reads, `ends` the ids that it passes
    over because it was told to go on."""
    passed_over = frozenset(ends)
    if tokenizer is not None:
        for text, theirs in zip(TEXTS, judge.ids(TEXTS), strict=True):
            if theirs != tokenizer.encode(text):
                raise ModelError(f"the export gives other ids: {theirs[:20]} for {text!r}", expected=str(tokenizer.encode(text)[:20]))
    judged = [
        step
        for prompt, steps in zip(prompts, judge.greedy(prompts, NUM_TOKENS), strict=True)
        for step in compare(model, prompt, steps, passed_over)
    ]
    largest, near = max(each.difference for each in judged), NEAR.get(kind, 0.0)
    others = sum(each.lost > near for each in judged)
    most = TOLERANCE.get(kind, ROUGH)
    if largest > most:
        raise ModelError(f"the export answers otherwise: log-probabilities differ by up to {largest:.3g}", expected=f"at most {most:g}")
    if kind in NEAR and others:
        raise ModelError(f"the export writes otherwise: {others} of {len(judged)} tokens are not the best here", expected="0")
    return Proof(largest, True if tokenizer else None, not others, sum(0 < each.lost <= near for each in judged), len(judged))


@dataclass(frozen=True)
class Compared:
    """One step of a continuation."""

    difference: float  # the largest between log-probabilities
    lost: float  # how much less likely we find the token that was taken than the best one


def compare(model: Decoder, prompt: Sequence[int], steps: Sequence[Step], ends: frozenset[int]) -> list[Compared]:
    """Each step of a judge beside ours. A judge that was told to go on passes over what ends a text, `ends`."""
    found = []
    for (taken, best), ours in zip(steps, log_probabilities(model, prompt, [id for id, _ in steps]), strict=True):
        difference = float((ours[list(best)] - torch.tensor(list(best.values()))).abs().max()) if best else 0.0
        open_to = ours.clone()
        open_to[list(ends - {taken})] = -torch.inf
        found.append(Compared(difference, float(open_to.max() - ours[taken])))
    return found


@torch.inference_mode()
def difference(one: Decoder, other: Decoder, prompts: Sequence[Sequence[int]]) -> float:
    """The largest between the log-probabilities of two decoders, of what comes after each token of the prompts, or of their labels."""

    def said(model: Decoder, prompt: Sequence[int]) -> torch.Tensor:
        hidden = model.hidden(torch.tensor([prompt], device=model.device))
        return (model.labels(hidden[:, -1]) if model.config.num_labels else model.head(hidden)).log_softmax(-1)

    return max(float((said(one, prompt) - said(other, prompt)).abs().max()) for prompt in prompts)


@torch.inference_mode()
def log_probabilities(model: Decoder, prompt: Sequence[int], taken: Sequence[int]) -> torch.Tensor:
    """(N, V) before each of the N tokens that were taken after the prompt; of a model that classifies (1, labels) of the prompt."""
    if model.config.num_labels:
        return model.labels(model.hidden(torch.tensor([prompt]))[:, -1]).log_softmax(-1)
    logits = model(torch.tensor([[*prompt, *taken[:-1]]]))[0, len(prompt) - 1 :]
    return logits.log_softmax(-1)  # type: ignore[no-any-return]


def prompts_for(tokenizer: AnyTokenizer | None, vocab_size: int, context: int) -> list[list[int]]:
    """Five: beginnings of texts, or some ids where there is no tokenizer; they and their continuations fit the context."""
    room = max(1, context - NUM_TOKENS)
    if tokenizer is None:
        return [[(7 * place + 31 * number) % vocab_size for place in range(min(room, 9))] for number in range(5)]
    return [tokenizer.prompt(text)[:room] for text in TEXTS]


class Transformers:
    """A folder in transformers, in float32."""

    def __init__(self, folder: Path, with_tokenizer: bool, classifies: bool = False) -> None:
        import transformers

        transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        kind: Any = transformers.AutoModelForSequenceClassification if classifies else transformers.AutoModelForCausalLM
        self._model, self._classifies = kind.from_pretrained(folder, dtype=torch.float32), classifies
        self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder) if with_tokenizer else None

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(self._tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids) for text in texts]

    @torch.inference_mode()
    def greedy(self, prompts: Sequence[Sequence[int]], num_tokens: int) -> list[list[Step]]:
        """Without a cache: what counts here are the logits."""
        found = []
        for prompt in prompts:
            ids, steps = list(prompt), list[Step]()
            for _ in range(1 if self._classifies else num_tokens):
                logits = self._model(torch.tensor([ids])).logits[0]  # (V) of a model that classifies, else (T, V)
                row = (logits if self._classifies else logits[-1]).log_softmax(-1)
                best = row.topk(min(5, len(row)))
                steps.append((int(best.indices[0]), dict(zip(best.indices.tolist(), best.values.tolist(), strict=True))))
                ids.append(steps[-1][0])
            found.append(steps)
        return found
