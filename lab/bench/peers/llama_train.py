"""One training by transformers' Trainer: two JSON objects in (the job, and a setting of peers.toml), a model folder and a line a step out.

Keys of LlamaConfig go to it, `context` is the length of a window, and the others go to TrainingArguments. Windows begin anywhere in the
text, as nanoGPT's do. Nothing is evaluated, logged or saved meanwhile.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

QUIET: dict[str, Any] = {
    "eval_strategy": "no",
    "save_strategy": "no",
    "logging_strategy": "no",
    "report_to": [],
    "disable_tqdm": True,
    "use_cpu": True,
}


class Windows(Dataset[dict[str, torch.Tensor]]):
    """As many windows as the training takes; each begins at a place drawn from the seed."""

    def __init__(self, ids: np.ndarray, context: int, number: int, seed: int) -> None:
        self.ids, self.context = ids, context
        self.starts = np.random.default_rng(seed).integers(len(ids) - context + 1, size=number)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        start = self.starts[index]
        window = torch.from_numpy(self.ids[start : start + self.context].astype(np.int64))
        return {"input_ids": window, "labels": window}  # the model shifts its labels itself


class Stopwatch(TrainerCallback):
    """Prints how long each step took, from the end of the one before."""

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.then = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        now = time.perf_counter()
        print(f"step {state.global_step - 1} took {1000 * (now - self.then):.3f} ms", flush=True)
        self.then = now


def main() -> None:
    job, options = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    context, iterations, seed = options.pop("context"), job["iterations"], job["seed"]
    shape = {name: options.pop(name) for name in list(options) if hasattr(LlamaConfig(), name)}
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=job["vocab_size"], max_position_embeddings=context, **shape))
    warmup = {"warmup_steps": min(options.pop("warmup_steps", 0), iterations // 10)}
    arguments = TrainingArguments(output_dir=job["out"], max_steps=iterations, seed=seed, **warmup, **QUIET, **options)
    ids = np.fromfile(job["ids"], dtype=np.uint16)
    windows = Windows(ids, context, iterations * arguments.per_device_train_batch_size, seed)
    Trainer(model, arguments, train_dataset=windows, callbacks=[Stopwatch()]).train()
    model.save_pretrained(job["out"])


if __name__ == "__main__":
    main()
