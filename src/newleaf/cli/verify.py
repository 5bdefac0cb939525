"""`newleaf verify`."""

import json

from newleaf import api
from newleaf.cli.words import Json
from newleaf.errors import RunError


def verify(path: str, *, json_: Json = False) -> None:
    """Check every byte of a run, a checkpoint or a model against the hashes written with it. Exit 2 if one differs.

    Parameters
    ----------
    path
        A run directory, or a checkpoint in it.
    json_
        Print one JSON object on stdout.
    """
    result = api.verify(path)
    if json_:
        print(json.dumps(result, ensure_ascii=False))
    else:
        for file in result["files"]:
            print(f"{'ok     ' if file['ok'] else 'damaged'} {file['path']}{'' if file['ok'] else ' ' + file['reason']}")
    if not result["ok"]:
        damaged = [file for file in result["files"] if not file["ok"]]
        raise Damaged(
            f"{len(damaged)} of {len(result['files'])} files are damaged, the first is {damaged[0]['path']}, which {damaged[0]['reason']}"
        )


class Damaged(RunError):
    """Something that was written is not what is there."""
