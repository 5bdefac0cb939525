"""Every byte below a path, against the hashes written beside it.

The small files at the top of a run have theirs in .sums.json from the end of a process to the beginning of the next. Where that is not
there, because a process is at work or was killed, they are read, and must fit together.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from newleaf import fsio
from newleaf.checkpoint import store
from newleaf.checkpoint.seal import seal_problem
from newleaf.checkpoint.state import State
from newleaf.conversion.adapter import WEIGHTS as ADAPTER
from newleaf.conversion.facts import read_object
from newleaf.errors import NewleafError, RunError
from newleaf.runs import Run, read_json, read_lines
from newleaf.training.planfile import read_plan
from newleaf.training.prepare import read_manifest

Finding = tuple[Path, str | None]  # a file, and what is wrong with it
NOTES = ("config.json", "generation_config.json", "tokenizer_config.json", "summary.json")


def verify_path(path: Any) -> dict[str, Any]:
    """{ok, files: [{path, ok, reason}]} of a run, a checkpoint or a model folder. RunError if it is none of them."""
    folder, findings = Path(path), dict[Path, str | None]()
    for file, reason in of_folder(folder):
        findings[file] = findings.get(file) or reason
    if not findings:
        raise RunError(f"{folder} holds no run, checkpoint or model", where=str(folder), expected="a folder that newleaf wrote")
    return {
        "ok": not any(findings.values()),
        "files": [{"path": str(file), "ok": reason is None, "reason": reason} for file, reason in findings.items()],
    }


def of_folder(folder: Path) -> Iterator[Finding]:
    """Whatever stands there, each by its own kind of proof."""
    run = Run(folder)
    if (folder / store.STATE).exists() or (folder / store.OPTIMIZER).exists():
        yield from of_checkpoint(folder)
        return
    if run.model.exists() or (run.plan.exists() and read_object(run.summary).get("best_step")):
        yield run.model, seal_problem(run.model)
    if run.manifest.exists() or (run.plan.exists() and run.checkpoints.exists()):
        yield from of_data(run)
    for path in (run.reference, run.adapter / ADAPTER):
        if path.exists():
            yield path, seal_problem(path)
    if run.plan.exists():
        yield run.plan, why(lambda: read_plan(run))
    checkpoints, newest = store.by_step(run.checkpoints), None
    for path in [*checkpoints, *([run.checkpoints / store.TRUNK] if (run.checkpoints / store.TRUNK).exists() else [])]:
        findings = list(of_checkpoint(path))
        if not path.exists():  # a run in training has newer ones by now
            continue
        yield from findings
        if newest is None and path in checkpoints and not any(reason for _, reason in findings):
            newest = path
    yield from of_sums(run) if run.sums.exists() else of_notes(run, newest)


def of_sums(run: Run) -> Iterator[Finding]:
    """Every file at the top of a run at rest."""
    try:
        raw = run.sums.read_bytes()
        files = json.loads(raw)["files"]
        for name, entry in files.items():
            yield run.path / name, store.problem(run.path / name, entry["size"], entry["sha256"])
        yield run.sums, None if fsio.json_text({"files": files}).encode() == raw else "is not as it was written"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield run.sums, f"cannot be read: {error}"


def of_notes(run: Run, newest: Path | None) -> Iterator[Finding]:
    """Files that have no hash yet: whether they can be read, and fit to each other and to the newest checkpoint."""
    for path in (run.path / name for name in NOTES):
        if path.exists():
            yield path, why(lambda path=path: read_json(path))  # type: ignore[misc]
    for path in (run.metrics, run.samples, run.clock):
        if path.exists():
            yield path, log_problem(path, steps=path == run.metrics)
    if newest is not None and run.clock.exists():
        yield run.clock, clock_problem(run, newest)


def log_problem(path: Path, steps: bool) -> str | None:
    """What is wrong with a file of JSON lines, each with the step after the one before if it counts `steps`, or None."""
    *lines, _ = path.read_bytes().split(b"\n")  # a last line that a kill has cut off is written again
    for number, line in enumerate(lines, start=1):
        try:
            step = json.loads(line)["step"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return f"is damaged in line {number:,}"
        if steps and step != number:
            return f"has step {step} in line {number:,}"
    return None


def clock_problem(run: Run, checkpoint: Path) -> str | None:
    """Whether clock.jsonl says what a checkpoint says, or None; while a run is being extended, it says it a moment later."""
    decisions = [vars(decision) for decision in State.from_json(read_json(checkpoint / store.STATE)).decisions]
    taken = read_lines(run.clock)
    begun_anew = any(decision["restart"] and decision not in taken for decision in decisions)
    return None if begun_anew or taken[: len(decisions)] == decisions else f"does not say what {checkpoint.name} says"


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
