"""What training costs, before anything is allocated: seconds a step, bytes of memory. Imports no torch.

A step is matrix products, which run at a share of the rate that large products reach on the machine, and passes over memory around
them. The constants are a first setting, from steps timed on one thread a run; lab/bench/costs.py measures and fits them anew.
"""

from newleaf.model import size
from newleaf.model.config import ModelConfig
from newleaf.optim.cost import newton_schulz_flops
from newleaf.runtime import Machine
from newleaf.workers import num_workers

PROCESS_BYTES = 450_000_000  # torch and the interpreter, before any tensor (measured)
EFFICIENCY = 0.8  # of products as thin as a model's, beside the square ones that the rate is measured with
VALUES_PER_SECOND = {  # read or written around the products, by (is a CPU, precision); on a GPU a guess
    (True, "float32"): 1.7e9,
    (True, "bf16"): 0.9e9,
    (False, "float32"): 2e11,
    (False, "bf16"): 4e11,
}
RATE = {"cpu": 2e11}  # FLOP/s where none was measured: what two cores of 2026 have
RATE_ELSEWHERE = 1e14


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


def peak_bytes(config: ModelConfig, micro_tokens: int, machine: Machine) -> int:
    """Memory of the process at the peak of a step that has `micro_tokens` in work; each worker has gradients of its own."""
    more_gradients = (num_workers(machine.device, machine.threads) - 1) * size.parameter_bytes(config)
    return size.training_bytes(config, micro_tokens, machine.precision) + more_gradients + PROCESS_BYTES
