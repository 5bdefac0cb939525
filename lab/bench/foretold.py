"""What the plan foretells beside what comes: bits per byte, seconds and peak memory of whole runs. One JSON line a run, then a summary.

    python lab/bench/foretold.py TEXT... [--budget "--minutes 1" "--steps 500"] [--threads 2] [--at-once 1] [--options "--seed 1"]

Each TEXT is trained on with each budget by `newleaf train`. Memory is the most that the process and its children had at one time, by
the sum of their resident pages, asked for ten times a second. Seconds foretold for a budget in steps are scaled by the matrix rates of
`newleaf plan` and of the run. `--at-once 2 --threads 1` settles questions of bits per byte in half the time.
"""

import argparse
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")


def newleaf(*words: str, threads: int) -> subprocess.Popen[str]:
    environment = os.environ | {"NEWLEAF_TRAIN_THREADS": str(threads), "NEWLEAF_LANG": "en"}
    return subprocess.Popen(
        [sys.executable, "-m", "newleaf", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8", env=environment
    )


def resident(pid: int) -> int:
    """Bytes that a process and those it began hold in memory; 0 for those that have ended."""
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (OSError, IndexError):
        return 0
    return own + sum(resident(int(child)) for child in children)


def run(text: str, budget: str, threads: int, options: str) -> dict[str, Any]:
    """One line."""
    words = [text, *shlex.split(budget), *shlex.split(options)]
    with tempfile.TemporaryDirectory() as folder:
        foreseen = json.loads(newleaf("plan", *words, "--out", folder + "/plan", "--json", threads=threads).communicate()[0])
        peak, began = 0, time.perf_counter()
        process = newleaf("train", *words, "--out", folder + "/run", "--json", threads=threads)
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.1)
        seconds, out = time.perf_counter() - began, Path(folder, "run")
        summary = json.loads((out / "summary.json").read_text("utf-8"))
    measured, there = summary["matmul_flops_per_second"], foreseen["matmul_flops_per_second"]
    came = {"val_bpb": summary["val_bpb"], "peak_memory_bytes": peak, "seconds": seconds}
    expected = {name: foreseen[name] for name in came}
    if "--minutes" not in budget and there:
        expected["seconds"] *= there / measured
    return {
        "text": Path(text).name,
        "budget": budget,
        "threads": threads,
        "precision": foreseen["precision"],
        "shape": [foreseen[name] for name in ("depth", "width", "vocab_size", "context", "batch_tokens")],
        **{name: summary[name] for name in ("parameters", "tokens_trained", "train_tokens", "train_bytes", "final_val_bpb", "epochs")},
        "baselines": summary["baselines"],
        "expected": expected,
        "came": came,
        "off": {name: round(expected[name] / came[name] - 1, 4) for name in came},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="+")
    parser.add_argument("--budget", nargs="+", default=["--minutes 1"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--options", default="")
    arguments = parser.parse_args()
    lines = list[dict[str, Any]]()
    with ThreadPoolExecutor(arguments.at_once) as pool:
        for line in pool.map(lambda each: run(*each, arguments.threads, arguments.options), product(arguments.texts, arguments.budget)):
            print(json.dumps(line), flush=True)
            lines.append(line)
    for name in ("val_bpb", "seconds", "peak_memory_bytes"):
        off = [line["off"][name] for line in lines]
        within = {band: sum(abs(each) <= band for each in off) for band in (0.06, 0.1, 0.15)}
        spread = statistics.pstdev([math.log1p(each) for each in off])
        print(json.dumps({"of": name, "runs": len(off), "median": statistics.median(off), "spread": round(spread, 4), "within": within}))


if __name__ == "__main__":
    main()
