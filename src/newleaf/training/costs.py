"""What training costs, before anything is allocated: seconds a step, bytes of memory. Imports no torch.

A step is matrix products, which run at a share of the rate that large products reach on the machine, and passes over memory around
them. The constants are a first setting, from steps timed on one thread a run; lab/bench/costs.py measures and fits them anew.
"""

from newleaf.model import size
from newleaf.model.config import ModelConfig
from newleaf.optim.cost import newton_schulz_flops
from newleaf.runtime import Machine
from newleaf.training.plan import Plan, TextFacts
from newleaf.training.settings import TuneSettings
from newleaf.workers import num_workers

PROCESS_BYTES = 375_000_000  # torch, the interpreter and what threads keep for themselves, before any tensor (lab/LOG.md, 2026-11-25)
PROCESS_BYTES_EARLY, BYTES_A_JUDGED_BYTE = 250_000_000, 95  # before threads keep anything (lab/LOG.md, 2026-11-25)
EFFICIENCY = 0.8  # of products as thin as a model's, beside the square ones that the rate is measured with
VALUES_PER_SECOND = {  # read or written around the products, by (is a CPU, precision); on a GPU a guess
    (True, "float32"): 1.7e9,
    (True, "bf16"): 0.9e9,
    (False, "float32"): 2e11,
    (False, "bf16"): 4e11,
}
WHOLE = TuneSettings()  # all weights learn
RATE = {"cpu": 2e11}  # FLOP/s where none was measured: what two cores of 2026 have
RATE_ELSEWHERE = 1e14
SCORING = 2 / 3  # of the time of training: the forward is a third of a step, and windows overlap by half
PROCESS_SECONDS = 2.0  # to start, and to write report and card at the end (measured)
BYTES_WRITTEN = 5e8  # a second, hashed and forced to disk
SAMPLE_SECONDS = 0.3  # of a text now and then


def step_seconds(config: ModelConfig, machine: Machine, batch_tokens: int) -> float:
    """Seconds of one step on `batch_tokens` tokens, optimizer included."""
    rate = machine.matmul_flops_per_second or RATE.get(machine.device, RATE_ELSEWHERE)
    passes = values_touched(config) * batch_tokens / VALUES_PER_SECOND[machine.device == "cpu", machine.precision]
    return step_flops(config, batch_tokens) / (EFFICIENCY * rate) + passes


def step_flops(config: ModelConfig, batch_tokens: int) -> int:
    """Products of forward, backward and Muon."""
    matrices = [shape for shape in size.layer_shapes(config).values() if len(shape) == 2]
    return size.flops_per_token(config) * batch_tokens + config.depth * newton_schulz_flops((rows, columns) for rows, columns in matrices)


def values_touched(config: ModelConfig) -> int:
    """Numbers that one token makes the passes around the products read and write, in a unit that the fit settles."""
    return config.depth * (12 * config.width + 4 * config.mlp_width) + 2 * config.vocab_size


def peak_bytes(config: ModelConfig, micro_tokens: int, machine: Machine, tune: TuneSettings = WHOLE) -> int:
    """Memory of the process at the peak of a step that has `micro_tokens` in work; each worker has gradients of its own.

    With adapters only these have gradients and moments, and what is freed goes back to the system at once, so nothing is wasted."""
    more = num_workers(machine.device, machine.threads) - 1
    if tune.rank:
        learned = (12 + 4 * more) * size.adapter_parameters(config, tune.rank, tune.products)
        kept = micro_tokens * size.activation_bytes(config, machine.precision)
        return size.frozen_bytes(config, tune.products, bool(tune.int8)) + learned + kept + PROCESS_BYTES_EARLY
    return size.training_bytes(config, micro_tokens, machine.precision) + more * size.parameter_bytes(config) + PROCESS_BYTES


def judging_bytes(baseline_bytes: float) -> int:
    """Memory of the process while the baselines read so much text: counts in numpy, and xz twice at once."""
    return round(PROCESS_BYTES_EARLY + BYTES_A_JUDGED_BYTE * baseline_bytes)


def run_seconds(plan: Plan, text: TextFacts, a_step: float, reading: float, judging: float) -> float:
    """Of the whole command, where no clock ends it: `a_step` seconds a step, `reading` and encoding the text, `judging` by baselines."""
    times = {name: plan.last_step // every + 1 for name, every in plan.every.items()}
    scored = times["evaluation"] * min(text.val_tokens, plan.evaluation_tokens) + text.val_tokens
    written = (3 * times["checkpoint"] + times["evaluation"]) * size.parameter_bytes(plan.config)
    training = plan.last_step * a_step + SCORING * a_step * scored / plan.batch_tokens
    return PROCESS_SECONDS + reading + judging + training + written / BYTES_WRITTEN + times["sample"] * SAMPLE_SECONDS
