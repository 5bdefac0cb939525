"""The last files of a process that trained: report.html and README.md, which a person looks at, and the sums of all files at the top.

The first two hold English and Chinese, the person's language first. The sums say what the run was like when its process ended; training
that goes on removes them before it changes anything.
"""

from collections.abc import Callable

from newleaf import fsio, runtime
from newleaf.conversion.card import write_card
from newleaf.evaluation.report import write_report
from newleaf.runs import Run


def write_ending(run: Run, tell: Callable[[str, str], None]) -> None:
    """Write them from what the run directory holds. One that cannot be written is told and costs no run: the model is saved already."""
    language = runtime.language()
    writers: dict[str, Callable[[], object]] = {
        "report.html": lambda: write_report(run.path, language),
        "README.md": lambda: write_card(run.path, language),
        run.sums.name: lambda: write_sums(run),
    }
    for name, write in writers.items():
        try:
            write()
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            tell(f"{name} could not be written ({why}); everything else is saved", f"没能写出 {name}（{why}）；其余的都已存好")


def write_sums(run: Run) -> None:
    """.sums.json: size and sha256 of every file at the top of the run but the hidden ones."""
    paths = sorted(path for path in run.path.iterdir() if path.is_file() and not path.name.startswith("."))
    fsio.write_json(run.sums, {"files": {path.name: {"size": path.stat().st_size, "sha256": fsio.sha256(path)} for path in paths}})
