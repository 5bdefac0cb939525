"""A model, examples and a budget in, a tuned model out: one of three subjects, by what the task learns."""

from typing import Any

from newleaf.jobs.answers import Answers
from newleaf.jobs.job import Job
from newleaf.jobs.labels import Labels, SpelledLabels
from newleaf.jobs.preferences import Preferences
from newleaf.jobs.setup import Setup, resume
from newleaf.jobs.tune_setup import begin_tuning, open_tuning
from newleaf.jobs.tuning import Tuning
from newleaf.jobs.view import View
from newleaf.training.clock import Stopwatch
from newleaf.training.example_data import ExampleData
from newleaf.training.request import Request
from newleaf.training.signals import listening
from newleaf.training.tasks import Kind, task_named

SUBJECTS: dict[Kind, type[Tuning]] = {"answers": Answers, "labels": Labels, "spelled": SpelledLabels, "preference": Preferences}


def tune(request: Request, view: View, zero: float) -> dict[str, Any]:
    """Run the whole job; the caller holds the run's lock. `zero`: when its command began. Returns summary.json's object."""
    begun = request.run.begun
    setup = resume(request, view, zero, open_tuning) if begun else begin_tuning(request, view, Stopwatch(0.0, zero))
    job = Job(setup, subject_of(setup, view), view)
    with listening() as job.stop:
        return job.run()


def subject_of(setup: Setup[ExampleData], view: View) -> Tuning:
    """What a run learns, by its task."""
    task = task_named(setup.inputs["task"], setup.plan.recipe.tune.labels)
    return SUBJECTS[task.kind](setup, view, task)
