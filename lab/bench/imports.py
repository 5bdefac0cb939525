"""What reading a model takes: peak memory of the process beside the float32 bytes of the parameters, and seconds. One JSON line a case.

    python lab/bench/imports.py [--millions 500] [--folder PATH]

Random weights in a Llama shape, as one float32 file and as four bfloat16 files; each is read by a process of its own (POSIX). The goal is
1.15 times the float32 bytes and 500 MB.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

import newleaf
from newleaf import fsio
from newleaf.checkpoint.tensors import save_tensors
from newleaf.conversion.configs import config_to_json
from newleaf.model import size
from newleaf.model.config import ModelConfig, preset

CASES = {"float32, one file": (torch.float32, 1), "bfloat16, four files": (torch.bfloat16, 4)}


class Random(Mapping[str, Tensor]):
    """Tensors that are drawn when they are written, so that writing takes little memory."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype) -> None:
        self.shapes, self.dtype = shapes, dtype

    def __getitem__(self, name: str) -> Tensor:
        generator = torch.Generator().manual_seed(len(name))
        return torch.randn(self.shapes[name], generator=generator).mul_(0.02).to(self.dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def shape_of(millions: float) -> ModelConfig:
    """A Llama of about so many parameters."""
    for depth in range(1, 200):
        config = preset("llama", vocab_size=32_000, width=2048, depth=depth, context=2048, heads=32, kv_heads=8)
        if size.parameters(config) >= millions * 1e6:
            return config
    raise SystemExit("--millions is too much for this shape")


def write(folder: Path, config: ModelConfig, dtype: torch.dtype, parts: int) -> None:
    fsio.make_folders(folder)
    fsio.write_json(folder / "config.json", config_to_json(config))
    names = sorted(size.shapes(config))
    chosen = {name: number * parts // len(names) for number, name in enumerate(names)}
    for part in range(parts):
        shapes = {name: shape for name, shape in size.shapes(config).items() if chosen[name] == part}
        save_tensors(folder / file_name(part, parts), Random(shapes, dtype), {"format": "pt"})
    if parts > 1:
        fsio.write_json(folder / "model.safetensors.index.json", {"weight_map": {name: file_name(n, parts) for name, n in chosen.items()}})


def file_name(part: int, parts: int) -> str:
    return "model.safetensors" if parts == 1 else f"model-{part + 1:05d}-of-{parts:05d}.safetensors"


def read(folder: str) -> None:
    """In a process of its own."""
    began = time.perf_counter()
    newleaf.load(folder)
    kilobytes = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobytes
    print(json.dumps({"peak_bytes": peak, "seconds": round(time.perf_counter() - began, 2)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, default=500.0)
    parser.add_argument("--folder", type=Path, help="where the models are written for a while; a temporary folder by default")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        return read(arguments.read)
    config = shape_of(arguments.millions)
    wanted = 1.15 * size.parameter_bytes(config) + 500e6
    with tempfile.TemporaryDirectory(dir=arguments.folder) as place:
        for name, (dtype, parts) in CASES.items():
            folder = Path(place) / str(parts)
            write(folder, config, dtype, parts)
            said = subprocess.run([sys.executable, __file__, "--read", str(folder)], capture_output=True, text=True, check=True).stdout
            found = json.loads(said)
            facts = {"case": name, "parameters": size.parameters(config), "float32_bytes": size.parameter_bytes(config)}
            print(json.dumps(facts | found | {"goal_bytes": round(wanted), "reached": found["peak_bytes"] <= wanted}), flush=True)
            fsio.remove_tree(folder)
    return None


if __name__ == "__main__":
    main()
