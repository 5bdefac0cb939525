"""A model in, files for other programs out, each proven by what will run it before it takes its name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from newleaf import fsio
from newleaf.conversion.gguf import TYPES, rounded_weights, write_gguf
from newleaf.conversion.gguf_tokens import HINT
from newleaf.conversion.huggingface import write_export
from newleaf.errors import ModelError, UsageError
from newleaf.evaluation import bits
from newleaf.jobs.llamacpp import LlamaCpp, installed
from newleaf.jobs.loaded import Model
from newleaf.jobs.proof import Proof, Transformers, prompts_for, prove
from newleaf.model.decoder import Decoder
from newleaf.runs import Run
from newleaf.runtime import available_cores
from newleaf.tokens.interface import AnyTokenizer
from newleaf.training.example_data import open_examples
from newleaf.training.prepare import open_data, read_manifest
from newleaf.workers import workers_for

Tell = Callable[[str, str], None]
HELD_OUT_TOKENS = 50_000  # of a run's own held-out text, for what quantising costs
CONTEXT = 512  # tokens, of the proof
MODELFILE = ".Modelfile"
PAPERS = ("README.md", "LICENSE", "LICENSE.txt", "NOTICE")


@dataclass(frozen=True)
class Export:
    """A model on its way out."""

    model: Model
    tokenizer: AnyTokenizer | None
    out: Path
    tell: Tell

    def huggingface(self) -> Proof:
        """A folder that transformers, vLLM and the converters load."""
        with fsio.replacing_folder(self.out) as folder:
            if self.tokenizer is not None:
                self.tokenizer.save(folder, self.model.config.context)
            write_export(folder, self.model.decoder, self.model.path)  # behind the tokenizer, which its seal covers
            for paper in (self.model.path / name for name in PAPERS):
                if paper.is_file():
                    fsio.write_bytes(folder / paper.name, paper.read_bytes())
            if find_spec("transformers") is None:
                self.unproven("transformers")
                return Proof()
            judge = Transformers(folder, self.tokenizer is not None, bool(self.model.config.num_labels))
            return prove(self.model.decoder, self.tokenizer, judge, "f32", self.prompts, ())

    def gguf(self, kind: str) -> tuple[Proof, float | None]:
        """One file for llama.cpp, a Modelfile for Ollama beside it; also how much worse the rounded weights are, in bits per byte."""
        config, decoder = self.model.config, self.model.decoder
        if self.tokenizer is None:
            raise UsageError(f"{self.model.path} has no tokenizer, and GGUF needs one", where=str(self.model.path), hint=HINT)
        with fsio.replacing_by_name(self.out) as path:
            end = next(iter(self.model.ends), None)
            write_gguf(path, config, decoder.state_dict(), self.tokenizer, kind, self.model.path.absolute().name, end)
            proof, change = Proof(), None
            if kind != "f32":
                held = decoder, Decoder(config, initialised=False)
                held[1].load_state_dict(rounded_weights(config, decoder.state_dict(), kind))
                change, decoder = self.change(*held), held[1]
            if installed():
                with LlamaCpp(path, min(config.context, CONTEXT), torch.get_num_threads()) as judge:
                    ends = [*self.model.ends, *self.tokenizer.special_tokens.values()]  # an end may be a word as others
                    proof = prove(decoder, self.tokenizer, judge, kind, self.prompts, ends)
            else:
                self.unproven("xllamacpp")
        fsio.write_text(self.out.with_suffix(MODELFILE), modelfile(self.out.name, self.tokenizer, self.model.ends, config.context))
        return proof, change

    @property
    def prompts(self) -> list[list[int]]:
        return prompts_for(self.tokenizer, self.model.config.vocab_size, min(self.model.config.context, CONTEXT))

    def unproven(self, package: str) -> None:
        self.tell(
            f"not proven: {package} is not installed, so nobody has read what was written (pip install {package})",
            f"未经验证：没有安装 {package}，写出的文件还没有别的程序读过（pip install {package}）",
        )

    def change(self, before: Decoder, after: Decoder) -> float | None:
        """Bits per byte that rounding the weights costs on a part of what the run held out, text or examples; None where there is none."""
        run = Run(self.model.path)
        if not run.begun:
            self.tell("this model has no held-out text: what rounding costs was not measured", "这个模型没有留出文本：未测量取整的代价")
            return None
        manifest, tokenizer = read_manifest(run), self.model.tokenizer
        held_out = open_examples(run, manifest, tokenizer).val.ids if "task" in manifest else open_data(run, verify=False).val
        ids = held_out[:HELD_OUT_TOKENS]
        num_bytes = int(tokenizer.byte_lengths()[ids[1:]].sum())
        workers = workers_for(str(before.device), available_cores())
        first, second = (bits.score(model, ids, bits.window(model.config), workers) for model in (before, after))
        return second.bits_per_byte(num_bytes) - first.bits_per_byte(num_bytes)


def export_model(model: Model, to: str, quantize: str | None, out: Path, tell: Tell) -> dict[str, Any]:
    """Write, prove and name the files; returns {format, files, max_logit_difference, ids_equal, greedy_equal, bpb_change}."""
    kind, files = quantize or "f32", [out] if to == "hf" else [out, out.with_suffix(MODELFILE)]
    if kind not in TYPES:
        raise UsageError(f"--quantize is {kind}", where="--quantize", expected=" or ".join(TYPES))
    if to == "gguf" and out.suffix == MODELFILE:
        raise UsageError(f"{out} would be the Modelfile's name", where=str(out), expected="a name that ends in .gguf")
    for path in files:
        if path.exists() and not (to == "hf" and path.is_dir() and not any(path.iterdir())):
            raise UsageError(f"{path} exists", where=str(path), expected="a new name", hint="remove it, or choose another")
    if model.config.family is None:
        raise UsageError("this mixture of parts has no family", where=str(model.path), expected="the shape of GPT-2, Llama, Qwen2 or Qwen3")
    if to == "gguf" and model.config.num_labels:
        raise ModelError(f"{model.path} tells labels apart and writes no text", where=str(model.path), hint="export it to hf")
    fsio.make_folders(out.absolute().parent)
    job = Export(model, model.tokenizer if model.has_tokenizer else None, out, tell)
    proof, change = (job.huggingface(), None) if to == "hf" else job.gguf(kind)
    if proof.num_near:
        tell(
            f"at {proof.num_near} of {proof.num_steps} steps the two best tokens were too close to call",
            f"{proof.num_steps} 步中有 {proof.num_near} 步，最好的两个词元难分高下",
        )
    files = sorted(out.iterdir()) if to == "hf" else files
    return {"format": to, "files": [str(path) for path in files]} | proof.figures | {"bpb_change": change}


def modelfile(name: str, tokenizer: AnyTokenizer, ends: Sequence[int], context: int) -> str:
    """For `ollama create`: without a chat template the prompt goes in as it is."""
    stops = [word for word, id in tokenizer.special_tokens.items() if id in {tokenizer.end_of_text, *ends}]
    lines = [f"FROM ./{name}", f"PARAMETER num_ctx {context}", "PARAMETER temperature 0.8", "PARAMETER top_p 0.95"]
    lines += [f'PARAMETER stop "{word}"' for word in stops]
    lines += [] if tokenizer.chat_template else ['TEMPLATE """{{ .Prompt }}"""']
    return "\n".join(lines) + "\n"
