"""How much of a short run is training: everything else (start-up, reading, tokenizer, probes, evaluation, baselines, samples, writing)
as a share of the wall time, from the start of the process to its end, and whether it ends on time. One JSON line.

    python lab/bench/minute.py [TEXT …] [--minutes 1] [--busy 0.4 0.6]       without TEXT on the source of Python's standard library

`--busy` lets other processes take half of the cores from one share of the budget to another.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPIN = "import time, sys\nuntil = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < until: pass"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("text", nargs="*")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--busy", type=float, nargs=2, metavar=("FROM", "TO"), help="shares of the budget")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", *arguments.text, "--minutes", str(arguments.minutes), "--out", str(Path(folder, "run")), "--json"]
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "newleaf", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if arguments.busy:
            begin, end = (60 * arguments.minutes * share for share in arguments.busy)
            time.sleep(begin)
            for _ in range(max(1, (os.cpu_count() or 2) // 2)):
                subprocess.Popen([sys.executable, "-c", SPIN, str(end - begin)])
        out, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"newleaf train ended with {process.returncode}.")
        wall = time.perf_counter() - began
        summary = json.loads(out)
    print(
        json.dumps(
            {
                "minutes": arguments.minutes,
                "busy": arguments.busy,
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
