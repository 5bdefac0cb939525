"""Memory that does not suffice: fewer rows at once, the same batches, the same model."""

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from shortages import ERRORS, short_job, short_muon, short_windows
from texts import text
from torch import Tensor

from newleaf import evaluate, fsio
from newleaf.cli.main import run
from newleaf.errors import OutOfMemoryError
from newleaf.evaluation import bits
from newleaf.model import size
from newleaf.model.config import preset
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout
from newleaf.optim.muon import stacks
from newleaf.runs import read_lines
from newleaf.workers import Workers

STEPS, ROWS = 8, 4
SHAPE = shlex.split(
    f"--steps {STEPS} --model.width 64 --model.depth 1 --model.context 32 --train.batch_tokens {32 * ROWS} --train.checkpoint_every 4"
)
PRETRAINING = "newleaf.jobs.pretrain.Job"
CLOCKS = {"seconds", "tokens_per_second", "micro_batch"}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """With a text in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        Path("a.txt").write_text(text(200), "utf-8")
        yield tmp_path


def train(name: str, *words: str, precision: str = "float32", threads: int = 1) -> int:
    return run(["train", "a.txt", "--out", name, *SHAPE, "--train.precision", precision, "--train.threads", str(threads), *words])


def figures(name: str) -> tuple[str, list[dict[str, Any]]]:
    """The weights, and the lines of metrics.jsonl without clocks."""
    rows = read_lines(Path(name, "metrics.jsonl"))
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    return fsio.sha256(Path(name, "model.safetensors")), [{key: row[key] for key in row if key not in CLOCKS} for row in rows]


def rows_at_once(name: str) -> list[int | None]:
    """By step; None where they are as planned."""
    return [row.get("micro_batch") for row in read_lines(Path(name, "metrics.jsonl"))]


def state(name: str) -> dict[str, Any]:
    """Of the newest checkpoint."""
    newest = max(Path(name, "checkpoints").glob("step-*"))
    found: dict[str, Any] = json.loads((newest / "state.json").read_text())
    return found


def summary(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(name, "summary.json").read_text())
    return found


@pytest.mark.parametrize(
    ("precision", "threads", "backward", "dropout"),
    [
        ("float32", 1, False, 0.0),
        ("float32", 2, False, 0.1),
        ("float32", 2, True, 0.0),
        ("bf16", 1, True, 0.1),
        ("bf16", 2, False, 0.0),
    ],
)
def test_a_run_that_is_short_of_memory_from_the_beginning_is_the_run_with_half_the_micro_batch(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    precision: str,
    threads: int,
    backward: bool,
    dropout: float,
) -> None:
    words = ["--train.dropout", str(dropout)]
    assert train("half", "--train.micro_batch", str(ROWS // 2), *words, precision=precision, threads=threads) == 0
    monkeypatch.setattr(PRETRAINING, short_job("torch", most_rows=ROWS // threads // 2, backward=backward))
    capsys.readouterr()
    assert train("short", *words, precision=precision, threads=threads) == 0
    assert "step 1: memory ran out; from here on 2 of a batch's 4 rows at once, not 4" in capsys.readouterr().err.splitlines()
    assert figures("short") == figures("half")
    assert rows_at_once("short") == [2] * STEPS
    assert (summary("short")["micro_batch"], state("short")["micro_batch"]) == (2, 2)
    assert "--train.micro_batch 2" in Path("short/report.html").read_text("utf-8")
    assert run(["verify", "short"]) == 0


@pytest.mark.parametrize("error", ERRORS)
def test_every_kind_of_shortage_in_the_middle_of_a_run_changes_rounding_alone(
    place: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    expected: Rows = {}
    monkeypatch.setattr(PRETRAINING, recording(short_job(error), expected))
    assert train("half", "--train.micro_batch", "2", threads=2) == 0
    monkeypatch.undo()
    found: Rows = {}
    monkeypatch.setattr(PRETRAINING, recording(short_job(error, at=7), found))  # two forwards a step: the first of the fourth
    assert train("short", threads=2) == 0
    assert rows_at_once("short") == [None] * 3 + [2] * 5
    assert found == expected
    half = load_file("half/model.safetensors")
    for name, weights in load_file("short/model.safetensors").items():
        torch.testing.assert_close(weights, half[name], rtol=1e-4, atol=1e-5)


Rows = dict[int, set[bytes]]  # by step


def recording(job: type[Any], rows: Rows) -> type[Any]:
    """The same, and which rows go forward in it."""

    class Recording(job):  # type: ignore[misc, valid-type]
        def loss(self, model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None) -> Tensor:
            rows.setdefault(self.loop.state.step, set()).update(row.numpy().tobytes() for row in torch.cat([*batch], 1))
            return super().loss(model, batch, dropout)  # type: ignore[no-any-return]

    return Recording


def test_an_optimizer_step_is_never_left_half_done(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = len([*stacks_of_a_step()])
    assert calls > 1
    monkeypatch.setattr(PRETRAINING, short_job("torch", at=5))
    assert train("fifth") == 0
    monkeypatch.undo()
    monkeypatch.setattr("newleaf.optim.optimizer.muon_", short_muon("torch", at=6 * calls + 1))  # in step 7, after the first matrices
    capsys.readouterr()
    assert train("seventh") == 0
    said = capsys.readouterr().err.splitlines()
    assert "step 7: memory ran out while weights were moved; back to step 4 and on with the same data" in said
    assert "step 7: memory ran out; from here on 2 of a batch's 4 rows at once, not 4" in said
    assert figures("seventh") == figures("fifth")
    assert rows_at_once("seventh") == rows_at_once("fifth") == [None] * 4 + [2] * 4
    assert (state("seventh")["retry"], state("seventh")["tries"]) == (0, 0)


def stacks_of_a_step() -> Iterator[list[int]]:
    """One for each call of Muon."""
    shapes = [
        torch.empty(shape)
        for name, shape in size.shapes(preset("qwen3", vocab_size=320, width=64, depth=1, context=32)).items()
        if ".layers." in name and len(shape) == 2
    ]
    return stacks(shapes)


def test_before_the_first_checkpoint_a_half_done_step_begins_anew(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train("half", "--train.micro_batch", "2") == 0
    monkeypatch.setattr("newleaf.optim.optimizer.muon_", short_muon("torch", at=2))
    assert train("short") == 0
    assert figures("short") == figures("half")


def test_one_row_too_many_ends_the_run_with_everything_saved(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("one", "--train.micro_batch", "1", threads=2) == 0
    monkeypatch.setattr(PRETRAINING, short_job("torch", most_rows=0, step=6))
    capsys.readouterr()
    assert train("short", threads=2) == 1
    *events, sentence = capsys.readouterr().err.splitlines()
    assert sentence == (
        "at step 6 memory does not suffice for one row of 32 tokens, everything is saved; free some memory and resume, or train anew with "
        "a smaller --model.context, --model.width or --data.vocab_size."
    )
    assert [line for line in events if "Traceback" in line] == []
    assert [line for line in events if "memory ran out" in line] == [
        f"step 6: memory ran out; from here on {rows // 2} of a batch's 4 rows at once, not {rows}" for rows in (4, 2)
    ]
    assert (summary("short")["stopped_by"], summary("short")["steps"], state("short")["step"], state("short")["micro_batch"]) == (
        "error",
        5,
        5,
        1,
    )
    assert run(["verify", "short"]) == 0
    monkeypatch.undo()
    assert train("short", "--resume", threads=2) == 0  # there is room again
    assert rows_at_once("short") == [None] * 5 + [1] * 3
    for name, weights in load_file("short/model.safetensors").items():
        torch.testing.assert_close(weights, load_file("one/model.safetensors")[name], rtol=1e-4, atol=1e-5)


def test_more_rows_than_a_batch_has_are_halved_from_those_it_has(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PRETRAINING, short_job("torch", most_rows=1))
    assert train("short", "--train.micro_batch", "100") == 0
    assert rows_at_once("short") == [1] * STEPS


def test_an_extension_begins_with_the_rows_that_memory_held_last(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PRETRAINING, short_job("torch", most_rows=2, step=STEPS))
    assert train("run") == 0
    assert run(["train", "--out", "run", "--extend", "--steps", "2"]) == 0
    assert rows_at_once("run")[-2:] == [2, 2]


# evaluation -------------------------------------------------------------------------------------------------------------

CONTEXT = 512  # eight windows at once for each worker
IDS = np.random.default_rng(0).integers(0, 40, 20 * CONTEXT)
MODEL = Decoder(preset("qwen3", vocab_size=40, width=32, depth=1, context=CONTEXT))


@pytest.mark.parametrize("most", [8, 7, 4, 1])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_score_in_fewer_windows_at_once_is_the_same_but_for_rounding(monkeypatch: pytest.MonkeyPatch, workers: int, most: int) -> None:
    several, expected = Workers(workers), bits.score(MODEL, IDS, CONTEXT)
    told: list[tuple[str, str]] = []
    room = bits.Room(tell=lambda en, zh: told.append((en, zh)))
    monkeypatch.setattr("newleaf.evaluation.bits.score_windows", short_windows("torch", most))
    found = [bits.score(MODEL, IDS, CONTEXT, several, room=room) for _ in range(2)]
    several.close()
    assert found[0].tokens == expected.tokens == len(IDS) - 1
    assert found[0].nats == pytest.approx(expected.nats, rel=1e-6)
    halvings = {8: 0, 7: 1, 4: 1, 1: 3}[most]
    assert len(told) == halvings, "the second score is made with what is known from the first"
    assert room.windows == (8 * workers >> halvings if halvings else None)


def test_one_window_too_many_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newleaf.evaluation.bits.score_windows", short_windows("torch", 0))
    with pytest.raises(OutOfMemoryError, match="memory does not suffice to score one window of 512 tokens; free some memory and try again"):
        bits.score(MODEL, IDS, CONTEXT, Workers(1))


def test_an_evaluation_short_of_memory_changes_no_weight(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--train.evaluate_every", "2", "--train.evaluation_tokens", "400"]  # all of it, 17 windows
    assert train("whole", *words) == 0
    monkeypatch.setattr("newleaf.evaluation.bits.score_windows", short_windows("torch", 4))
    capsys.readouterr()
    assert train("short", *words) == 0
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("memory")] == [
        f"memory ran out in an evaluation; from here on {windows // 2} windows at once, not {windows}" for windows in (17, 8)
    ]
    whole = load_file("whole/model.safetensors")
    assert all(torch.equal(weights, whole[name]) for name, weights in load_file("short/model.safetensors").items())
    assert summary("short")["val_bpb"] == pytest.approx(summary("whole")["val_bpb"], rel=1e-6)
    assert evaluate("short")["bits_per_byte"] == pytest.approx(summary("short")["val_bpb"], rel=1e-6)


def test_memory_that_runs_out_elsewhere_is_no_bug_of_ours(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("newleaf.jobs.pretrain.baselines", lambda *_: ERRORS["numpy"]())
    assert train("run") == 1
    told = capsys.readouterr().err
    assert told.splitlines()[-1] == "memory ran out; free some and try again; a run goes on with --resume."
    assert "Traceback" not in told
