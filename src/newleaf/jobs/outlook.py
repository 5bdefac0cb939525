"""What a whole run will take on this machine, time and memory, for the person who asks before it begins.

A formula (training/costs.py) is enough to choose among shapes. What is told comes from trying: some steps of a model of the plan's
shape, at random weights and on random tokens, because what stands between the matrix products differs from processor to processor;
and the memory that reading this text has just taken.
"""

import statistics

import numpy as np
import torch

from newleaf.evaluation.baselines import baseline_bytes, baseline_seconds
from newleaf.model.layers import Dropout
from newleaf.runtime import Machine, peak_memory
from newleaf.training.costs import judging_bytes, run_seconds, step_seconds
from newleaf.training.plan import Plan, TextFacts
from newleaf.training.stepper import Stepper
from newleaf.workers import Workers

STEPS = 5  # of which the first warms up
MOST_SECONDS = 5.0  # by the formula: a trial that would take longer is left out
ROWS_EACH = 2  # at once, of a large batch: the rest of it takes as long again


def outlook(plan: Plan, text: TextFacts, machine: Machine, workers: Workers, reading: float) -> dict[str, float]:
    """`seconds` (of a budget in minutes, these) and `peak_memory_bytes` of the whole command, whose text took `reading` seconds to read."""
    judged = baseline_bytes(plan.budget.minutes, text.val_bytes) + text.val_bytes
    memory = max(plan.foreseen["peak_memory_bytes"], judging_bytes(min(judged, text.train_bytes + text.val_bytes)), peak_memory())
    seconds = plan.budget.seconds or run_seconds(
        plan, text, measured_step_seconds(plan, machine, workers), reading, baseline_seconds(text.train_bytes, text.val_bytes)
    )
    return {"seconds": seconds, "peak_memory_bytes": float(memory)}


def measured_step_seconds(plan: Plan, machine: Machine, workers: Workers) -> float:
    """Seconds of one step, optimizer included: the median of some; by the formula where trying would take long."""
    config = plan.as_trained
    rows = min(plan.batch_rows, plan.micro_batch, max(workers.count * ROWS_EACH, 4096 // config.context))
    if STEPS * step_seconds(config, machine, rows * config.context) > MOST_SECONDS:
        return step_seconds(config, machine, plan.batch_tokens)
    stepper = Stepper(config, plan.optim, machine.precision, workers, rows, machine.device)
    dropout = Dropout(plan.dropout, torch.Generator(machine.device)) if plan.dropout else None
    ids = np.random.default_rng(0).integers(0, config.vocab_size, (rows, config.context))
    for _ in range(STEPS):
        stepper.move(ids, ids, dropout=dropout)
    gradients, updates = zip(*stepper.seconds[1:], strict=True)
    return float(statistics.median(gradients) * plan.batch_rows / rows + statistics.median(updates))
