"""With what share of a new model's rates does a model go on best? One JSON line a run: bits per byte of the held-out part of a text.

    NEWLEAF_DATA=… python lab/bench/going_on.py [--base-minutes 1.5] [--minutes 0.5]

A model is trained on one text, then goes on with another, once with each share; beside them a new model of the same minutes. Texts are
those of race.py. Runs take turns, so a busy machine is busy for all of them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from peers.texts import Text, prepared

PAIRS = (("tinystories", "tinyshakespeare"), ("tinyshakespeare", "tinystories"), ("tinystories", "shuihuzhuan"))
SHARES = (1.0, 0.5, 0.25, 0.1, 0.03)
RATES = {"optim.lr": 0.006, "optim.embedding_lr": 0.03, "optim.head_lr": 0.01, "optim.norm_lr": 0.003}


def train(text: Text, out: Path, minutes: float, *more: str) -> dict[str, float]:
    """The summary of a run."""
    words = [str(text.train), "--val", str(text.val), "--out", str(out), "--minutes", str(minutes), "--json", *more]
    done = subprocess.run([sys.executable, "-m", "newleaf", "train", *words], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-minutes", type=float, default=1.5)
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--work", type=Path, default=Path("build/race"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for first, second in PAIRS:
            base, text = Path(place, f"{first}-base"), prepared(second, arguments.work)
            if not base.exists():
                train(prepared(first, arguments.work), base, arguments.base_minutes)
            facts = {"from": first, "text": second, "minutes": arguments.minutes}
            new = train(text, Path(place, f"{second}-new"), arguments.minutes)
            print(json.dumps(facts | {"share": None, "bpb": round(new["val_bpb"], 4)}), flush=True)
            for share in SHARES:
                rates = [word for name, rate in RATES.items() for word in (f"--{name}", str(rate * share))]
                out = Path(place, f"{first}-{second}-{share}")
                found = train(text, out, arguments.minutes, "--from", str(base), *rates)
                forgot = subprocess.run(
                    [sys.executable, "-m", "newleaf", "evaluate", str(out), str(prepared(first, arguments.work).val), "--json"],
                    capture_output=True, text=True, check=True,
                )  # fmt: skip
                lost = json.loads(forgot.stdout)["bits_per_byte"]
                print(json.dumps(facts | {"share": share, "bpb": round(found["val_bpb"], 4), "first_bpb": round(lost, 4)}), flush=True)


if __name__ == "__main__":
    main()
