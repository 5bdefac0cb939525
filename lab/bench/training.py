"""Share of the machine's matrix rate that training reaches, at about ten million parameters. One JSON line a precision.

    python lab/bench/training.py [--seconds 20] [--width 320 --depth 8]

The rate is measured in the same process, before and after, as `newleaf train` does: products of side 2048, the run's threads.
"""

import argparse
import json
import statistics
import time

import numpy as np

from newleaf.runtime import sleep_while_waiting

sleep_while_waiting()

import torch  # noqa: E402

from newleaf import runtime  # noqa: E402
from newleaf.batches.pretrain import PretrainBatches  # noqa: E402
from newleaf.loss.language import language  # noqa: E402
from newleaf.model import size  # noqa: E402
from newleaf.model.config import preset  # noqa: E402
from newleaf.model.decoder import Decoder  # noqa: E402
from newleaf.model.layers import PRODUCT_DTYPE, Dropout  # noqa: E402
from newleaf.optim.optimizer import Optimizer  # noqa: E402
from newleaf.optim.settings import OptimSettings  # noqa: E402
from newleaf.training.gradients import Gradients  # noqa: E402
from newleaf.workers import workers_for  # noqa: E402


def measure(precision: runtime.Precision, arguments: argparse.Namespace) -> dict[str, object]:
    """Steps of the real loop's parts for some seconds."""
    config = preset("qwen3", vocab_size=arguments.vocab, width=arguments.width, depth=arguments.depth, context=arguments.context)
    model = Decoder(config, torch.Generator().manual_seed(0))
    settings = OptimSettings(kind="muon", lr=0.001, embedding_lr=0.001, head_lr=0.001, norm_lr=0.001, weight_decay=0.1)
    threads = runtime.available_cores()
    torch.set_num_threads(threads)
    workers = workers_for("cpu", threads)
    optimizer = Optimizer(model.named_parameters(), settings, precision, workers)

    def loss(model: Decoder, inputs: torch.Tensor, targets: torch.Tensor, dropout: Dropout | None) -> torch.Tensor:
        return language(model.hidden(inputs, dropout=dropout, precision=precision), model.head_weight, targets, PRODUCT_DTYPE[precision])

    gradients = Gradients(model, loss, "cpu", workers, arguments.batch // arguments.context)
    ids = np.random.default_rng(0).integers(0, arguments.vocab, 1_000_000)
    batches = PretrainBatches(ids, arguments.context, arguments.batch // arguments.context, seed=0)
    products, steps, began = runtime.matmul_seconds("cpu", precision, 5), [], time.perf_counter()
    while time.perf_counter() - began < arguments.seconds:
        started = time.perf_counter()
        gradients(*batches(len(steps)), dropout=lambda part: None, stopped=lambda: False)
        optimizer.clip()
        optimizer.step(1.0)
        steps.append(time.perf_counter() - started)
    rate = runtime.matmul_rate(products + runtime.matmul_seconds("cpu", precision, 5))
    flops = size.flops_per_token(config) * arguments.batch / statistics.median(steps[1:])
    return {
        "precision": precision,
        "parameters": size.parameters(config),
        "step_seconds": round(statistics.median(steps[1:]), 4),
        "tokens_per_second": round(arguments.batch / statistics.median(steps[1:])),
        "gflops": round(flops / 1e9, 1),
        "matmul_gflops": round(rate / 1e9, 1),
        "share": round(flops / rate, 3),
        "steps": len(steps),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, default in {"seconds": 20, "width": 320, "depth": 8, "vocab": 4096, "context": 256, "batch": 4096}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    for precision in ("float32", "bf16"):
        print(json.dumps(measure(precision, arguments)), flush=True)


if __name__ == "__main__":
    main()
