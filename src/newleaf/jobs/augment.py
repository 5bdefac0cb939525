"""A model and labelled examples in, more of them out, written by the model; and whether they help, measured on examples that none has seen.

Three tunings, each the job of `newleaf tune`: a writer (from a label to a text), a classifier without the new examples, which also judges
what is written, and one with them, which repeats the plan of the other step by step. Each part finds what an earlier process has finished.
"""

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from newleaf import fsio, runs, runtime
from newleaf.errors import Interrupted, TextError
from newleaf.evaluation.examples import score_labels
from newleaf.evaluation.labels import gain, label_figures
from newleaf.evaluation.metrics import Figure
from newleaf.jobs.augment_request import AugmentRequest, two_texts
from newleaf.jobs.author import REASONS, Author
from newleaf.jobs.loaded import Model, open_model
from newleaf.jobs.view import View
from newleaf.model import size
from newleaf.runs import Run
from newleaf.text.examples import Labelled
from newleaf.training.clock import Stopwatch
from newleaf.training.example_data import HELD_OUT_FROM, distinct, files_of, label_ids, open_examples, split
from newleaf.training.planfile import read_plan
from newleaf.training.prepare import read_manifest
from newleaf.training.request import Request
from newleaf.training.signals import Stop, farewell, listening
from newleaf.training.tasks import TASKS
from newleaf.workers import workers_for

Tune = Callable[[Request, View, float], dict[str, Any]]  # (what to tune, who listens, when it began) -> summary.json's object
WRITER_SHARE = 0.35  # of a budget in minutes: a label says little, so the writer has most to learn
CLASSIFIER_SHARE = 0.3  # of what the writer leaves; as long again for the second, and the rest to write and to judge
SLOWER = 1.05  # the second classifier than the first: texts that are written are longer or shorter
SMALL = 10_000_000  # parameters: such a writer is fastest on one thread, ten times where others use the cores (lab/LOG.md, 2026-11-27)
MARGIN_SECONDS = 0.5  # for the last lines
TELL_SECONDS, SHOWN = 10.0, 60  # between two lines while texts are written, and characters of a text in them
AGAIN = "the same command goes on"
CERTAIN = 2.0  # standard errors: a smaller gain may be luck


@dataclass
class Augmentation:
    """One command, from its examples to its figures. `tune` is handed in by the caller, as it holds the run."""

    request: AugmentRequest
    tune: Tune
    view: View
    watch: Stopwatch
    stop: Stop = field(default_factory=Stop)

    def run(self) -> dict[str, Any]:
        """The whole job; the caller holds the folder."""
        request, begin = self.request, self.view.stage
        train, held_out = self.examples()
        seconds = request.budget.seconds
        begin("1 of 4: a writer learns texts from their labels", "第一步，共四步：让写手学会按标签写文本")
        self.tuned(request.tuning("writer", ["prompts.jsonl"], self.minutes(WRITER_SHARE, seconds)))
        begin("2 of 4: a classifier learns from the examples alone", "第二步，共四步：只用原有样例调分类器")
        left = None if seconds is None else seconds - self.watch()
        without = self.tuned(request.tuning("without", ["train.jsonl"], self.minutes(CLASSIFIER_SHARE, left)))
        began = time.monotonic()
        labels, before = self.scores("without")
        deadline = None if seconds is None else seconds - SLOWER * without["seconds"] - (time.monotonic() - began) - MARGIN_SECONDS
        begin("3 of 4: writing, and judging what is written", "第三步，共四步：写新样例，并逐条判断")
        author = self.written(train, held_out, deadline)
        after = None
        if author.accepted:
            begin("4 of 4: a classifier learns from both, in as many steps", "第四步，共四步：用两部分样例调分类器，步数相同")
            recipe = request.run("without").plan
            self.tuned(request.tuning("with", ["train.jsonl", "accepted.jsonl"], None, recipe))
            _, after = self.scores("with")
        fsio.write_text(request.out, lines_of(request, [(each.text, each.label) for each in author.accepted]))
        return self.result(author, len(train), labels, before, after) | {"steps": without["steps"]}

    # parts ----------------------------------------------------------------------------------------------------------

    def examples(self) -> tuple[list[Labelled], list[Labelled]]:
        """(those to learn from, those held out). They are read and split once: what the folder holds stands."""
        request, folder = self.request, self.request.folder
        if not request.begun:
            train, held_out = read_examples(request)
            for name, rows in (("train.jsonl", train), ("held-out.jsonl", held_out)):
                fsio.write_text(folder / name, lines_of(request, [(row.texts[0], row.label) for row in rows]))
            prompts = [{"prompt": row.label, "completion": row.texts[0]} for row in train]
            runs.rewrite_lines(folder / "prompts.jsonl", prompts)
            fsio.write_json(folder / "asked.json", request.as_json())
        text, label = request.keys
        parts = (
            [Labelled((row[text],), row[label]) for row in runs.read_lines(folder / name)] for name in ("train.jsonl", "held-out.jsonl")
        )
        return next(parts), next(parts)

    def minutes(self, share: float, seconds: float | None) -> float | None:
        """Of a budget in minutes, or of what is left of it."""
        return None if seconds is None else max(share * seconds, 1.0) / 60

    def tuned(self, request: Request) -> dict[str, Any]:
        """One tuning, brought to its end."""
        return self.tune(request, self.view, time.monotonic())

    def scores(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(labels (N), log-probabilities (N, labels)) of the held-out examples, by a classifier."""
        run = self.request.run(name)
        model = self.opened(run)
        examples = open_examples(run, read_manifest(run), model.tokenizer).val
        workers = workers_for(str(model.decoder.device), runtime.available_cores())
        with listening() as self.stop:
            scores = score_labels(model.decoder, examples, range(len(examples)), workers, lambda share: self.leave_if_asked())
        return examples.labels, scores

    def written(self, train: list[Labelled], held_out: list[Labelled], deadline: float | None) -> Author:
        """What was written, in this process and in earlier ones; it is finished once accepted.jsonl stands there."""
        request, folder = self.request, self.request.folder
        writer, judge = (self.opened(request.run(name)) for name in ("writer", "without"))
        if size.parameters(writer.config) < SMALL:
            torch.set_num_threads(1)  # until the next tuning sets its own
        author = Author(writer, judge, train, held_out, request.n or len(train), request.seed)
        finished = (folder / "accepted.jsonl").exists()
        told = time.monotonic()

        def enough() -> bool:
            nonlocal told
            self.leave_if_asked()
            if time.monotonic() - told > TELL_SECONDS:
                told = time.monotonic()
                tried, passed = author.tries.total(), len(author.accepted)
                last = "".join(filter(str.isprintable, author.accepted[-1].text[:SHOWN])) if passed else "–"
                self.view.event(f"{tried:,} texts written, {passed:,} passed: {last}", f"写了 {tried:,} 条，通过 {passed:,} 条：{last}")
            return finished or (deadline is not None and self.watch() > deadline)

        with listening() as self.stop:
            author.write(folder / "written.jsonl", enough)
        if not finished:
            fsio.write_text(folder / "accepted.jsonl", lines_of(request, [(each.text, each.label) for each in author.accepted]))
        return author

    def opened(self, run: Run) -> Model:
        """The model of a finished run, on as many threads as it was tuned with."""
        train = read_plan(run)[0].recipe.train
        runtime.settle(runtime.machine(train.threads, train.precision))
        return open_model(run.path)

    def leave_if_asked(self) -> None:
        if self.stop.exit_code is not None:
            raise Interrupted("stopped by a signal, everything is saved", exit_code=self.stop.exit_code)

    # the figures ----------------------------------------------------------------------------------------------------

    def result(self, author: Author, examples: int, labels: np.ndarray, before: np.ndarray, after: np.ndarray | None) -> dict[str, Any]:
        """What --json prints. `accuracy_with`, `gain` and `verdict` are None where nothing has passed."""
        gained = gain(labels, before, after) if after is not None else None
        return {
            "written": len(author.accepted),
            "rejected": author.rejected.total(),
            "out": str(self.request.out),
            "reasons": {name: author.rejected[name] for name in REASONS},
            "labels": dict(Counter(each.label for each in author.accepted)),
            "accuracy_without": label_figures(labels, before)["accuracy"],
            "accuracy_with": label_figures(labels, after)["accuracy"] if after is not None else None,
            "gain": gained.as_json() if gained else None,
            "verdict": verdict(gained) if gained else None,
            "examples": examples,
            "held_out": len(labels),
            "seed": self.request.seed,
            "seconds": self.watch(),
            "runs": str(self.request.folder),
        }


def augment(request: AugmentRequest, tune: Tune, view: View, zero: float) -> dict[str, Any]:
    """Run the whole job; `zero`: when its command began."""
    try:
        with Run(request.folder).writing(worth=request.run("writer").plan):
            return Augmentation(request, tune, view, Stopwatch(spent(request), zero)).run()
    except Interrupted as error:
        error.hint, error.found = AGAIN, None  # what was found are the figures of one part
        raise
    except KeyboardInterrupt as asked:
        if not request.begun:
            raise
        raise Interrupted("stopped by a signal, everything is saved", exit_code=farewell(asked).exit_code, hint=AGAIN) from None


def read_examples(request: AugmentRequest) -> tuple[list[Labelled], list[Labelled]]:
    """(those to learn from, those held out), as `tune` splits them. TextError for too few, for one label, for two texts in one example."""
    task = TASKS["classify"]
    files = files_of(request.data, task, request.columns, request.names)
    found, val = distinct(files), list(files_of([request.val], task, request.columns, request.names)) if request.val else None
    if val is None and len(found) < HELD_OUT_FROM:
        hint = "add more, or name held-out ones with --val"
        raise TextError(f"there are {len(found)} examples", expected=f"at least {HELD_OUT_FROM}, so that some can be held out", hint=hint)
    parts = split(found, val)
    if not parts["train"]:
        raise TextError("every example is held out by --val", where="--val", expected="other examples than DATA has")
    label_ids(parts, val is not None)
    train, held_out = ([example for example in parts[name] if isinstance(example, Labelled)] for name in ("train", "val"))
    for example in (*train, *held_out):
        if len(example.texts) > 1:
            raise two_texts(example.source)
    return train, held_out


def lines_of(request: AugmentRequest, rows: list[tuple[str, str]]) -> str:
    """Texts and labels as JSON lines."""
    return "".join(json.dumps(dict(zip(request.keys, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)


def verdict(gained: Figure) -> str:
    """Whether a gain, or a loss, is more than luck.

    >>> verdict(Figure(0.05, 0.02)), verdict(Figure(0.05, 0.03)), verdict(Figure(-0.05, 0.01))
    ('helps', 'unclear', 'harms')
    """
    clear = gained.stderr is not None and abs(gained.value) > CERTAIN * gained.stderr
    return "unclear" if not clear else "helps" if gained.value > 0 else "harms"


def spent(request: AugmentRequest) -> float:
    """Seconds of earlier processes: of their tunings, and of their texts."""
    found = sum(float(row["seconds"]) for row in runs.read_lines(request.folder / "written.jsonl"))
    for name in ("writer", "without", "with"):
        run = request.run(name)
        rows = runs.read_lines(run.metrics)
        found += max(float(run.read_summary().get("seconds") or 0.0), float(rows[-1].get("seconds", 0.0)) if rows else 0.0)
    return found
