"""nanoGPT, run as it is: its prepare.py, its train.py with overrides on the command line, its model.py to score with.

The characters are those of both parts of a text, as its prepare.py takes them; GPT-2's tokens come from the files of that tokenizer in
NEWLEAF_DATA. Evaluation and checkpoint happen once, in the iteration after the last that counts, which is how its loop ends.
"""

import contextlib
import importlib.util
import io
import re
import shutil
import sys
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from peers.bytelevel import gpt2, ids_of
from peers.scoring import Trained
from peers.settings import Setting
from peers.texts import Text
from peers.tool import Command, emptied, environment, require_folder, require_packages, run_quietly

TIMING = re.compile(r"iter (\d+): loss .*, time ([\d.]+)ms")


class NanoGPT:
    """`path`: a checkout."""

    name = "nanogpt"

    def __init__(self, path: Path | None, work: Path) -> None:
        self.path, self.work = path, work

    def require(self) -> None:
        self.path = require_folder(self.name, self.path, "train.py")
        require_packages(self.name, "requests")

    def prepare(self, text: Text, setting: Setting, folder: Path) -> Path:
        data = folder / f"{text.name}-{setting.vocab}"
        if not (data / "val.bin").exists():
            write = self._write_characters if setting.vocab == "char" else write_gpt2
            write(text, emptied(data))
        return data

    def _write_characters(self, text: Text, data: Path) -> None:
        """Its own prepare.py writes the vocabulary for train.py; the two parts are then written anew, cut where ours are."""
        assert self.path is not None
        parts = {"train": text.train.read_text("utf-8"), "val": text.val.read_text("utf-8")}
        shutil.copy(self.path / "data/shakespeare_char/prepare.py", data)
        (data / "input.txt").write_text("".join(parts.values()), "utf-8", newline="")
        run_quietly([sys.executable, "prepare.py"], data, environment(self.work))
        (data / "val.bin").unlink()
        numbers = {character: number for number, character in enumerate(sorted(set("".join(parts.values()))))}
        for name, part in parts.items():
            np.array([numbers[character] for character in part], dtype=np.uint16).tofile(data / f"{name}.bin")

    def command(self, data: Path, setting: Setting, iterations: int, out: Path, seed: int) -> Command:
        assert self.path is not None
        ours = {"dataset": data, "out_dir": out, "device": "cpu", "dtype": "float32", "log_interval": 1, "eval_iters": 1}
        length = {"max_iters": iterations, "lr_decay_iters": iterations, "eval_interval": iterations, "always_save_checkpoint": True}
        warmup = {"warmup_iters": min(int(setting.options.get("warmup_iters", 100)), iterations // 10)}
        words = [f"--{key}={value}" for key, value in (ours | setting.options | length | warmup).items()]
        words = [sys.executable, "train.py", "config/train_shakespeare_char.py", *words]
        return Command(words, self.path, environment(self.work), TIMING)

    def tokens(self, setting: Setting) -> int:
        return setting.number("batch_size") * setting.number("block_size")

    @cached_property
    def module(self) -> ModuleType:
        """Its model.py."""
        assert self.path is not None
        spec = importlib.util.spec_from_file_location("nanogpt_model", self.path / "model.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["nanogpt_model"] = module  # its dataclass looks itself up there
        spec.loader.exec_module(module)
        return module

    def trained(self, data: Path, setting: Setting, out: Path) -> Trained:
        checkpoint = torch.load(out / "ckpt.pt", weights_only=True, map_location="cpu")
        with contextlib.redirect_stdout(io.StringIO()):
            model = self.module.GPT(self.module.GPTConfig(**checkpoint["model_args"]))
        model.load_state_dict({name.removeprefix("_orig_mod."): tensor for name, tensor in checkpoint["model"].items()})
        model.eval()

        def logits(ids: Tensor) -> Tensor:
            every: Tensor = model(ids, ids)[0]  # without targets it computes the last position's alone
            return every

        return Trained(
            logits,
            np.fromfile(data / "val.bin", dtype=np.uint16),
            leads=False,
            context=checkpoint["model_args"]["block_size"],
            vocab_size=checkpoint["model_args"]["vocab_size"],
            parameters=sum(p.numel() for p in model.parameters()),
        )


def write_gpt2(text: Text, data: Path) -> None:
    """GPT-2's tokens; without a meta.pkl train.py takes its vocabulary, 50,304."""
    tokenizer = gpt2()
    for file in (text.train, text.val):
        ids_of(tokenizer, file).tofile(data / f"{file.stem}.bin")
