"""newleaf, run as a person runs it: one command with a budget, timed from exec to exit, start-up and final evaluation included."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

import newleaf
from peers.scoring import Trained
from peers.texts import Text

NAME = "newleaf"


def train(text: Text, minutes: float, out: Path, seed: int, log: Path) -> tuple[dict[str, Any], float]:
    """The figures of summary.json, and the seconds of the process."""
    words = ["train", str(text.train), "--val", str(text.val), "--minutes", str(minutes), "--seed", str(seed), "--out", str(out), "--json"]
    with log.open("wb") as errors:
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "newleaf", *words], stdout=subprocess.PIPE, stderr=errors, check=True)
        seconds = time.perf_counter() - began
    return json.loads(done.stdout), seconds


def trained(text: Text, out: Path) -> Trained:
    """The model that the run left: what a person gets."""
    model = newleaf.load(out)

    def logits(ids: Tensor) -> Tensor:
        every: Tensor = model.decoder(ids)
        return every

    ids = [model.tokenizer.end_of_text, *model.tokenizer.encode(text.val.read_text("utf-8"))]
    parameters = sum(p.numel() for p in model.decoder.parameters())
    return Trained(logits, np.array(ids), True, model.config.context, model.config.vocab_size, parameters)
