"""Every byte below a path, against the hashes written beside it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from newleaf import fsio
from newleaf.checkpoint import store
from newleaf.checkpoint.seal import seal_problem
from newleaf.errors import NewleafError, RunError
from newleaf.runs import Run, read_json
from newleaf.training.planfile import read_plan
from newleaf.training.prepare import read_manifest

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
    if run.model.exists() or (run.plan.exists() and run.read_summary().get("best_step")):
        yield run.model, seal_problem(run.model)
    if run.manifest.exists() or (run.plan.exists() and run.checkpoints.exists()):
        yield from of_data(run)
    yield from of_notes(run)
    for path in [*store.by_step(run.checkpoints), *([run.checkpoints / store.TRUNK] if (run.checkpoints / store.TRUNK).exists() else [])]:
        yield from of_checkpoint(path)


def of_notes(run: Run) -> Iterator[Finding]:
    """Files that have no hash: whether they can be read at all."""
    for path in (run.path / "config.json", run.path / "generation_config.json", run.summary):
        if path.exists():
            yield path, why(lambda path=path: read_json(path))  # type: ignore[misc]
    if run.plan.exists():
        yield run.plan, why(lambda: read_plan(run))


def why(read: Callable[[], object]) -> str | None:
    """What reading complains of, or None."""
    try:
        read()
    except NewleafError as error:
        return str(error)
    return None


def of_checkpoint(folder: Path) -> Iterator[Finding]:
    wrong = store.problems(folder)
    for name in sorted({store.WEIGHTS, store.OPTIMIZER, store.STATE, store.MANIFEST} | set(wrong)):
        yield folder / name, wrong.get(name)


def of_data(run: Run) -> Iterator[Finding]:
    """The tokenizer, the token shards and the hashes of documents, by the data manifest."""
    try:
        manifest = read_manifest(run)
        yield run.manifest, None
        tokenizer = run.path / "tokenizer.json"
        same = tokenizer.exists() and fsio.sha256(tokenizer) == manifest["tokenizer_sha256"]
        yield tokenizer, None if same else "is not the one that the text was encoded with"
        for entry in [*manifest["train"]["files"], *manifest["val"]["files"], *manifest["hashes"]]:
            yield run.data / entry["path"], store.problem(run.data / entry["path"], entry["size"], entry["sha256"])
    except (NewleafError, OSError, KeyError, TypeError) as error:
        yield run.manifest, str(error)
