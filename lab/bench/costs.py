"""What a training step costs on this machine beside what the plan expects, over the plan's ladder of shapes. One JSON line a shape.

    python lab/bench/costs.py [--precision bf16] [--rounds 5] [--largest 640]

Shapes take turns, so that a busy moment hits all of them. The last line is the fit: matrix products at `efficiency` of the rate
measured here, and values passed over a second, by least squares of the relative errors; `worst` is the largest of these.
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
from newleaf.loss.language import language  # noqa: E402
from newleaf.model import size  # noqa: E402
from newleaf.model.config import ModelConfig, preset  # noqa: E402
from newleaf.model.decoder import Decoder  # noqa: E402
from newleaf.model.layers import PRODUCT_DTYPE, Dropout  # noqa: E402
from newleaf.optim.optimizer import Optimizer  # noqa: E402
from newleaf.optim.settings import OptimSettings  # noqa: E402
from newleaf.training import choices, costs  # noqa: E402
from newleaf.training.gradients import Gradients  # noqa: E402
from newleaf.workers import Workers, workers_for  # noqa: E402

SETTINGS = OptimSettings(kind="muon", lr=0.001, embedding_lr=0.001, head_lr=0.001, norm_lr=0.001, weight_decay=0.1)


class Stepper:
    """One model with its optimizer, ready to be moved, and to be timed on random tokens."""

    def __init__(
        self,
        config: ModelConfig,
        precision: runtime.Precision,
        batch_tokens: int,
        workers: Workers,
        settings: OptimSettings = SETTINGS,
        seed: int = 0,
    ) -> None:
        self.config, self.batch_tokens, self.seconds = config, batch_tokens, list[float]()
        self.model = Decoder(config, torch.Generator().manual_seed(seed))
        self.optimizer = Optimizer(self.model.named_parameters(), settings, precision, workers)

        def loss(model: Decoder, inputs: torch.Tensor, targets: torch.Tensor, dropout: Dropout | None) -> torch.Tensor:
            hidden = model.hidden(inputs, dropout=dropout, precision=precision)
            return language(hidden, model.head_weight, targets, PRODUCT_DTYPE[precision])

        rows = batch_tokens // config.context
        self.gradients = Gradients(self.model, loss, str(self.model.device), workers, rows)
        self.ids = np.random.default_rng(0).integers(0, config.vocab_size, (rows, config.context))

    def step(self) -> None:
        """Timed."""
        began = time.perf_counter()
        self.move(self.ids, self.ids)
        self.seconds.append(time.perf_counter() - began)

    def move(self, inputs: np.ndarray, targets: np.ndarray, scale: float = 1.0, dropout: Dropout | None = None) -> None:
        """One step on a batch (B, T), with the rates times `scale`."""
        self.gradients(inputs, targets, dropout=lambda part: dropout, stopped=lambda: False)
        self.optimizer.clip()
        self.optimizer.step(scale)


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
        Stepper(preset("qwen3", vocab_size=vocab, width=width, depth=depth, context=arguments.context), machine.precision, 4096, workers)
        for depth, width, vocab in shapes
    ]
    for _ in range(arguments.rounds + 1):
        for stepper in steppers:
            stepper.step()
    rows = []
    for (depth, width, vocab), stepper in zip(shapes, steppers, strict=True):
        seconds = statistics.median(stepper.seconds[1:])
        expected = costs.step_seconds(stepper.config, machine, stepper.batch_tokens)
        flops = size.flops_per_token(stepper.config) * stepper.batch_tokens
        rows.append(
            {
                "shape": [depth, width, vocab],
                "parameters": size.parameters(stepper.config),
                "seconds": round(seconds, 4),
                "expected": round(expected, 4),
                "ratio": round(expected / seconds, 3),
                "share_of_matrix_rate": round(flops / seconds / (machine.matmul_flops_per_second or 1), 3),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    measured = np.array([statistics.median(stepper.seconds[1:]) for stepper in steppers])
    products = np.array([costs.step_flops(stepper.config, stepper.batch_tokens) for stepper in steppers]) / machine.matmul_flops_per_second
    passes = np.array([costs.values_touched(stepper.config) * stepper.batch_tokens for stepper in steppers])
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
