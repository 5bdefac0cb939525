"""Whole runs through the command line: what they leave, what repeats them, and how they go on."""

import json
import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest
from texts import text

from newleaf import fsio, train
from newleaf.cli.main import run
from newleaf.evaluation.baselines import baseline_bytes
from newleaf.runs import read_lines
from newleaf.tokens.tokenizer import Tokenizer
from newleaf.training.prepare import tokenizer_for

SHAPE = shlex.split(
    "--model.width 64 --model.depth 1 --model.context 32 --train.batch_tokens 64 --train.threads 1 --train.precision float32"
)
SUMMARY = re.findall(
    r"\w+",
    """val_bpb val_loss val_bytes val_tokens final_val_bpb best_step train_bytes train_tokens tokens_trained epochs steps seconds
    train_seconds tokens_per_second flops_per_second matmul_flops_per_second mfu parameters vocab_size context micro_batch stopped_by seed
    fingerprint exact clock_decisions baselines originality version""",
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text(text(200), "utf-8")
    Path("b.txt").write_text(text(120, seed=7), "utf-8")
    return tmp_path


def ran(*words: str) -> None:
    assert run([*words]) == 0


def summary(name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(Path(name, "summary.json").read_text())
    return found


def test_a_run_leaves_what_the_contract_names(trained: Path) -> None:
    found = json.loads((trained / "summary.json").read_text())
    assert list(found) == SUMMARY
    assert found["stopped_by"] == "budget"
    assert found["exact"] is True
    assert set(found["baselines"]) == {"uniform", "unigram", "fivegram", "xz"}
    rows = read_lines(trained / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, found["steps"] + 1))
    assert {"step", "tokens", "seconds", "loss", "lr", "grad_norm", "tokens_per_second"} <= set(rows[0])
    assert rows[-1]["val_bpb"] > 0
    for name in (
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "README.md",
        "report.html",
        "newleaf.toml",
        "data/manifest.json",
        "checkpoints/trunk/manifest.json",
    ):
        assert (trained / name).exists(), name


def test_the_plan_of_a_run_is_a_recipe_that_repeats_it(place: Path) -> None:
    ran("train", "a.txt", "--out", "one", "--steps", "8", *SHAPE)
    ran("train", "a.txt", "--out", "two", "--recipe", "one/newleaf.toml")
    assert fsio.sha256(Path("one/model.safetensors")) == fsio.sha256(Path("two/model.safetensors"))


def test_a_run_by_the_clock_is_repeated_in_steps_by_its_recipe(place: Path) -> None:
    ran("train", "a.txt", "--out", "clock", "--minutes", "0.12", *SHAPE)
    assert read_lines(Path("clock/clock.jsonl"))[-1]["last"] == summary("clock")["steps"]
    assert tomllib.loads(Path("clock/newleaf.toml").read_text())["foreseen"]["baseline_bytes"] == baseline_bytes(0.12, 0)
    ran("train", "a.txt", "--out", "steps", "--recipe", "clock/newleaf.toml")
    assert fsio.sha256(Path("clock/model.safetensors")) == fsio.sha256(Path("steps/model.safetensors"))
    assert summary("steps")["steps"] == summary("clock")["steps"]


def test_a_written_plan_is_used(place: Path) -> None:
    ran("plan", "a.txt", "--out", "planned", "--steps", "6", *SHAPE)
    planned = tomllib.loads(Path("planned/newleaf.toml").read_text())
    ran("train", "--out", "planned")
    ran("train", "a.txt", "--out", "direct", "--steps", "6", *SHAPE)
    assert planned["model"]["width"] == 64
    assert fsio.sha256(Path("planned/model.safetensors")) == fsio.sha256(Path("direct/model.safetensors"))


def test_a_finished_run_goes_on_from_its_trunk_with_more_steps(place: Path) -> None:
    ran("train", "a.txt", "--out", "run", "--steps", "10", *SHAPE)
    first = summary("run")
    ran("train", "--extend", "--out", "run", "--steps", "12")
    second = summary("run")
    trunk = json.loads(Path("run/checkpoints/trunk/state.json").read_text())
    assert second["steps"] == 6 + 12
    assert trunk["trunk_step"] == round(18 * 0.6 + 0.4999)
    assert float(str(second["val_bpb"])) <= float(str(first["val_bpb"]))
    rows = read_lines(Path("run/metrics.jsonl"))
    assert [row["step"] for row in rows] == list(range(1, 19))
    in_steps = sum(64 / row["tokens_per_second"] for row in rows)  # of the steps that it is made of, not of the decay that was left
    assert second["train_seconds"] == pytest.approx(in_steps, rel=0.01)
    assert second["tokens_per_second"] == pytest.approx(18 * 64 / in_steps, rel=0.01)
    assert run(["verify", "run"]) == 0


def test_more_text_joins_what_is_trained_on_but_never_what_is_held_out(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran("train", "a.txt", "--out", "run", "--steps", "10", *SHAPE)
    before = summary("run")
    shutil.copy("a.txt", "again.txt")
    ran("train", "b.txt", "again.txt", "--extend", "--out", "run", "--steps", "6")
    after = summary("run")
    assert int(str(after["train_tokens"])) > int(str(before["train_tokens"]))
    assert after["val_bytes"] == before["val_bytes"]
    added = json.loads(Path("run/data/manifest.json").read_text())["added"]
    assert added[0]["train_bytes"] == Path("b.txt").stat().st_size  # the other is what was learned from already
    assert run(["verify", "run"]) == 0
    ran("train", "--extend", "--out", "run", "--steps", "2")
    for words in (["train", "--out", "two"], ["train", "a.txt", "b.txt", "--steps", "2"], ["plan", "--steps", "2"]):
        capsys.readouterr()
        assert run([*words, "--recipe", "run/newleaf.toml"]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.startswith("run/newleaf.toml is the plan of a run that was extended with more text, which no recipe can repeat")
    assert not Path("two").exists()


def test_what_is_said_of_a_text_counts_more_text_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("first").mkdir()
    shutil.copy("a.txt", "first")
    Path("first/picture.png").write_bytes(b"\x89PNG" + bytes(99))
    Path("more").mkdir()
    shutil.copy("b.txt", "more")
    shutil.copy("a.txt", "more/again.txt")
    Path("more/sound.mp3").write_bytes(bytes(99))
    Path("more/cut.txt").write_bytes("春江花月夜".encode() * 40 + b"\xe6")
    ran("train", "first", "--out", "run", "--steps", "4", *SHAPE)
    before = json.loads(Path("run/data/manifest.json").read_text())
    capsys.readouterr()
    ran("train", "more", "--out", "run", "--extend", "--steps", "4")
    assert "left out 2 files or rows" in capsys.readouterr().err
    after = json.loads(Path("run/data/manifest.json").read_text())
    assert [before[name] for name in ("files", "documents", "duplicates", "num_skipped")] == [2, 1, 0, 1]
    assert [after[name] for name in ("files", "documents", "duplicates", "num_skipped")] == [6, 3, 1, 2]
    assert [Path(each["source"]).name for each in after["skipped"]] == ["picture.png", "sound.mp3"]
    assert after["skipped_counts"] == {"not text": 2}
    assert [Path(each["source"]).name for each in after["repaired"]] == ["cut.txt"]
    assert after["scripts"]["han"] > before["scripts"]["han"] + 200
    assert after["bytes"] == after["train_bytes"] + after["val_bytes"]
    assert {name: after[name] for name in ("held_out", "val_bytes")} == {name: before[name] for name in ("held_out", "val_bytes")}
    assert "sound.mp3" in Path("run/report.html").read_text("utf-8")


def test_resume_starts_what_is_not_there_and_leaves_alone_what_is_finished(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "a.txt", "--out", "run", "--steps", "4", "--resume", *SHAPE]
    ran(*words)
    model = fsio.sha256(Path("run/model.safetensors"))
    capsys.readouterr()
    ran(*words, "--json")
    out, err = capsys.readouterr()
    assert len(err.splitlines()) == 1
    assert json.loads(out)["stopped_by"] == "budget"
    assert fsio.sha256(Path("run/model.safetensors")) == model


def test_text_that_only_repeats_itself_is_a_text(place: Path) -> None:
    for name, content in (("emoji", "🍃🍃🍃🍃🍃🍃\n" * 200), ("a", "a" * 5000)):
        Path(f"{name}.txt").write_text(content, "utf-8")
        ran("train", f"{name}.txt", "--steps", "2", *SHAPE)
        assert Path(f"runs/{name}/report.html").exists()


def test_a_page_that_cannot_be_written_is_told_and_costs_no_run(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(folder: Path, lang: str) -> Path:
        raise ZeroDivisionError("float division by zero")

    monkeypatch.setattr("newleaf.jobs.ending.write_report", fail)
    ran("train", "a.txt", "--out", "run", "--steps", "2", *SHAPE)
    told = capsys.readouterr().err.splitlines()
    assert "report.html could not be written (ZeroDivisionError: float division by zero); everything else is saved" in told
    assert told[-1].startswith("saved run")
    assert Path("run/README.md").exists()


def test_what_is_told_is_what_went_wrong_first(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(f"trouble {len(troubles)}")

    troubles: list[str] = []
    monkeypatch.setattr("newleaf.training.loop.Loop.run", fail)
    monkeypatch.setattr("newleaf.jobs.job.Job.summary", lambda *_: troubles.append("again") or fail())
    assert run(["train", "a.txt", "--out", "run", "--steps", "2", *SHAPE]) == 1
    assert troubles == ["again"]
    assert "RuntimeError: trouble 0; please" in capsys.readouterr().err.splitlines()[-1]


def test_everything_since_the_command_began_counts_in_every_process_of_a_run(place: Path) -> None:
    settings = dict(zip([word.removeprefix("--") for word in SHAPE[::2]], SHAPE[1::2], strict=True))
    first = train("a.txt", out="run", steps=2, settings=settings, seconds_before=1000.0)
    assert first["seconds"] > 1000 > first["train_seconds"]
    second = train(out="run", steps=2, extend=True, seconds_before=500.0)
    assert second["seconds"] > first["seconds"] + 500


def test_a_log_that_grows_while_it_is_read_costs_no_run(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("texts").mkdir()
    shutil.copy("a.txt", "texts")
    Path("texts/log.txt").write_text("a line of a log\n" * 200)

    def grow_and_train(*arguments: Any) -> Tokenizer:
        with Path("texts/log.txt").open("a") as log:
            log.write("one more line\n")
        return tokenizer_for(*arguments)

    for module in ("newleaf.training.prepare", "newleaf.jobs.foresee"):
        monkeypatch.setattr(f"{module}.tokenizer_for", grow_and_train)
    ran("plan", "texts", "--steps", "2", *SHAPE)
    ran("train", "texts", "--out", "run", "--steps", "2", *SHAPE)
    assert "texts/log.txt changed while it was being read; reading the rest again" in capsys.readouterr().err
    ran("train", "a.txt", "--out", "without", "--steps", "2", *SHAPE)
    assert fsio.sha256(Path("run/model.safetensors")) == fsio.sha256(Path("without/model.safetensors"))
    manifest, expected = (json.loads(Path(name, "data/manifest.json").read_text()) for name in ("run", "without"))
    assert manifest.pop("skipped") == [{"source": str(place / "texts/log.txt"), "reason": "changed while it was being read", "count": 1}]
    assert {name for name in expected if name != "skipped" and manifest[name] != expected[name]} == {
        "num_skipped", "skipped_counts", "sha256"
    }  # fmt: skip
    assert "log.txt" in Path("run/report.html").read_text("utf-8")


def test_a_validation_file_that_is_scored_in_part_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("newleaf.jobs.pretrain.VAL_SHARE", 1e-9)  # of a budget that is long for this text
    ran("train", "a.txt", "--val", "b.txt", "--out", "run", "--minutes", "0.05", *SHAPE)
    scored, whole = summary("run")["val_bytes"], Path("b.txt").stat().st_size
    assert f"to stay in time, only the first {scored:,} of {whole:,} held-out bytes were scored" in capsys.readouterr().err


def test_stdin_is_a_text(place: Path) -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "newleaf", "train", "-", "--steps", "2", "--json", *SHAPE],
        input=Path("a.txt").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["steps"] == 2
    assert Path("runs/stdin/report.html").exists()


def test_without_a_clock_no_choice_depends_on_a_measurement(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = []
    for rate in (1e9, 1e13):
        monkeypatch.setattr("newleaf.runtime.matmul_seconds", lambda *_args, rate=rate: [2 * 2048**3 / rate] * 5)
        ran("train", "a.txt", "--out", f"run{rate:g}", "--tokens", "2000", "--train.threads", "1")
        plan = tomllib.loads(Path(f"run{rate:g}/newleaf.toml").read_text())
        plans.append({name: plan[name] for name in ("model", "data", "optim", "train", "taken")})
    assert plans[0] == plans[1]
    assert fsio.sha256(Path("run1e+09/model.safetensors")) == fsio.sha256(Path("run1e+13/model.safetensors"))
