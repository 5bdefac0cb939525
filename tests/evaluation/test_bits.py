"""Scores by the parts of a text: each target's nats belong to one part, and the parts make the whole."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import text

import newleaf
from newleaf.cli.evaluate import MOST_FILES, files_table
from newleaf.cli.main import run
from newleaf.evaluation import bits
from newleaf.model.config import preset
from newleaf.model.decoder import Decoder
from newleaf.workers import Workers

CONTEXT, VOCABULARY = 16, 40
MODEL = Decoder(preset("qwen3", vocab_size=VOCABULARY, width=32, depth=1, context=CONTEXT), torch.Generator().manual_seed(0))
with torch.no_grad():
    for weights in MODEL.parameters():  # a new model finds all tokens equally likely
        weights.add_(0.2 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(1)))
IDS = np.random.default_rng(0).integers(0, VOCABULARY, 400)


def target_nats_slowly() -> list[float]:
    """Of each target, predicted by the first window that scores it."""
    found: dict[int, float] = {}
    for window in bits.windows(len(IDS), CONTEXT):
        row = torch.from_numpy(IDS[window.start : window.start + window.length + 1])[None]
        with torch.inference_mode():
            scores = MODEL(row[:, :-1])[0].double().log_softmax(-1)
        for place in range(window.skipped, window.length):
            found[window.start + place] = -float(scores[place, row[0, place + 1]])
    return [found[place] for place in range(len(IDS) - 1)]


NATS = target_nats_slowly()


@settings(max_examples=30)
@given(cuts=st.sets(st.integers(1, len(IDS) - 2), max_size=12), workers=st.sampled_from([1, 2]))
def test_each_part_has_the_nats_of_its_own_targets(cuts: set[int], workers: int) -> None:
    ends, several = [*sorted(cuts), len(IDS) - 1], Workers(workers)
    scores = bits.score_parts(MODEL, IDS, ends, CONTEXT, several)
    several.close()
    assert [score.tokens for score in scores] == np.diff([0, *ends]).tolist()
    for score, begin, end in zip(scores, [0, *ends], ends, strict=False):
        assert score.nats == pytest.approx(sum(NATS[begin:end]), rel=1e-5)
        assert score.nats_squared == pytest.approx(sum(nats**2 for nats in NATS[begin:end]), rel=1e-5)
    whole = bits.score(MODEL, IDS, CONTEXT)
    assert sum(scores, bits.NOTHING).nats == pytest.approx(whole.nats, rel=1e-12)


def test_in_bf16_a_score_is_the_same_but_for_rounding() -> None:
    rough, exact = (bits.score(MODEL, IDS, CONTEXT, precision=precision).nats for precision in ("bf16", "float32"))
    assert rough != exact
    assert rough == pytest.approx(exact, rel=1e-2)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of two kinds, one with several documents."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEWLEAF_LANG", "en")
    Path("more").mkdir()
    Path("more/known.txt").write_text(text(20), "utf-8")
    Path("more/strange.txt").write_text("Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.\n" * 3, "utf-8")
    rows = [{"text": text(2, seed)} for seed in (3, 4, 5)]
    Path("rows.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return tmp_path


def test_figures_by_file_add_up_to_those_of_all_exactly(folder: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(trained), "more", "rows.jsonl", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["bits_per_byte", "perplexity", "loss", "bytes", "tokens", "documents", "stderr", "files"]
    files = found["files"]
    assert [row["path"] for row in files] == ["more/known.txt", "more/strange.txt", "rows.jsonl"]
    assert [row["documents"] for row in files] == [1, 1, 3]
    assert all(list(row) == ["path", "bits_per_byte", "perplexity", "bytes", "tokens", "documents"] for row in files)
    for name in ("bytes", "tokens", "documents"):
        assert sum(row[name] for row in files) == found[name]
    assert sum(row["bits_per_byte"] * row["bytes"] for row in files) == pytest.approx(found["bits_per_byte"] * found["bytes"], rel=1e-14)
    nats = sum(math.log(row["perplexity"]) * row["tokens"] for row in files)
    assert nats == pytest.approx(found["loss"] * found["tokens"], rel=1e-12)
    tokenizer = newleaf.load(trained).tokenizer
    assert files[0]["tokens"] == len(tokenizer.encode(Path("more/known.txt").read_text("utf-8"))) + 1  # its end-of-text
    assert files[0]["bytes"] == Path("more/known.txt").stat().st_size
    assert files[1]["bits_per_byte"] > files[0]["bits_per_byte"]


def test_one_file_has_the_figures_of_all_and_the_run_s_own_text_has_no_files(folder: Path, trained: Path) -> None:
    found = newleaf.evaluate(trained, "more/known.txt")
    assert found["files"] == [
        {name: found.get(name, "more/known.txt") for name in ("path", "bits_per_byte", "perplexity", "bytes", "tokens", "documents")}
    ]
    own = newleaf.evaluate(trained)
    assert list(own) == ["bits_per_byte", "perplexity", "loss", "bytes", "tokens", "documents", "stderr"]
    assert own["bits_per_byte"] == pytest.approx(json.loads((trained / "summary.json").read_text("utf-8"))["val_bpb"], abs=1e-6)


def test_who_waits_hears_how_much_is_done(folder: Path, trained: Path) -> None:
    heard: list[float] = []
    Path("long.txt").write_text(text(4000), "utf-8")
    assert newleaf.evaluate(trained, "long.txt", between=heard.append) == newleaf.evaluate(trained, "long.txt")
    assert len(heard) > 2
    assert heard == sorted(heard)
    assert heard[0] > 0
    assert heard[-1] == 1


def test_the_worst_file_stands_last(folder: Path, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(trained), "more", "rows.jsonl"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert " · perplexity " in lines[0]
    assert lines[2].split() == ["bits", "per", "byte", "perplexity", "bytes", "tokens", "documents", "file"]
    assert len(lines) == 6
    assert lines[-1].endswith("  more/strange.txt")
    figures = [float(line.split()[0]) for line in lines[3:]]
    assert figures == sorted(figures)
    assert run(["evaluate", str(trained), "more/known.txt"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("chinese", "words"), [(False, "… and 5 better ones (--json has all)"), (True, "…（还有 5 个更好的文件；--json 列出全部）")]
)
def test_of_very_many_files_the_worst_are_shown(chinese: bool, words: str) -> None:
    row = {"perplexity": 1.0, "bytes": 1, "tokens": 1, "documents": 1}
    lines = files_table([{"path": f"{n}\x1b", "bits_per_byte": float(n), **row} for n in range(MOST_FILES + 5)], chinese)
    assert lines[1] == words
    assert len(lines) == MOST_FILES + 2
    assert lines[2].endswith("  5\\x1b")
