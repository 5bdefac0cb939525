"""llama.cpp as a judge of GGUF files, in a process of its own: what it does not like ends that process and not ours.

    python -m newleaf.jobs.llamacpp FILE CONTEXT THREADS

answers one JSON object a line: {"texts": […]} with their ids, {"prompts": [[ids], …], "num_tokens": N} with greedy continuations.
The server inside listens on a free port of the loopback interface and ends with the process.
"""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from newleaf.errors import ModelError

BEST = 5  # tokens a step whose probabilities are told

Step = tuple[int, dict[int, float]]  # the token that was taken, and {id: log-probability} of the best


class LlamaCpp:
    """A GGUF file in llama.cpp: cache in float32, flash attention off."""

    def __init__(self, path: Path, context: int, threads: int = 1) -> None:
        command = [sys.executable, "-P", "-m", "newleaf.jobs.llamacpp", str(path), str(context), str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self._path = path

    def __enter__(self) -> "LlamaCpp":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Of each text, special tokens in it taken as plain text and nothing added."""
        found: list[list[int]] = self._ask({"texts": list(texts)})
        return found

    def greedy(self, prompts: Sequence[Sequence[int]], num_tokens: int) -> list[list[Step]]:
        """A continuation of each prompt."""
        found = self._ask({"prompts": [list(map(int, prompt)) for prompt in prompts], "num_tokens": num_tokens})
        return [[(id, {int(other): value for other, value in best}) for id, best in steps] for steps in found]

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self._process.stdout.readline()
        found = json.loads(answer) if answer else {"error": f"it ended with {self._process.wait()}"}
        if isinstance(found, dict):
            raise ModelError(f"llama.cpp does not take {self._path.name}: {found['error']}", where=str(self._path))
        return found


def installed() -> bool:
    """Whether there is a llama.cpp to ask (the package xllamacpp)."""
    return find_spec("xllamacpp") is not None


def served(path: str, context: int, threads: int) -> Any:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.n_ctx, parameters.n_parallel, parameters.n_gpu_layers = context, 1, 0
    parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    parameters.cpuparams.n_threads = threads
    parameters.warmup = False
    return xllamacpp.Server(parameters)


def tokenized(server: Any, text: str) -> list[int]:
    found: list[int] = asked(server, "/tokenize", {"content": text, "add_special": False, "parse_special": False})["tokens"]
    return found


def continued(server: Any, prompt: list[int], num_tokens: int) -> list[tuple[int, list[tuple[int, float]]]]:
    """Every token that was taken; the server tells no probabilities of those after which its text ends inside a character."""
    question = {"prompt": prompt, "n_predict": num_tokens, "temperature": 0, "n_probs": BEST, "cache_prompt": False}
    answer = asked(server, "/completion", question | {"return_tokens": True, "ignore_eos": True})
    told = answer.get("completion_probabilities", [])
    places = certain_places(answer["tokens"], [each["id"] for each in told])
    best = {place: each["top_logprobs"] for place, each in zip(places, told, strict=True)}
    return [(id, [(each["id"], each["logprob"]) for each in best.get(place, [])]) for place, id in enumerate(answer["tokens"])]


def certain_places(ids: list[int], some: list[int]) -> list[int | None]:
    """Where each of `some`, which are `ids` in their order with gaps, must stand; None where there are several ways.

    >>> certain_places([7, 5, 5, 7], [7, 5, 7])
    [0, None, 3]
    """
    first = earliest_places(ids, some)
    last = [len(ids) - 1 - place for place in earliest_places(ids[::-1], some[::-1])][::-1]
    return [early if early == late else None for early, late in zip(first, last, strict=True)]


def earliest_places(ids: list[int], some: list[int]) -> list[int]:
    places: list[int] = []
    for id in some:
        places.append(ids.index(id, places[-1] + 1 if places else 0))
    return places


def asked(server: Any, path: str, question: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(server.listening_address + path, json.dumps(question).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")  # llama.cpp prints what it likes
    os.dup2(2, 1)
    try:
        server = served(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    except RuntimeError as error:
        answers.write(json.dumps({"error": " ".join(str(error).split())}) + "\n")
        sys.exit(1)
    for line in sys.stdin:
        question = json.loads(line)
        if "texts" in question:
            found: Any = [tokenized(server, text) for text in question["texts"]]
        else:
            found = [continued(server, prompt, question["num_tokens"]) for prompt in question["prompts"]]
        answers.write(json.dumps(found) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
