"""What a model can be tuned for, one row a task: what its examples are, in which words it is asked, how it is judged. Imports no torch."""

from dataclasses import dataclass, replace
from typing import Literal

from newleaf.errors import UsageError

Kind = Literal["answers", "labels", "spelled", "preference"]
LABELLED: tuple[Kind, ...] = ("labels", "spelled")  # by a head on the last token, or as text that the model finds likely


@dataclass(frozen=True)
class Task:
    """One row."""

    name: str
    kind: Kind  # what is learned: the answers of conversations, one label a text, which of two answers is better
    words: tuple[str, str] | None = ("user", "assistant")  # for who asks and who answers; None: the answer goes on from the question
    columns: tuple[tuple[str, str], ...] = ()  # (input, output) columns that its data is known to have, besides the common shapes
    metrics: tuple[str, ...] = ()  # of what is written, best first


TASKS = {
    task.name: task
    for task in (
        Task("chat", "answers"),
        Task("instruct", "answers"),
        Task("classify", "labels", ("text", "label")),
        Task(
            "translate",
            "answers",
            ("text", "translation"),
            (("source", "target"), ("en", "zh"), ("zh", "en"), ("english", "chinese")),
            ("chrf", "bleu"),
        ),
        Task(
            "summarize",
            "answers",
            ("text", "summary"),
            (("abstract", "title"), ("text", "summary"), ("article", "highlights"), ("document", "summary"), ("content", "title")),
            ("rouge_l", "chrf"),
        ),
        Task("qa", "answers", ("question", "answer"), (("question", "answer"),), ("f1", "exact_match")),
        Task("rewrite", "answers", ("text", "rewritten"), (("source", "target"), ("input", "output")), ("chrf", "exact_match")),
        Task("complete", "answers", None, (("title", "paragraphs"), ("docstring", "code")), ("chrf",)),
        Task("prefer", "preference"),
    )
}


def task_named(name: str, labels: str | None = None) -> Task:
    """UsageError where there is none. `labels`: as tune.labels says."""
    if name not in TASKS:
        raise UsageError(f"--task is {name}", where="--task", expected=" or ".join(TASKS))
    task = TASKS[name]
    return replace(task, kind="spelled") if labels == "text" and task.kind == "labels" else task
