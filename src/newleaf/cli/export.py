"""`newleaf export`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from newleaf import api
from newleaf.cli.words import Json
from newleaf.conversion.configs import CLASSIFIER
from newleaf.conversion.facts import read_object
from newleaf.errors import UsageError
from newleaf.runs import in_shell
from newleaf.runtime import language


def export(model: str, out: str, *, to: str | None = None, quantize: str | None = None, json_: Json = False) -> None:
    """Write a model for other programs, and prove it: what will run it must give the same ids, logits and greedy text.

    Parameters
    ----------
    model
        A run directory, a model's folder or a hub name.
    out
        What to write: a new folder for hf, a new file for gguf.
    to
        hf: for transformers, vLLM and the hub; gguf: for llama.cpp, Ollama and LM Studio.
    quantize
        Type of the numbers in a GGUF file: f32 (as it is), f16, bf16, q8_0, q5_1, q5_0, q4_1 or q4_0.
    json_
        Print one JSON object on stdout.
    """
    if to not in ("hf", "gguf"):
        raise UsageError(f"--to is {to}" if to else "--to is missing", where="--to", expected="hf or gguf")
    chinese = language() == "zh"
    found = api.export(model, out, to=to, quantize=quantize, tell=lambda en, zh: print(zh if chinese else en, file=sys.stderr))
    if json_:
        print(json.dumps(found, ensure_ascii=False))
        return
    labels = to == "hf" and classifies(Path(out))
    print(sentence(found, labels, chinese))
    print(next_step(Path(out), found["files"], to, labels, chinese), file=sys.stderr)


def classifies(out: Path) -> bool:
    """Whether what was written tells labels apart, by a head."""
    return any(name.endswith(CLASSIFIER) for name in read_object(out / "config.json").get("architectures", []))


def sentence(found: dict[str, Any], labels: bool, chinese: bool) -> str:
    """What was written, and what the proof found."""
    size = sum(Path(name).stat().st_size for name in found["files"]) / 1e6
    said = [f"写出 {len(found['files'])} 个文件，{size:.1f} MB" if chinese else f"wrote {len(found['files'])} files, {size:.1f} MB"]
    difference, change = found["max_logit_difference"], found["bpb_change"]
    if difference is not None:
        equal = "一致" if chinese else "equal"
        unlike = "略有出入" if chinese else "not always equal"
        said += ["词元编号一致"] if found["ids_equal"] and chinese else ["token ids equal"] if found["ids_equal"] else []
        said += [f"对数概率最多相差 {difference:.2g}" if chinese else f"log-probabilities differ by at most {difference:.2g}"]
        written = ("最可能的标签" if labels else "贪心续写") if chinese else "likeliest labels " if labels else "greedy texts "
        said += [f"{written}{equal if found['greedy_equal'] else unlike}"]
    if change is not None:
        said += [f"取整的代价：每字节 {change:+.4f} 比特" if chinese else f"rounding costs {change:+.4f} bits per byte"]
    return ("；" if chinese else "; ").join(said)


def next_step(out: Path, files: Sequence[str], to: str, labels: bool, chinese: bool) -> str:
    """A command that uses what was written."""
    command = f"newleaf evaluate {in_shell(out)} FILE" if labels else f"newleaf generate {in_shell(out)}"
    command = f"ollama create {in_shell(out.stem)} -f {in_shell(files[-1])}" if to == "gguf" else command
    return f"{'试试：' if chinese else 'try: '}{command}"
