"""How much of a short run is training: everything else (start-up, reading, tokenizer, probes, evaluation, baselines, samples, writing)
as a share of the wall time, from the start of the process to its end. One JSON line.

    python lab/bench/minute.py [TEXT …] [--minutes 1]       without TEXT on the source of Python's standard library
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text", nargs="*")
    parser.add_argument("--minutes", type=float, default=1.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", *arguments.text, "--minutes", str(arguments.minutes), "--out", str(Path(folder, "run")), "--json"]
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "newleaf", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        wall = time.perf_counter() - began
        summary = json.loads(done.stdout)
    print(
        json.dumps(
            {
                "minutes": arguments.minutes,
                "wall_seconds": round(wall, 2),
                "off_budget": round(wall / (60 * arguments.minutes) - 1, 4),
                "train_seconds": round(summary["train_seconds"], 2),
                "share_of_all_else": round(1 - summary["train_seconds"] / wall, 3),
            }
            | {name: summary[name] for name in ("val_bpb", "steps", "parameters", "mfu", "clock_decisions", "stopped_by")}
        )
    )


if __name__ == "__main__":
    main()
