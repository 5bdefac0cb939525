"""Every byte below a path, against the hashes written beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from newleaf import fsio
from newleaf.checkpoint import store
from newleaf.checkpoint.seal import seal_problem
from newleaf.errors import NewleafError, RunError
from newleaf.runs import Run, read_json

Finding = tuple[Path, str | None]  # a file, and what is wrong with it


def verify_path(path: Any) -> dict[str, Any]:
    """{ok, files: [{path, ok, reason}]} of a run, a checkpoint or a model folder. RunError if it is none of them."""
    folder = Path(path)
    findings = list(of_folder(folder))
    if not findings:
        raise RunError(f"{folder} holds no run, checkpoint or model", where=str(folder), expected="a folder that newleaf wrote")
    return {
        "ok": all(reason is None for _, reason in findings),
        "files": [{"path": str(file), "ok": reason is None, "reason": reason} for file, reason in findings],
    }


def of_folder(folder: Path) -> Iterator[Finding]:
    """Whatever stands there, each by its own kind of proof."""
    run = Run(folder)
    if (folder / store.STATE).exists() or (folder / store.OPTIMIZER).exists():
        yield from of_checkpoint(folder)
        return
    if run.model.exists():
        yield run.model, seal_problem(run.model)
    if run.manifest.exists():
        yield from of_data(run)
    for path in [*store.by_step(run.checkpoints), *([run.checkpoints / store.TRUNK] if (run.checkpoints / store.TRUNK).exists() else [])]:
        yield from of_checkpoint(path)


def of_checkpoint(folder: Path) -> Iterator[Finding]:
    wrong = store.problems(folder)
    for name in sorted({store.WEIGHTS, store.OPTIMIZER, store.STATE, store.MANIFEST} | set(wrong)):
        yield folder / name, wrong.get(name)


def of_data(run: Run) -> Iterator[Finding]:
    """The tokenizer and the token shards, by the data manifest."""
    try:
        manifest = read_json(run.manifest)
        tokenizer = run.path / "tokenizer.json"
        same = tokenizer.exists() and fsio.sha256(tokenizer) == manifest["tokenizer_sha256"]
        yield tokenizer, None if same else "is not the one that the text was encoded with"
        for part in ("train", "val"):
            for entry in manifest[part]["files"]:
                yield run.data / entry["path"], store.problem(run.data / entry["path"], entry["size"], entry["sha256"])
    except (NewleafError, KeyError, TypeError) as error:
        yield run.manifest, str(error)
