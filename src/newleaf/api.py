"""Whole jobs for Python and the command line alike: `train`, `tune`, `augment`, `plan`, `load`, `evaluate`, `export`, `verify`.

Arguments are checked and the run is locked before torch is imported: a mistake is answered at once.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newleaf.conversion.hub import folder_of
from newleaf.errors import UsageError
from newleaf.evaluation.between import Between, unheard
from newleaf.jobs.augment_request import AugmentRequest
from newleaf.jobs.view import View
from newleaf.runtime import importing_torch
from newleaf.text.examples import Columns
from newleaf.training.clock import Budget
from newleaf.training.planfile import read_plan
from newleaf.training.request import DEFAULT_MINUTES, Request, make_request, remember, require_state, require_text
from newleaf.training.task_request import require_task_for, tuning_request

if TYPE_CHECKING:
    from newleaf.jobs.loaded import Model

Paths = Sequence[str] | str | os.PathLike[str]
PathLike = str | os.PathLike[str]


def train(
    data: Paths = (),
    *,
    out: PathLike | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    tokens: int | None = None,
    epochs: float | None = None,
    val: PathLike | None = None,
    column: str | None = None,
    base: PathLike | None = None,
    seed: int | None = None,
    recipe: PathLike | None = None,
    resume: bool = False,
    extend: bool = False,
    settings: Mapping[str, Any] | None = None,
    view: View | None = None,
    seconds_before: float = 0.0,
) -> dict[str, Any]:
    """Train a GPT on text and return the figures of summary.json.

    `data`: files, folders, globs or "-"; none means the source of the Python standard library. One of `minutes` (10 if none is
    given), `steps`, `tokens`, `epochs` is the budget. `base`: a model to go on from (--from), whose shape and tokenizer are kept.
    `settings`: {"model.width": 256, …}. `seconds_before`: of the budget, what was spent before this call; from here on everything
    counts. Errors are newleaf.errors.NewleafError; an interruption is saved and raises Interrupted.
    """
    zero = time.monotonic() - seconds_before
    budget = {"minutes": minutes, "steps": steps, "tokens": tokens, "epochs": epochs}
    request = make_request(
        data,
        out=out,
        budget=budget,
        val=val,
        column=column,
        base=base,
        seed=seed,
        recipe=recipe,
        settings=settings or {},
        resume=resume,
        extend=extend,
    )
    return run_job(request, view or View(), zero)


def tune(
    model: PathLike | None,
    data: Paths = (),
    *,
    task: str | None,
    out: PathLike | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    tokens: int | None = None,
    epochs: float | None = None,
    val: PathLike | None = None,
    input: str | None = None,
    second_input: str | None = None,
    output: str | None = None,
    label: str | None = None,
    columns: Sequence[str] = (),
    lora: bool = False,
    seed: int | None = None,
    recipe: PathLike | None = None,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    view: View | None = None,
    seconds_before: float = 0.0,
) -> dict[str, Any]:
    """Tune a model for a task on examples and return the figures of summary.json.

    `model`: a run, a model's folder or a hub name. `data`: files of examples. `task`: chat, instruct, classify, translate, summarize, qa,
    rewrite, complete or prefer. `input`, `second_input`, `output` and `label` name columns, `columns` those of a table without a header.
    `lora`: learn by low-rank adapters beside the frozen model. Budget, settings and errors as in
    `train`. With `resume` all but `out` may be left out.
    """
    zero = time.monotonic() - seconds_before
    request = tuning_request(
        model,
        data,
        task=task,
        named={"input": input, "second_input": second_input, "output": output, "label": label, "columns": list(columns) or None},
        lora=lora,
        settings=settings or {},
        out=out,
        budget={"minutes": minutes, "steps": steps, "tokens": tokens, "epochs": epochs},
        val=val,
        seed=seed,
        recipe=recipe,
        resume=resume,
    )
    return run_job(request, view or View(), zero)


def augment(
    model: PathLike,
    data: Paths,
    *,
    out: PathLike,
    n: int | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    val: PathLike | None = None,
    input: str | None = None,
    second_input: str | None = None,
    label: str | None = None,
    columns: Sequence[str] = (),
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    view: View | None = None,
    seconds_before: float = 0.0,
) -> dict[str, Any]:
    """Let a model write more labelled examples into the JSON lines of `out`, and measure whether they help.

    `data` as in `tune` with the task classify. `n`: how many, at most; as many as there are to learn from by default. `minutes` (10 if none
    is given) is the budget of all parts, `steps` that of each of three tunings, whose runs stand beside `out`. The same call goes on where
    one was stopped.

    Returns {written, rejected, out, reasons, labels, accuracy_without, accuracy_with, gain, verdict, examples, held_out, steps, seed,
    seconds, runs}. `reasons` counts what was rejected; the accuracies and the gain are {value, stderr} on the held-out examples; `verdict`
    is "helps" or "harms" where the gain is beyond two standard errors, else "unclear". Where nothing passed they are None.
    """
    zero = time.monotonic() - seconds_before
    given = {name: value for name, value in {"minutes": minutes, "steps": steps}.items() if value is not None}
    request = AugmentRequest(
        model=os.fspath(model),
        data=tuple(os.fspath(name) for name in ([data] if isinstance(data, str | os.PathLike) else data)),
        out=Path(out),
        budget=Budget(**(given or {"minutes": DEFAULT_MINUTES})),  # type: ignore[arg-type]
        n=n,
        val=os.fspath(val) if val is not None else None,
        columns=Columns(input, second_input, None, label),
        names=tuple(columns),
        seed=seed,
        settings=dict(settings or {}),
    )
    request.require_possible()
    with importing_torch():
        from newleaf.jobs.augment import augment as job
    return job(request, run_job, view or View(), zero)


def run_job(request: Request, listener: View, zero: float) -> dict[str, Any]:
    """Hold the run, and train or tune."""
    run = request.run
    run.require_ours()
    with run.writing():
        finished = require_state(request)
        if finished is not None:
            last, bpb, loss = (finished[name] for name in ("steps", "val_bpb", "val_loss"))
            en, zh = (
                (f"{bpb:.4f} bits per byte", f"每字节 {bpb:.4f} 比特") if bpb else (f"held-out loss {loss:.4f}", f"留出损失 {loss:.4f}")
            )
            listener.event(f"{run.path} is finished: {en} after {last:,} steps", f"{run.path} 已经完成：{last:,} 步，{zh}")
            if not run.sums.exists():  # the last file of a run: its process was killed at the very end
                from newleaf.jobs.ending import write_ending

                write_ending(run, listener.event)
            return finished
        require_text(request)
        request = remember(request)
        if read_plan(run)[1].get("task") if run.plan.exists() else request.task:
            with importing_torch():
                from newleaf.jobs.tune import tune as job
        else:
            with importing_torch():
                from newleaf.jobs.pretrain import pretrain as job
        return job(request, listener, zero)


def load(model: PathLike) -> "Model":
    """A run directory, a model's folder or a hub name as a model: `.generate(prompt)`, `.logits(ids)`, `.tokenizer`.

    ModelError if it is missing, damaged or not supported.
    """
    folder = folder_of(model)
    with importing_torch():
        from newleaf.jobs.loaded import open_model

    return open_model(folder)


def evaluate(
    model: PathLike,
    data: Paths = (),
    *,
    column: str | None = None,
    second_input: str | None = None,
    output: str | None = None,
    label: str | None = None,
    columns: Sequence[str] = (),
    suite: PathLike | None = None,
    between: Between = unheard,
) -> dict[str, Any]:
    """Bits per byte of a model on text; of a tuned model, how well it does its task on examples. Without `data` on what the run itself
    held out. The columns are named as in `tune`.

    Returns {bits_per_byte, perplexity, loss, bytes, tokens, documents, stderr}, of `data` also {files: [{path, bits_per_byte, perplexity,
    bytes, tokens, documents}, …]}; or {examples, accuracy, macro_f1, calibration_error} of a model that classifies, or {examples, loss,
    stops, …}; all that is measured by examples is {value, stderr}. Rows that are no example, or too long, are counted in `left_out`, and
    the examples whose answers were written in `written`, where not all were. With a `suite`, a TOML file or the name of one that comes with
    newleaf, {task: {items, accuracy, …}}; `data` is then the folder of its files. `between` is called now and then with the share
    that is done.
    """
    inputs = [os.fspath(data)] if isinstance(data, str | os.PathLike) else list(map(os.fspath, data))
    if suite is not None:
        unread = {"--column": column, "--second-input": second_input, "--output": output, "--label": label, "--columns": columns}
        for name in [name for name, value in unread.items() if value]:
            raise UsageError(f"{name} says nothing beside --suite", where=name, expected="columns as the suite names them")
        if len(inputs) > 1:
            raise UsageError(f"--suite was given {len(inputs)} folders", where="DATA", expected="one, with the files that it names")
    with importing_torch():
        from newleaf.evaluation.suite import read_suite
        from newleaf.jobs.evaluate import measured, suite_metrics

    if suite is not None:
        return suite_metrics(load(model), read_suite(os.fspath(suite), Path(inputs[0]) if inputs else None), between)
    return measured(load(model), inputs, Columns(column, second_input, output, label), list(columns), between)


def export(
    model: PathLike, out: PathLike, *, to: str, quantize: str | None = None, tell: Callable[[str, str], None] = lambda en, zh: None
) -> dict[str, Any]:
    """Write a model as a Hugging Face folder (`to` "hf") or as a GGUF file ("gguf", its numbers of the type `quantize`), and prove it.

    Returns {format, files, max_logit_difference, ids_equal, greedy_equal, bpb_change}; figures of a proof that nothing
    installed could give are None. ModelError, and nothing is left behind, where what was written answers otherwise.
    """
    if to not in ("hf", "gguf") or (quantize is not None and to == "hf"):
        raise UsageError(f"--to is {to} and --quantize is {quantize}", where="--to", expected="hf, or gguf with --quantize")
    folder = folder_of(model)
    with importing_torch():
        from newleaf.jobs.export import export_model
        from newleaf.jobs.loaded import open_model

    return export_model(open_model(folder), to, quantize, Path(out), tell)


def verify(path: PathLike) -> dict[str, Any]:
    """Read every byte below a run, a checkpoint or a model: {ok, files: [{path, ok, reason}]}.

    Everything has a hash but, while a run is in training or after it was killed, the small files at its top: whether they can be read
    and fit together is checked then.
    """
    with importing_torch():
        from newleaf.jobs.verify import verify_path

    return verify_path(path)


def plan(
    data: Paths = (),
    *,
    out: PathLike | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    tokens: int | None = None,
    epochs: float | None = None,
    val: PathLike | None = None,
    column: str | None = None,
    base: PathLike | None = None,
    seed: int | None = None,
    recipe: PathLike | None = None,
    task: str | None = None,
    input: str | None = None,
    second_input: str | None = None,
    output: str | None = None,
    label: str | None = None,
    columns: Sequence[str] = (),
    lora: bool = False,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What `train` with the same arguments would do, without training; with a `task`, what `tune` would do with `base` as its model. With
    `out` the plan is written there, for `train` or `tune` to use; with `resume` it is that of the run that stands there.

    Returns {parameters, vocab_size, context, width, depth, batch_tokens, epochs, precision, threads, seconds, peak_memory_bytes,
    matmul_flops_per_second, disk_bytes, val_bpb, val_bpb_low, val_bpb_high, reasons}; the three figures of bits per byte are None for a
    task, as nobody can tell them beforehand, and `learned_parameters` and `steps` (None where the clock decides) stand beside the others.
    """
    from newleaf.jobs.foresee import foresee_run

    named = {"input": input, "second_input": second_input, "output": output, "label": label, "columns": list(columns) or None}
    shared: dict[str, Any] = {
        "out": out,
        "budget": {"minutes": minutes, "steps": steps, "tokens": tokens, "epochs": epochs},
        "val": val,
        "seed": seed,
        "recipe": recipe,
        "resume": resume,
        "settings": settings or {},
    }
    require_task_for(named | {"lora": lora}, task, base, known=bool(resume or recipe))
    if task is None:
        request = make_request(data, column=column, base=base, extend=False, **shared)
    else:
        request = tuning_request(base, data, task=task, named=named | {"input": input or column}, lora=lora, **shared)
    return foresee_run(request, write=out is not None)
