"""How low a text's bits per byte will go: a small model learns from it for some seconds, and its curve is followed further.

Counts and compressors do not tell it. Over 44 runs on 15 texts, a formula of how well xz writes a text was off by 21 % (standard
deviation of the logarithm), the best one of n-gram counts and compressors by 9 %, the curve of a pilot by 6 % (each text foretold by a
fit to the others; lab/LOG.md, 2026-11-25). Two texts with equal counts differ in what a model learns later: to copy, to calculate.
"""

import math
from dataclasses import dataclass

import numpy as np

from newleaf.batches.pretrain import PretrainBatches, Stream
from newleaf.evaluation.bits import score
from newleaf.model.config import preset
from newleaf.optim.schedule import multiplier
from newleaf.optim.settings import OptimSettings
from newleaf.training.plan import Plan
from newleaf.training.scaling import worth_of
from newleaf.training.stepper import Stepper
from newleaf.workers import Workers

TEXT_BYTES, HELD_OUT_BYTES = 2_500_000, 48_000  # of what is learned from and of what is held out, from all through them
STEPS, EARLY, LATE = 300, 75, 225
WIDTH, CONTEXT, BATCH_TOKENS = 64, 64, 1024
SETTINGS = OptimSettings(
    kind="muon", lr=0.006, embedding_lr=0.03, head_lr=0.01, norm_lr=0.003, weight_decay=0.1, decay_fraction=0.4, warmup_steps=15
)
GAIN, START = 1.33, 0.027  # least squares of these runs: how much faster than the pilot's a run's bits fall, and from where
BAND = 0.06  # of the bits foretold: 34 of the 44 runs fall within
WORTH_ITS_TIME = 10.0  # minutes of a budget in which the pilot's seconds are below a hundredth


@dataclass(frozen=True)
class Curve:
    """Held-out bits per byte of a pilot early, late and at its end."""

    early: float
    late: float
    end: float

    def followed(self, tokens: float, unique_tokens: float) -> float:
        """Bits per byte to expect after `tokens` of a text that has `unique_tokens`: a power of their worth, as steep as the pilot's.

        >>> curve = Curve(2.4, 2.2, 2.1)
        >>> curve.followed(3e6, 1e9) < curve.followed(1e6, 1e9) < curve.end
        True
        """
        further = math.log(max(1.0, worth_of(tokens, unique_tokens)) / (STEPS * BATCH_TOKENS))
        return min(8.0, self.end * math.exp(START - GAIN * math.log(self.early / self.late) * further))


def foretold_bits(curve: Curve, plan: Plan, unique_tokens: int) -> dict[str, float]:
    """What the plan says of the bits per byte to come: `val_bpb` and its band."""
    bits = curve.followed(plan.last_step * plan.batch_tokens, unique_tokens)
    return {"val_bpb": bits, "val_bpb_low": bits * (1 - BAND), "val_bpb_high": bits * (1 + BAND)}


def pilot(train: Stream, held_out: np.ndarray, held_out_bytes: int, vocab_size: int, workers: Workers) -> Curve:
    """Of one layer, in float32, from the ids of some of the text: seconds on two cores. `held_out` are the ids of `held_out_bytes`."""
    config = preset("qwen3", vocab_size=vocab_size, width=WIDTH, depth=1, context=CONTEXT, head_dim=32)
    rows = BATCH_TOKENS // CONTEXT
    stepper, batches = Stepper(config, SETTINGS, "float32", workers, rows), PretrainBatches(train, CONTEXT, rows, seed=0)
    seen = list[float]()
    for step in range(STEPS):
        stepper.move(*batches(step), multiplier(step, step / STEPS, SETTINGS))
        if step + 1 in (EARLY, LATE, STEPS):
            seen.append(score(stepper.model, held_out, CONTEXT, workers).bits_per_byte(held_out_bytes))
    return Curve(*seen)
