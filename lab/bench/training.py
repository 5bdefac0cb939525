"""Share of the machine's matrix rate that training reaches, at about ten million parameters. One JSON line a precision.

    python lab/bench/training.py [--seconds 20] [--width 320 --depth 8] [--precision float32]

The rate is measured in the same process, before and after, as `newleaf train` does: products of side 2048, the run's threads.
"""

import argparse
import json
import statistics
import time

import numpy as np
from costs import SETTINGS

from newleaf import runtime
from newleaf.model import size
from newleaf.model.config import preset
from newleaf.training.stepper import Stepper
from newleaf.workers import workers_for


def measure(precision: runtime.Precision, arguments: argparse.Namespace) -> dict[str, object]:
    """Steps for some seconds."""
    machine = runtime.machine(None, precision)
    runtime.settle(machine)
    runtime.keep_freed_memory()
    config = preset(
        "qwen3",
        vocab_size=arguments.vocab,
        width=arguments.width,
        depth=arguments.depth,
        context=arguments.context,
        head_dim=arguments.head_dim,
    )
    rows = arguments.batch // config.context
    stepper = Stepper(config, SETTINGS, precision, workers_for(machine.device, machine.threads), rows, machine.device)
    ids = np.random.default_rng(0).integers(0, config.vocab_size, (rows, config.context))
    products, began = runtime.matmul_seconds(machine.device, precision, 5), time.perf_counter()
    while len(stepper.seconds) < 3 or time.perf_counter() - began < arguments.seconds:
        stepper.move(ids, ids)
    rate = runtime.matmul_rate(products + runtime.matmul_seconds(machine.device, precision, 5))
    steps = [gradients + updates for gradients, updates in stepper.seconds[1:]]
    seconds = statistics.median(steps)
    flops = size.flops_per_token(config) * arguments.batch / seconds
    return {
        "precision": precision,
        "parameters": size.parameters(config),
        "step_seconds": round(seconds, 4),
        "spread": [round(min(steps), 4), round(max(steps), 4)],
        "updates_seconds": round(statistics.median(updates for _, updates in stepper.seconds[1:]), 4),
        "tokens_per_second": round(arguments.batch / seconds),
        "gflops": round(flops / 1e9, 1),
        "matmul_gflops": round(rate / 1e9, 1),
        "share": round(flops / rate, 3),
        "steps": len(stepper.seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--precision", choices=("float32", "bf16"), action="append")
    for name, default in {"seconds": 20, "width": 320, "depth": 8, "vocab": 4096, "context": 256, "batch": 4096, "head_dim": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    for precision in arguments.precision or ("float32", "bf16"):
        print(json.dumps(measure(precision, arguments)), flush=True)


if __name__ == "__main__":
    main()
