"""What a setting is worth: one training a line of settings, each in one thread and for some CPU seconds, so that several run side by side
and a busy machine changes little. One JSON line a run, appended to the results; a run whose line is there is skipped.

    python lab/bench/sweep.py "stdlib width=128 depth=2 seconds=90" "stdlib width=128 depth=2 seconds=90 circuits=0" [--jobs 2]
    python lab/bench/sweep.py --file lines.txt

The texts are those of race.py (NEWLEAF_DATA), or a folder that holds train.txt and val.txt. The number of steps is the CPU seconds over
those of the quickest of six steps, or `steps=`; evaluation is not counted. `circuits=0` leaves the two circuits of model/initial.py out,
`pairs=0` the pairs of model/pairs.py.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from peers.texts import TEXTS, Text, prepared

from newleaf.batches.pretrain import PretrainBatches, spread
from newleaf.evaluation import bits
from newleaf.model import initial, size
from newleaf.model.config import preset
from newleaf.model.layers import Dropout, Precision
from newleaf.model.pairs import COUNTED, PIECE, begin_with_pairs
from newleaf.optim import muon
from newleaf.optim.schedule import multiplier
from newleaf.optim.settings import OptimSettings
from newleaf.runtime import keep_freed_memory
from newleaf.tokens.tokenizer import Tokenizer
from newleaf.training.stepper import Stepper
from newleaf.workers import Workers

RESULTS = Path(__file__).parent.parent / "results" / "sweep.jsonl"
DEFAULTS: dict[str, Any] = {
    "vocab": 2048, "width": 128, "depth": 2, "head_dim": 32, "context": 128, "batch": 2048, "seconds": 90.0, "dropout": 0.0, "seed": 0,
    "lr": 0.006, "embedding_lr": 0.03, "head_lr": 0.01, "norm_lr": 0.003, "weight_decay": 0.1, "decay": 0.4, "circuits": 1,
    "tokenizer_mb": 4, "val_kb": 128, "bf16": 0, "newton_schulz": 3, "steps": 0, "pairs": 1,
}  # fmt: skip
BEFORE = {"bf16": 0, "newton_schulz": 5, "steps": 0, "pairs": 0}  # of lines from when these were no settings


def settings_of(line: str) -> dict[str, Any]:
    """A text and what differs from the defaults."""
    name, *words = line.split()
    found = {key: type(DEFAULTS[key])(float(value)) for key, value in (word.split("=") for word in words)}
    return {"text": name} | DEFAULTS | found


def streams(text: Text, a: dict[str, Any], work: Path) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Training and held-out ids, the size of the vocabulary, the bytes held out; kept for the next run."""
    kept = work / "streams" / f"{text.name}-{a['vocab']}-{a['tokenizer_mb']}-{a['val_kb']}.npz"
    if not kept.exists():
        train, val = text.train.read_text("utf-8"), text.val.read_text("utf-8")
        val = val.encode()[: a["val_kb"] * 1000].decode(errors="ignore")
        tokenizer = Tokenizer.train([train[: a["tokenizer_mb"] * 1_000_000]], a["vocab"])
        end, piece = tokenizer.end_of_text, 1_000_000
        ids = [end, *(id for first in range(0, len(train), piece) for id in tokenizer.encode(train[first : first + piece])), end]
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}.npz")
        held_out = np.array([end, *tokenizer.encode(val), end], np.int32)
        np.savez(partial, train=np.array(ids, np.int32), val=held_out, vocab=tokenizer.vocab_size, bytes=len(val.encode()))
        partial.replace(kept)
    there = np.load(kept)
    return there["train"], there["val"], int(there["vocab"]), int(there["bytes"])


class Run:
    """One model on its way."""

    def __init__(self, a: dict[str, Any], train: np.ndarray, vocab_size: int) -> None:
        self.a = a
        config = preset("qwen3", vocab_size=vocab_size, **{name: a[name] for name in ("width", "depth", "context", "head_dim")})
        rates = {name: a[name] for name in ("lr", "embedding_lr", "head_lr", "norm_lr", "weight_decay")}
        self.settings = OptimSettings(kind="muon", momentum=0.95, warmup_steps=1, decay_fraction=a["decay"], **rates)
        precision: Precision = "bf16" if a["bf16"] else "float32"
        self.stepper = Stepper(config, self.settings, precision, Workers(1), a["batch"] // a["context"], seed=a["seed"])
        if a["pairs"]:
            begin_with_pairs(self.stepper.model, spread(train, COUNTED, PIECE), torch.Generator().manual_seed(a["seed"]))
        self.batches = PretrainBatches(train, a["context"], a["batch"] // a["context"], a["seed"])

    def step(self, number: int, scale: float) -> float:
        """CPU seconds of one."""
        began = time.process_time()
        dropout = Dropout(self.a["dropout"], torch.Generator().manual_seed(number)) if self.a["dropout"] else None
        self.stepper.move(*self.batches(number), scale, dropout)
        return time.process_time() - began

    def train(self, steps: int) -> None:
        settings = replace(self.settings, warmup_steps=max(1, min(100, steps // 20)))
        for number in range(steps):
            self.step(number, multiplier(number, number / steps, settings))


def measure(a: dict[str, Any], work: Path) -> dict[str, Any]:
    """The line of one run."""
    torch.set_num_threads(1)
    keep_freed_memory()
    if not a["circuits"]:
        initial.look_back = initial.find_again = lambda *_: None
    muon.NEWTON_SCHULZ_STEPS = a["newton_schulz"]
    text = prepared(a["text"], work) if a["text"] in TEXTS else Text(Path(a["text"]).name, Path(a["text"]))
    train, val, vocab_size, num_bytes = streams(text, a, work)
    tried = Run(a, train, vocab_size)
    seconds = min([tried.step(number, 0.0) for number in range(7)][1:])
    run, steps = Run(a, train, vocab_size), a["steps"] or max(20, int(a["seconds"] / seconds))
    run.train(steps)
    return a | {
        "text": text.name,
        "bpb": round(bits.score(run.stepper.model, val, a["context"]).bits_per_byte(num_bytes), 4),
        "steps": steps,
        "tokens": steps * a["batch"],
        "train_tokens": len(train),
        "step_seconds": round(seconds, 4),
        "parameters": size.parameters(run.stepper.model.config),
        "matmul_weights": size.matmul_weights(run.stepper.model.config),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", nargs="*")
    parser.add_argument("--file", type=Path, help="a line of settings each")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--work", type=Path, default=Path("build/race"))
    arguments = parser.parse_args()
    lines = arguments.lines + (arguments.file.read_text("utf-8").splitlines() if arguments.file else [])
    there = [json.loads(line) for line in arguments.results.read_text("utf-8").splitlines()] if arguments.results.exists() else []
    wanted = [line for line in lines if line.strip() and not any(covers(done, settings_of(line)) for done in there)]
    if len(wanted) > 1:  # each in a process of its own
        again = [sys.executable, __file__, "--results", str(arguments.results), "--work", str(arguments.work)]
        with ThreadPoolExecutor(arguments.jobs) as pool:
            list(pool.map(lambda line: subprocess.run([*again, line], check=False), wanted))
    for line in wanted if len(wanted) == 1 else []:
        row = json.dumps(measure(settings_of(line), arguments.work))
        print(row, flush=True)
        arguments.results.parent.mkdir(parents=True, exist_ok=True)
        with arguments.results.open("a", encoding="utf-8") as file:
            file.write(row + "\n")


def covers(done: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all((BEFORE | done).get(key) == (Path(value).name if key == "text" else value) for key, value in wanted.items())


if __name__ == "__main__":
    main()
