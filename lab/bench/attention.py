"""How many queries at a time attention should take in training: forward and backward of one thread, CPU time. One JSON line a shape.

python lab/bench/attention.py [--precision bf16] [--rounds 12]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from newleaf.model import attention
from newleaf.model.layers import PRODUCT_DTYPE
from newleaf.runtime import keep_freed_memory

SHAPES = [(14, 4, 256, 32), (14, 2, 256, 64), (28, 4, 128, 32), (28, 2, 128, 64), (7, 4, 512, 32), (16, 4, 256, 64)]  # B, H, T, D
BLOCKS = (32, 64, 128, 256)


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def seconds(attend: Callable[[Tensor, Tensor, Tensor], Tensor], inputs: list[Tensor], grad: Tensor) -> float:
    began = time.process_time()
    torch.autograd.grad(attend(*inputs), inputs, grad)
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=tuple(PRODUCT_DTYPE), default="bf16")
    parser.add_argument("--rounds", type=int, default=12)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    for shape in SHAPES:
        inputs = [torch.randn(shape, dtype=PRODUCT_DTYPE[arguments.precision], requires_grad=True) for _ in range(3)]
        grad = torch.randn_like(inputs[0])
        took: dict[str, list[float]] = {name: [] for name in (*map(str, BLOCKS), "fused")}
        for _ in range(arguments.rounds):
            for name, times in took.items():
                if name != "fused":
                    attention.block = lambda dtype, size=int(name): size
                times.append(seconds(fused if name == "fused" else attention.CausalBlocks.apply, inputs, grad))
        row = {name: round(1000 * statistics.median(times[2:]), 2) for name, times in took.items()}
        print(json.dumps({"shape": shape, "precision": arguments.precision, "milliseconds": row}), flush=True)


if __name__ == "__main__":
    main()
