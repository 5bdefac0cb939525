"""transformers' Trainer around a Llama from scratch (llama_train.py), on tokens of GPT-2's tokenizer or one learned from the text."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from peers import bytelevel
from peers.scoring import Trained
from peers.settings import Setting
from peers.texts import Text
from peers.tool import Command, emptied, environment, require_packages

TIMING = re.compile(r"step (\d+) took ([\d.]+) ms")


class Llama:
    name = "transformers"

    def __init__(self, work: Path) -> None:
        self.work = work

    def require(self) -> None:
        require_packages(self.name, "transformers", "accelerate")

    def prepare(self, text: Text, setting: Setting, folder: Path) -> Path:
        data = folder / f"{text.name}-{setting.vocab}"
        if not (data / "val.bin").exists():
            tokenizer = bytelevel.gpt2() if setting.vocab == "gpt2" else bytelevel.learned(text.train, int(setting.vocab))
            emptied(data)
            (data / "vocab_size").write_text(str(tokenizer.get_vocab_size()))
            for file in (text.train, text.val):
                bytelevel.ids_of(tokenizer, file).tofile(data / f"{file.stem}.bin")
        return data

    def command(self, data: Path, setting: Setting, iterations: int, out: Path, seed: int) -> Command:
        vocab_size = int((data / "vocab_size").read_text())
        job = {"ids": str(data / "train.bin"), "out": str(out), "vocab_size": vocab_size, "iterations": iterations, "seed": seed}
        script = Path(__file__).with_name("llama_train.py")
        words = [sys.executable, str(script), json.dumps(job), json.dumps(setting.options)]
        return Command(words, script.parent, environment(self.work), TIMING)

    def tokens(self, setting: Setting) -> int:
        return setting.number("per_device_train_batch_size") * setting.number("context")

    def trained(self, data: Path, setting: Setting, out: Path) -> Trained:
        from transformers import LlamaForCausalLM
        from transformers.utils import logging

        logging.disable_progress_bar()

        model = LlamaForCausalLM.from_pretrained(out, dtype=torch.float32, local_files_only=True).eval()

        def logits(ids: Tensor) -> Tensor:
            every: Tensor = model(input_ids=ids, use_cache=False).logits
            return every

        return Trained(
            logits,
            np.fromfile(data / "val.bin", dtype=np.uint16),
            leads=False,
            context=setting.number("context"),
            vocab_size=model.config.vocab_size,
            parameters=sum(p.numel() for p in model.parameters()),
        )
