"""Each warning where it belongs, none on a healthy run, all in two languages with one thing to do."""

from dataclasses import replace
from typing import Any

import pytest
from evaluation import example_runs

from newleaf.conversion.facts import RunFacts
from newleaf.evaluation.report.advice import advise
from newleaf.evaluation.report.advice_on_text import repeated_share

HEALTHY = example_runs.finished()


def with_summary(**figures: Any) -> RunFacts:
    return replace(HEALTHY, summary={**HEALTHY.summary, **figures})


def with_originality(people: float = 0.0, **figures: Any) -> RunFacts:
    known = HEALTHY.summary["originality"]
    beside = {**known["held_out"], **dict.fromkeys(figures, people)}
    return with_summary(originality={**known, **figures, "held_out": beside})


def with_manifest(**figures: Any) -> RunFacts:
    return replace(HEALTHY, manifest={**HEALTHY.manifest, **figures})


def of_a_task(held_out: int, losses: tuple[float, ...] = (0.5, 0.4)) -> RunFacts:
    """A run that tells labels apart."""
    rows = [{"step": step, "seconds": 60.0 * step, "val_loss": loss, "val_bpb": loss} for step, loss in enumerate(losses, start=1)]
    summary = {"task": "classify", "stopped_by": "text", "best_step": 2, "val_loss": min(losses), "val_bytes": 90, "train_bytes": 900}
    return RunFacts("labels", summary=summary, metrics=rows, manifest={"held_out": True, "val": {"num_examples": held_out}})


COMMON = with_originality(people=0.35, copied_share=0.4, repetition=0.4)  # a text that people fill with what was said before

CASES = {
    "stopped": [example_runs.unfinished(), example_runs.empty(), *(with_summary(stopped_by=by) for by in ("signal", "nan", "error", None))],
    "overfitting": [with_summary(final_val_bpb=1.72), example_runs.overfitted()],
    "worse_than_baseline": [with_summary(val_bpb=2.5, final_val_bpb=2.5)],
    "too_little_text": [with_summary(stopped_by="text"), with_summary(epochs=40.0), with_summary(train_bytes=30_000)],
    "copying": [with_originality(copied_share=0.3)],
    "known_before": [with_originality(people=0.8, copied_share=0.8)],
    "repetition": [example_runs.overfitted(), with_originality(repetition=0.4)],
    "held_out_in_part": [with_summary(val_bytes=64_000)],
    "small_held_out": [replace(with_summary(val_bytes=3000), manifest={"val_bytes": 3000})],
    "few_held_out": [of_a_task(40)],
    "text_left_out": [with_manifest(num_skipped=3, skipped_counts={"not text": 1, "hidden": 2})],
    "inexact": [with_summary(exact=False)],
    "short_of_memory": [replace(with_summary(micro_batch=2), plan={**HEALTHY.plan, "train.micro_batch": 8})],
}


@pytest.mark.parametrize(("key", "run"), [(key, run) for key, runs in CASES.items() for run in runs])
def test_the_warning_is_given(key: str, run: RunFacts) -> None:
    assert key in [advice.key for advice in advise(run)]


@pytest.mark.parametrize(
    "run", [HEALTHY, example_runs.finished("zh"), with_summary(final_val_bpb=1.605), with_manifest(duplicates=9), COMMON]
)
def test_a_healthy_run_gets_no_warning(run: RunFacts) -> None:
    assert advise(run) == []


def test_files_that_nobody_meant_to_be_read_are_no_warning() -> None:
    assert advise(with_manifest(num_skipped=5, skipped_counts={"hidden": 3, "empty": 2})) == []


@pytest.mark.parametrize("runs", CASES.values(), ids=list(CASES))
def test_every_warning_says_in_both_languages_what_to_do(runs: list[RunFacts]) -> None:
    for advice in advise(runs[0]):
        for words in (advice.title, advice.why, advice.change):
            assert words.en and words.zh and words.en != words.zh


def test_a_task_is_warned_of_in_its_own_units() -> None:
    """Labels have few bytes, and bits per byte say nothing of them."""
    assert advise(of_a_task(500)) == []
    (advice,) = advise(of_a_task(500, (0.5, 0.4, 0.6)))
    assert (advice.key, "bits" in advice.why.en, "比特" in advice.why.zh) == ("overfitting", False, False)
    assert "从 0.400 升到 0.600" in advice.why.zh
    assert "a held-out loss of 0.400 became 0.600" in advice.why.en and "more examples" in advice.change.en


def test_overfitting_is_seen_while_the_run_goes_on() -> None:
    rows = [{"step": step, "seconds": 60.0 * step, "val_bpb": 2.0 + abs(step - 3) / 10} for step in range(1, 9)]
    run = RunFacts("poems", summary={"stopped_by": None, "best_step": 3}, metrics=rows)
    advice = next(one for one in advise(run) if one.key == "overfitting")
    assert "After step 3" in advice.why.en and "3 minutes are enough" in advice.change.en


def test_the_command_to_resume_can_be_pasted() -> None:
    run = replace(example_runs.unfinished(), path="my runs/poems")
    assert "newleaf train --out 'my runs/poems' --resume" in advise(run)[0].change.en


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("the king of " * 40, True),
        ("不知道不知道" * 40, True),
        (
            "  \n" * 200 + "Once upon a time there was a queen who had three daughters, and each of them wanted to see the world beyond. ",
            False,
        ),
        ("".join(chr(0x4E00 + (index * 37) % 900) for index in range(300)), False),
    ],
)
def test_circles_are_told_from_prose(text: str, loops: bool) -> None:
    assert ((repeated_share(text) or 0) > 0.6) is loops
