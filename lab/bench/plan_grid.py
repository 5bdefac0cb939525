"""Is what the plan chooses the best that could be chosen? The plan's own run and some twenty others, which differ in one thing each.

    python lab/bench/plan_grid.py FOLDER... [--minutes 1] [--long 3] [--best 3] [--results FILE]

FOLDER holds what is learned from, train.txt or a folder train/, and val.txt, small enough that every run scores it whole. Sizes are those
of SHAPES; vocabulary, batch, context and rate are halved and doubled; the plan itself has three seeds, which tell what chance does.
The best few of the grid, and the plan, are then given `--long` minutes. One JSON line a run, and a run whose line is there is skipped;
at the end the plan's distance from the best, a line a text and budget.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent.parent / "results" / "plan_grid.jsonl"
SHAPES = ((64, 1), (64, 2), (96, 2), (128, 1), (128, 2), (128, 3), (128, 4), (192, 2), (192, 3), (192, 4), (256, 3), (256, 4))
FACTORS = {"data.vocab_size": "vocab_size", "train.batch_tokens": "batch_tokens", "model.context": "context", "optim.lr": None}
LR, DROPOUTS, SEEDS = 0.006, (0.0, 0.1, 0.2), 3
Setting = dict[str, Any]


def newleaf(*words: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "newleaf", *words, "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-1000:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def inputs(folder: Path) -> list[str]:
    train = folder / "train.txt" if (folder / "train.txt").exists() else folder / "train"
    return [str(train), "--val", str(folder / "val.txt")]


def grid(plan: dict[str, Any]) -> Iterator[Setting]:
    """What differs from the plan, nothing first."""
    yield from ({"seed": seed} for seed in range(SEEDS))
    for width, depth in SHAPES:
        if (width, depth) != (plan["width"], plan["depth"]):
            yield {"model.width": width, "model.depth": depth}
    for name, key in FACTORS.items():
        for factor in (0.5, 2):
            value = (plan[key] if key else LR) * factor
            if name == "train.batch_tokens":
                value = max(1, round(value / plan["context"])) * plan["context"]
            elif name == "model.context":  # with the same tokens a step, as far as they divide
                yield {name: int(value), "train.batch_tokens": max(1, round(plan["batch_tokens"] / value)) * int(value)}
                continue
            yield {name: value if key is None else int(value)}
    yield from ({"train.dropout": share} for share in DROPOUTS)


def run(folder: Path, minutes: float, setting: Setting) -> dict[str, Any]:
    words = [word for name, value in setting.items() for word in (f"--{name}", str(value))]
    with tempfile.TemporaryDirectory() as out:
        summary = newleaf("train", *inputs(folder), "--minutes", str(minutes), "--out", out + "/run", *words)
    kept = ("val_bpb", "seconds", "steps", "parameters", "mfu", "matmul_flops_per_second")
    return {"text": folder.name, "minutes": minutes, "setting": setting} | {name: summary[name] for name in kept}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--long", type=float, default=3.0)
    parser.add_argument("--best", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    lines = [json.loads(line) for line in arguments.results.read_text("utf-8").splitlines()] if arguments.results.exists() else []

    def measured(folder: Path, minutes: float, setting: Setting) -> dict[str, Any]:
        known = [line for line in lines if (line["text"], line["minutes"], line["setting"]) == (folder.name, minutes, setting)]
        if not known:
            known = [run(folder, minutes, setting)]
            lines.extend(known)
            with arguments.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(known[0]) + "\n")
            print(json.dumps(known[0]), flush=True)
        return known[0]

    for folder in arguments.folders:
        plan = newleaf("plan", *inputs(folder), "--minutes", str(arguments.minutes))
        short = [measured(folder, arguments.minutes, setting) for setting in grid(plan)]
        others = sorted(short[SEEDS:], key=lambda line: float(line["val_bpb"]))
        tell(folder, arguments.minutes, short[:SEEDS], others)
        best = [measured(folder, arguments.long, line["setting"]) for line in others[: arguments.best]]
        tell(folder, arguments.long, [measured(folder, arguments.long, {"seed": 0})], sorted(best, key=lambda line: float(line["val_bpb"])))


def tell(folder: Path, minutes: float, own: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
    """How far the plan, at its middle seed, is above the best other setting."""
    bits = sorted(line["val_bpb"] for line in own)
    above = bits[len(bits) // 2] / others[0]["val_bpb"] - 1
    facts = {"plan": bits, "best": others[0]["setting"], "best_bpb": others[0]["val_bpb"], "plan_above_best": round(above, 4)}
    print(json.dumps({"text": folder.name, "minutes": minutes, "settings": len(others)} | facts), flush=True)


if __name__ == "__main__":
    main()
