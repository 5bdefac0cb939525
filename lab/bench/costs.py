"""What a training step costs on this machine beside what the plan expects, over the plan's ladder of shapes. One JSON line a shape.

    python lab/bench/costs.py [--precision bf16] [--rounds 5] [--largest 640]

Shapes take turns, so that a busy moment hits all of them. The last line is the fit: matrix products at `efficiency` of the rate
measured here, and values passed over a second, by least squares of the relative errors; `worst` is the largest of these.
"""

import argparse
import json
import statistics

import numpy as np

from newleaf.runtime import sleep_while_waiting

sleep_while_waiting()


from newleaf import runtime  # noqa: E402
from newleaf.model import size  # noqa: E402
from newleaf.model.config import preset  # noqa: E402
from newleaf.optim.settings import OptimSettings  # noqa: E402
from newleaf.training import choices, costs  # noqa: E402
from newleaf.training.stepper import Stepper  # noqa: E402
from newleaf.workers import workers_for  # noqa: E402

SETTINGS = OptimSettings(kind="muon", lr=0.001, embedding_lr=0.001, head_lr=0.001, norm_lr=0.001, weight_decay=0.1)


BATCH_TOKENS = 4096


def median_seconds(stepper: Stepper) -> float:
    """Of a step, the first one left out."""
    return statistics.median(map(sum, stepper.seconds[1:]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--precision", choices=("float32", "bf16"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--largest", type=int, default=640, help="width")
    parser.add_argument("--context", type=int, default=256)
    arguments = parser.parse_args()
    machine = runtime.machine(None, arguments.precision)
    runtime.settle(machine)
    runtime.keep_freed_memory()
    machine = runtime.measured(machine if arguments.precision else runtime.faster(machine))
    workers = workers_for("cpu", machine.threads)
    shapes = [(depth, width, vocab) for depth, width in choices.LADDER for vocab in (1024, 4096) if width <= arguments.largest]
    steppers = [
        Stepper(
            preset("qwen3", vocab_size=vocab, width=width, depth=depth, context=arguments.context),
            SETTINGS,
            machine.precision,
            workers,
            BATCH_TOKENS // arguments.context,
        )
        for depth, width, vocab in shapes
    ]
    ids = np.random.default_rng(0).integers(0, 1024, (BATCH_TOKENS // arguments.context, arguments.context))
    for _ in range(arguments.rounds + 1):
        for stepper in steppers:
            stepper.move(ids, ids)
    rows = []
    for (depth, width, vocab), stepper in zip(shapes, steppers, strict=True):
        seconds, config = median_seconds(stepper), stepper.model.config
        expected = costs.step_seconds(config, machine, BATCH_TOKENS)
        flops = size.flops_per_token(config) * BATCH_TOKENS
        rows.append(
            {
                "shape": [depth, width, vocab],
                "parameters": size.parameters(config),
                "seconds": round(seconds, 4),
                "expected": round(expected, 4),
                "ratio": round(expected / seconds, 3),
                "share_of_matrix_rate": round(flops / seconds / (machine.matmul_flops_per_second or 1), 3),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    measured = np.array([median_seconds(stepper) for stepper in steppers])
    configs = [stepper.model.config for stepper in steppers]
    products = np.array([costs.step_flops(config, BATCH_TOKENS) for config in configs]) / machine.matmul_flops_per_second
    passes = np.array([costs.values_touched(config) * BATCH_TOKENS for config in configs])
    terms = np.stack([products, passes], 1) / measured[:, None]
    found, *_ = np.linalg.lstsq(terms, np.ones(len(measured)), rcond=None)
    print(
        json.dumps(
            {
                "precision": machine.precision,
                "matmul_gflops": round((machine.matmul_flops_per_second or 0) / 1e9, 1),
                "efficiency": round(float(1 / found[0]), 3),
                "values_per_second": float(f"{1 / found[1]:.3g}"),
                "worst": round(float(np.abs(terms @ found - 1).max()), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
