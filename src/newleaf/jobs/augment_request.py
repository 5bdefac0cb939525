"""What a person asked for who wants more examples, checked before any work begins. Imports no torch.

FILE            the new examples, written last
FILE's name.runs/
  asked.json    what was asked for: the same command goes on here
  train.jsonl · held-out.jsonl    DATA as it was split      prompts.jsonl     what the writer learns from
  written.jsonl                   every text and what became of it      accepted.jsonl    those that passed
  writer/ · without/ · with/      three runs of newleaf tune
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from newleaf.errors import ModelError, TextError, UsageError
from newleaf.runs import Run, read_json
from newleaf.settings import check_range
from newleaf.text.examples import Columns
from newleaf.text.read import Corpus
from newleaf.text.rows import JSON_LINES
from newleaf.training.base import find_base
from newleaf.training.clock import Budget
from newleaf.training.request import DEFAULT_MINUTES, Request, make_request, same_paths, shown

FIRST_FILES = ("train.jsonl", "held-out.jsonl", "prompts.jsonl")
WRITER_COLUMNS = {"input": "prompt", "output": "completion"}


@dataclass(frozen=True)
class AugmentRequest:
    """One command."""

    model: str
    data: tuple[str, ...]
    out: Path
    budget: Budget
    n: int | None  # examples to write; None: as many as there are to learn from
    val: str | None
    columns: Columns
    names: tuple[str, ...]  # of the columns of a table without a header
    seed: int
    settings: Mapping[str, Any]

    @cached_property
    def folder(self) -> Path:
        """What stands beside FILE."""
        return self.out.with_suffix(".runs")

    @property
    def keys(self) -> tuple[str, str]:
        """The names of text and label in what is written: those that DATA was read by, so that both can be read by one command."""
        return self.columns.input or "text", self.columns.label or "label"

    def run(self, name: str) -> Run:
        """writer, without or with."""
        return Run(self.folder / name)

    def tuning(self, name: str, data: Sequence[str], minutes: float | None, recipe: Path | None = None) -> Request:
        """The tuning of one of the three; a run that has begun keeps what it began with."""
        writes, run = name == "writer", self.run(name)
        none: dict[str, Any] = dict.fromkeys(("input", "second_input", "output", "label", "columns"))
        named = WRITER_COLUMNS if writes else dict(zip(("input", "label"), self.keys, strict=True))
        budget = {} if run.begun or recipe else {"minutes": minutes} if self.budget.seconds is not None else {"steps": self.budget.steps}
        return make_request(
            () if run.begun else [str(self.folder / each) for each in data],
            out=run.path,
            budget=budget,
            val=None if writes or run.begun else self.folder / "held-out.jsonl",
            column=None,
            base=None if run.begun else self.model,
            seed=None if run.begun else self.seed,
            recipe=None if run.begun else recipe,
            settings={} if run.begun else {"tune.baselines": False, **self.settings},
            resume=True,
            extend=False,
            task=none | {"task": "complete" if writes else "classify", **named},
        )

    def as_json(self) -> dict[str, Any]:
        """What the folder remembers, by the names that a person knows."""
        return {
            "MODEL": same_paths([self.model])[0] if Path(self.model).is_dir() else self.model,
            "DATA": same_paths(self.data),
            "the budget": str(self.budget),
            "--n": self.n,
            "--val": self.val and same_paths([self.val])[0],
            "--seed": self.seed,
            **{f"--{name.replace('_', '-')}": value for name, value in asdict(self.columns).items()},
            "--columns": list(self.names) or None,
            **{f"--{name}": value for name, value in self.settings.items()},
        }

    def require_possible(self) -> None:
        """UsageError, TextError, ModelError or RunError for what cannot be: nothing was written yet."""
        check_range("--n", self.n, 1)
        out = self.out
        if out.suffix.lower() not in JSON_LINES:
            raise UsageError(f"--out is {out}", where="--out", expected="a file that ends in .jsonl")
        if out.exists():
            raise UsageError(f"{out} exists", where=str(out), expected="a new name", hint="remove it, or choose another")
        if not out.parent.is_dir():
            raise UsageError(f"{out.parent} is no folder", where=str(out), expected="a folder that exists", hint="make it first")
        if self.columns.second_input is not None:
            raise two_texts("--second-input")
        self.require_same()
        judge = self.tuning("without", ["train.jsonl"], DEFAULT_MINUTES)  # whatever is wrong with seed and settings is found now
        if judge.recipe.tune.labels is not None:
            raise UsageError("the classifiers need a head", where="tune.labels", hint="leave tune.labels out")
        if not self.begun:
            for names in (self.data, [self.val] if self.val else []):
                if names:
                    Corpus(names, stdin=b"")
        model = find_base(self.model)
        if model[1].num_labels:
            hint = "newleaf evaluate measures it"
            raise ModelError(f"{self.model} tells labels apart and writes no text", where=self.model, hint=hint)

    @property
    def begun(self) -> bool:
        """Whether DATA has been read."""
        return (self.folder / "asked.json").exists()

    def require_same(self) -> None:
        """UsageError, naming both, where an earlier command began with something else; RunError where the folder is none of ours."""
        folder = self.folder
        names = Run(folder).names()
        if "asked.json" not in names:
            Run(folder).require_only({".lock", ".owner.json", *FIRST_FILES}, names)
            return
        recorded, asked = read_json(folder / "asked.json"), self.as_json()
        for name in dict.fromkeys([*recorded, *asked]):
            if recorded.get(name) != asked.get(name):
                raise UsageError(
                    f"{name} is {shown(asked.get(name))} here, but {folder} was begun with {shown(recorded.get(name))}",
                    where=name,
                    hint="give what was given then, remove the folder, or choose another --out",
                )


def two_texts(where: str) -> TextError:
    """Of what is no single text with a label."""
    return TextError("an example has two texts", where=where, expected="one text and its label")
