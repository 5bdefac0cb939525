"""What adapters save: peak memory and seconds a step of full tuning, of adapters, and of adapters beside 8-bit weights.

    python lab/bench/adapters.py [--width 512] [--depth 8] [--steps 12]

A model that was hardly trained is tuned three ways for a few steps, in turn, each a process of its own without baselines. Prints JSON.
"""

import argparse
import json
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import commands

from newleaf.runs import read_lines

WAYS: dict[str, list[str]] = {"full": [], "adapters": ["--lora"], "adapters, int8": ["--lora", "--tune.int8", "true"]}
ROWS = 80  # eight are held out, and answered


def measured(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    text, rows = folder / "text.txt", folder / "rows.jsonl"
    text.write_text("".join(f"leaf {n} of spring, leaf {n * 7 % 1000} of autumn\n" for n in range(4000)), "utf-8")
    talk = [{"prompt": f"which leaf comes after {n}? " * 6, "completion": f"leaf {n + 1}, of course. " * 6} for n in range(ROWS)]
    rows.write_text("".join(json.dumps(row) + "\n" for row in talk), "utf-8")
    shape = ["--model.width", str(arguments.width), "--model.depth", str(arguments.depth), "--model.context", "256"]
    log = folder / "log"
    base, _ = commands.run(["train", str(text), "--out", str(folder / "base"), "--steps", "1", *shape, "--train.batch_tokens", "512"], log)
    found: dict[str, Any] = {"parameters": base["parameters"], "ways": {}}
    for way, words in WAYS.items():
        out = folder / way.replace(", ", "-")
        same = [
            "--steps",
            str(arguments.steps),
            "--tune.baselines",
            "false",
            "--model.context",
            "256",
            "--train.batch_tokens",
            str(arguments.batch_tokens),
        ]
        said, process = commands.run(["tune", str(folder / "base"), str(rows), "--task", "chat", "--out", str(out), *same, *words], log)
        seconds = [line["seconds"] for line in read_lines(out / "metrics.jsonl")]
        steps = [later - earlier for earlier, later in pairwise(seconds)]
        found["ways"][way] = {
            "peak_megabytes": process["peak_megabytes"],
            "seconds_a_step": round(median(steps), 3),
            "val_loss": said["val_loss"],
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"width": 512, "depth": 8, "steps": 12, "batch_tokens": 1024}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(parser.parse_args(), Path(folder))))


if __name__ == "__main__":
    main()
