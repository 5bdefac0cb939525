"""Tokens a second of one stream beside transformers' `generate` on the same weights, and beside what the memory allows.

One JSON line a case: 10 million parameters (Qwen3 shape) and 124 million (GPT-2), float32 and bf16, greedy. Both tools take turns
in one process and write the same number of tokens after the same prompt; figures are medians, [lowest, highest] beside
them. `bandwidth_share` is bytes of weights read a second over the bytes a second at which the same amount of memory is
summed up or multiplied with a vector, whichever is faster. `products_tokens_per_second` is the rate at which the matrices of one
token alone are multiplied with a vector, by the fastest way that torch has: what is left if all else took no time.

    python lab/bench/generation.py [--rounds 7] [--tokens 64] [--case gpt2-124M] [--precision bf16]
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from newleaf.conversion.huggingface import write_model
from newleaf.generation.engine import Engine, Sample
from newleaf.generation.settings import Sampling
from newleaf.model.config import ModelConfig, preset
from newleaf.model.decoder import Decoder
from newleaf.model.layers import PRODUCT_DTYPE, Precision

CASES = {
    "qwen3-10M": preset("qwen3", vocab_size=8192, width=256, depth=8, context=512),
    "gpt2-124M": preset("gpt2", vocab_size=50257, width=768, depth=12, context=1024),
}
PROMPT = list(range(100, 116))


class Letters:
    """As many tokens as a model has rows; each shows a letter, and none ends a text."""

    end_of_text, special_tokens = -1, dict[str, int]()

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size

    def encode(self, text: str) -> list[int]:
        return PROMPT

    def token_bytes(self, id: int) -> bytes:
        return bytes([97 + id % 26])


def timed(write: Callable[[], list[int]]) -> tuple[list[int], float]:
    """What is written, and tokens a second."""
    began = time.perf_counter()
    ids = write()
    return ids, len(ids) / (time.perf_counter() - began)


def ours(engine: Engine, sampling: Sampling) -> list[int]:
    """The ids of a greedy sample."""
    return next(item for item in engine.stream("", sampling) if isinstance(item, Sample)).ids


def theirs(judge: PreTrainedModel, num_tokens: int) -> list[int]:
    """The ids that transformers writes."""
    prompt = torch.tensor([PROMPT])
    ids: torch.Tensor = judge.generate(  # type: ignore[operator]
        prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=num_tokens, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    return ids[0, len(PROMPT) :].tolist()


def bytes_read(config: ModelConfig, model: Decoder, dtype: torch.dtype) -> int:
    """Bytes of weights that one token reads: all but the rows of tables that it does not look up."""
    looked_up = ["embed_positions"] if config.tied else ["embed_positions", "embed_tokens"]
    read = sum(weight.numel() for name, weight in model.named_parameters() if not any(table in name for table in looked_up))
    return read * dtype.itemsize


def reading_rates(num_bytes: int) -> Iterator[float]:
    """Bytes a second of reading `num_bytes` once, in the two ways that torch reads fastest."""
    memory, vector = torch.ones(num_bytes // 4096, 1024), torch.ones(1024)
    for read in (memory.sum, lambda: torch.mv(memory, vector)):
        began = time.perf_counter()
        read()
        yield memory.numel() * 4 / (time.perf_counter() - began)


@torch.inference_mode()
def products_rate(engine: Engine) -> float:
    """Tokens a second if a token were nothing but its products, one after the other."""
    assert engine._row is not None
    products = [each for layer in engine._row.layers for each in (layer.qkv, layer.mixed, layer.up, layer.down)] + [engine._row.head]
    width, hidden = engine.model.config.width, engine.model.config.mlp_width
    inputs = {id(layer.down): torch.ones(hidden) for layer in engine._row.layers}
    began = time.perf_counter()
    for product in products:
        product(inputs.get(id(product), torch.ones(width)))
    return 1 / (time.perf_counter() - began)


def measure(case: str, precision: Precision, rounds: int, num_tokens: int) -> dict[str, object]:
    """One line of results."""
    config, dtype, sampling = CASES[case], PRODUCT_DTYPE[precision], Sampling(greedy=True, max_tokens=num_tokens)
    model = Decoder(config)
    with torch.no_grad():
        for weight in model.parameters():  # so that logits are far apart, and both write the same text
            if weight.ndim == 2:
                weight.normal_(std=weight.shape[1] ** -0.5, generator=torch.Generator().manual_seed(weight.numel()))
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), model, {})
        judge = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    engine = Engine(model, Letters(config.vocab_size), precision)  # type: ignore[arg-type]
    num_bytes = bytes_read(config, model, dtype)
    equal, our_rates, their_rates, bandwidths, products = True, list[float](), list[float](), list[float](), list[float]()
    for number in range(rounds + 1):
        (our_ids, our_rate), (their_ids, their_rate) = timed(lambda: ours(engine, sampling)), timed(lambda: theirs(judge, num_tokens))
        bandwidth = max(reading_rates(num_bytes))
        if number:  # the first round warms up
            our_rates.append(our_rate), their_rates.append(their_rate), bandwidths.append(bandwidth)
            products.append(statistics.median(products_rate(engine) for _ in range(9)))
        equal &= our_ids == their_ids
    rate, their_rate, bandwidth = map(statistics.median, (our_rates, their_rates, bandwidths))
    return {
        "bench": "generation",
        "case": case,
        "precision": precision,
        "tokens_per_second": round(rate, 1),
        "spread": [round(min(our_rates), 1), round(max(our_rates), 1)],
        "transformers_tokens_per_second": round(their_rate, 1),
        "transformers_spread": [round(min(their_rates), 1), round(max(their_rates), 1)],
        "ratio": round(statistics.median(a / b for a, b in zip(our_rates, their_rates, strict=True)), 2),
        "bandwidth_share": round(rate * num_bytes / bandwidth, 2),
        "bandwidth_gb_per_second": round(bandwidth / 1e9, 1),
        "bandwidth_tokens_per_second": round(bandwidth / num_bytes, 1),
        "products_tokens_per_second": round(statistics.median(products), 1),
        "products_ratio": round(statistics.median(a / b for a, b in zip(products, their_rates, strict=True)), 2),
        "same_text": equal if precision == "float32" else None,  # transformers rounds more in bf16: its residual stream, too
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "tokens": num_tokens,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--precision", choices=PRODUCT_DTYPE, action="append")
    options = parser.parse_args()
    for case in options.case or CASES:
        for precision in options.precision or PRODUCT_DTYPE:
            print(json.dumps(measure(case, precision, options.rounds, options.tokens)), flush=True)


if __name__ == "__main__":
    main()
