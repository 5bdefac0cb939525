"""What a person looks at: report.html and README.md of a run. Both hold English and Chinese, the person's language first."""

from collections.abc import Callable

from newleaf import runtime
from newleaf.conversion.card import write_card
from newleaf.evaluation.report import write_report
from newleaf.runs import Run


def write_pages(run: Run, tell: Callable[[str, str], None]) -> None:
    """Write both from what the run directory holds. One that cannot be written is told and costs no run: the model is saved already."""
    for name, write in (("report.html", write_report), ("README.md", write_card)):
        try:
            write(run.path, runtime.language())
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            tell(f"{name} could not be written ({why}); everything else is saved", f"没能写出 {name}（{why}）；其余的都已存好")
