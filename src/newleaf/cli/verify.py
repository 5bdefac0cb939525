"""`newleaf verify`."""

import json

from newleaf import api
from newleaf.cli.words import Json
from newleaf.errors import RunError
from newleaf.runtime import language


def verify(path: str, *, json_: Json = False) -> None:
    """Check every byte of a run, a checkpoint or a model against the hashes written with it. Exit 2 if one differs.

    While a run is in training, or after it was killed, the small files at its top have no hashes: they are read, and must fit together.

    Parameters
    ----------
    path
        A run directory, or a checkpoint in it.
    json_
        Print one JSON object on stdout.
    """
    result = api.verify(path)
    if json_ and result["ok"]:
        print(json.dumps(result, ensure_ascii=False))
    if not json_:
        for file in result["files"]:
            print(line(file["path"], file["reason"], chinese=language() == "zh"))
    if not result["ok"]:
        damaged = [file for file in result["files"] if not file["ok"]]
        first, count = damaged[0], f"{len(damaged)} of {len(result['files'])} files are damaged"
        error = Damaged(f"{count}, the first is {first['path']}, which {first['reason']}", where=first["path"])
        error.found = result | {"error": error.as_json()}
        raise error


def line(path: str, reason: str | None, chinese: bool) -> str:
    """A file, and what is wrong with it if anything is.

    >>> print(line("model.safetensors", None, chinese=False), line("model.safetensors", "is missing", chinese=True), sep="\\n")
    ok      model.safetensors
    损坏  model.safetensors：不见了
    """
    if not chinese:
        return f"ok      {path}" if reason is None else f"damaged {path} {reason}"
    if reason is None:
        return f"完好  {path}"
    from newleaf.cli.chinese import problem

    return f"损坏  {path}：{problem(reason)}"


class Damaged(RunError):
    """Something that was written is not what is there."""
