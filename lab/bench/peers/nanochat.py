"""nanochat, run as its runcpu.sh does: its tok_train, its base_train on a CPU, its GPT and its tokenizer to score with.

Its loader begins every row with a document and drops what of it is longer than the row; a text of one document would be dropped but for
its beginning. So it is handed as pieces.py cuts it: nothing is dropped, and a later epoch sees other borders. Its rows always begin with
<|bos|>, and so do the windows when it is scored.
"""

import contextlib
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from peers import pieces
from peers.scoring import Trained
from peers.settings import Setting
from peers.texts import Text
from peers.tool import Command, emptied, environment, importable, require_folder, require_packages, run_quietly

TIMING = re.compile(r"step (\d+)/\d+ .*\| dt: ([\d.]+)ms")
DATASET = "base_data_climbmix"  # the folder below NANOCHAT_BASE_DIR in which it looks for parquet files
QUIET = {"run": "dummy", "device-type": "cpu", "eval-every": -1, "core-metric-every": -1, "sample-every": -1, "save-every": -1}


class NanoChat:
    """`path`: a checkout."""

    name = "nanochat"

    def __init__(self, path: Path | None, work: Path) -> None:
        self.path, self.work = path, work

    def require(self) -> None:
        self.path = require_folder(self.name, self.path, "scripts/base_train.py")
        require_packages(self.name, "pyarrow", "rustbpe", "wandb", "yaml")
        importable(self.path)

    def prepare(self, text: Text, setting: Setting, folder: Path) -> Path:
        assert self.path is not None
        context = setting.number("max-seq-len")
        base = folder / f"{text.name}-{setting.vocab}-{context}"
        if (base / "val.bin").exists():
            return base
        train = text.train.read_text("utf-8")
        write_dataset(emptied(base), list(pieces.of_lines(train)))
        words = [sys.executable, "-m", "scripts.tok_train", f"--vocab-size={setting.vocab}", f"--max-chars={len(train)}"]
        run_quietly(words, self.path, self._environment(base))
        from nanochat.tokenizer import RustBPETokenizer

        tokenizer = RustBPETokenizer.from_directory(str(base / "tokenizer")).enc
        write_dataset(base, list(pieces.of_tokens(tokenizer, train, context)))
        np.array(tokenizer.encode_ordinary(text.val.read_text("utf-8")), dtype=np.uint16).tofile(base / "val.bin")
        return base

    def _environment(self, base: Path) -> dict[str, str]:
        return environment(self.work, NANOCHAT_BASE_DIR=str(base))

    def command(self, data: Path, setting: Setting, iterations: int, out: Path, seed: int) -> Command:
        assert self.path is not None
        warmup = {"warmup-steps": min(int(setting.options.get("warmup-steps", 40)), iterations // 10)}
        options = setting.options | QUIET | warmup | {"num-iterations": iterations, "model-tag": out.resolve()}
        words = [sys.executable, "-m", "scripts.base_train", *(f"--{key}={value}" for key, value in options.items())]
        return Command(words, self.path, self._environment(data), TIMING)

    def tokens(self, setting: Setting) -> int:
        return setting.number("total-batch-size")

    def trained(self, data: Path, setting: Setting, out: Path) -> Trained:
        from nanochat.gpt import GPT, GPTConfig
        from nanochat.tokenizer import RustBPETokenizer

        (weights,) = out.glob("model_*.pt")
        config = json.loads(next(out.glob("meta_*.json")).read_text())["model_config"]
        with contextlib.redirect_stdout(io.StringIO()), torch.device("meta"):
            model = GPT(GPTConfig(**config))
        model.to_empty(device="cpu")
        model.init_weights()  # for the tables of the rotation, which no checkpoint holds
        model.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
        for optimizer in out.glob("optim_*.pt"):
            optimizer.unlink()  # twice the size of the weights, and of no use here
        bos = RustBPETokenizer.from_directory(str(data / "tokenizer")).get_bos_token_id()  # twice at the very beginning: harmless

        def logits(ids: Tensor) -> Tensor:
            every: Tensor = model.eval()(torch.cat((torch.full((len(ids), 1), bos), ids), 1))[:, 1:]
            return every

        return Trained(
            logits,
            np.concatenate(([bos], np.fromfile(data / "val.bin", dtype=np.uint16))),
            leads=True,
            context=config["sequence_len"] - 1,  # and <|bos|>
            vocab_size=config["vocab_size"],
            parameters=sum(p.numel() for p in model.parameters()),
        )


def write_dataset(base: Path, documents: list[str]) -> None:
    """Two parquet files: nanochat takes the last one for validation, which does not happen here."""
    import pyarrow
    from pyarrow import parquet

    folder = emptied(base / DATASET)
    for number, some in enumerate((documents, documents[-1:])):
        parquet.write_table(pyarrow.table({"text": some}), folder / f"shard_{number:05d}.parquet", row_group_size=1024)
