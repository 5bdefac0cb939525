"""What a person looks at: report.html and README.md of a run. Both hold English and Chinese, the person's language first."""

from newleaf import runtime
from newleaf.conversion.card import write_card
from newleaf.evaluation.report import write_report
from newleaf.runs import Run


def write_pages(run: Run) -> None:
    """Write both from what the run directory holds."""
    write_report(run.path, runtime.language())
    write_card(run.path, runtime.language())
