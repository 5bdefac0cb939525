"""Whatever is wrong with what a person types or has: one sentence, the right exit code, no traceback, nothing overwritten."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from newleaf.cli.main import run


def flip(name: str) -> Callable[[Path], None]:
    """Change one bit in the middle of a file of the run."""

    def change(place: Path) -> None:
        data = bytearray((place / "run" / name).read_bytes())
        data[len(data) // 2] ^= 4
        (place / "run" / name).write_bytes(bytes(data))

    return change


def cut(name: str) -> Callable[[Path], None]:
    return lambda place: (place / "run" / name).write_bytes((place / "run" / name).read_bytes()[:-40])


def remove(name: str) -> Callable[[Path], None]:
    return lambda place: (place / "run" / name).unlink()


def replaced(name: str, content: str) -> Callable[[Path], object]:
    return lambda place: (place / "run" / name).write_text(content)


def unfinished(place: Path) -> None:
    summary = json.loads((place / "run" / "summary.json").read_text())
    (place / "run" / "summary.json").write_text(json.dumps(summary | {"stopped_by": None}))


CASES: list[tuple[str, str, Callable[[Path], object] | None]] = [
    # the command itself
    ("trian good.txt", "did you mean|train", None),
    ("train good.txt --minuts 3", "did you mean --minutes", None),
    ("train good.txt --minutes", "argument|value", None),
    ("train good.txt --minutes soon", "minutes", None),
    ("train good.txt --minutes -5", "above 0", None),
    ("train good.txt --minutes 0", "above 0", None),
    ("train good.txt --minutes nan", "above 0", None),
    ("train good.txt --minutes inf", "above 0", None),
    ("train good.txt --steps 0", "above 0", None),
    ("train good.txt --steps 2.5", "steps", None),
    ("train good.txt --steps 5 --minutes 1", "one of", None),
    ("train good.txt --epochs -1", "above 0", None),
    ("train good.txt --seed -1 --steps 1", "seed", None),
    ("train good.txt --resume --extend --steps 5", "together", None),
    ("train good.txt --from gpt2 --steps 5", "cannot be reached, nor is it in the cache", None),
    ("train good.txt --from missing/ --steps 5", "is no model", None),
    ("train good.txt --from run --steps 5 --model.width 128", "model.width is 128 here and 64 in run", None),
    ("train good.txt --from run --steps 5 --model.context 4096", "at most 32, what the model can look at", None),
    ("train good.txt --from run --steps 5 --data.vocab_size 900", "with --from, shape and tokenizer are the model's", None),
    ("augment run good.txt --out more.jsonl", "no label in it", None),
    ("tune run good.txt --task chat", "no question and answer in it", None),
    ("tune run good.txt --task chatt", "--task is chatt (expected chat or instruct or ", None),
    ("tune run --task chat", "DATA is missing (expected newleaf tune MODEL DATA --task NAME)", None),
    ("export run out.gguf", "--to is missing", None),
    ("export run --to onnx out", "hf or gguf", None),
    ("export run --to hf --quantize q8_0 out", "gguf with --quantize", None),
    ("export run --to gguf --quantize q9 out.gguf", "--quantize is q9", None),
    ("export missing/ --to hf out", "is no model", None),
    ("export run --to hf run", "run exists", None),
    ("serve run", "not there yet", None),
    # settings
    ("train good.txt --steps 5 --optim.lrr 0.1", "did you mean 'optim.lr'", None),
    ("train good.txt --steps 5 --model.widht 64", "did you mean 'model.width'", None),
    ("train good.txt --steps 5 --model.width -64", "model.width", None),
    ("train good.txt --steps 5 --model.width wide", "model.width", None),
    ("train good.txt --steps 5 --train.precision fp4", "precision", None),
    ("train good.txt --steps 5 --train.dropout 1.5", "dropout", None),
    ("train good.txt --steps 5 --optim.lr -1", "optim.lr", None),
    ("train good.txt --steps 5 --model.heads 3 --model.kv_heads 2 --model.width 192", "divide", None),
    ("train good.txt --steps 5 --model.context 32 --train.batch_tokens 33", "multiple", None),
    ("train good.txt --steps 5 --recipe missing.toml", "does not exist", None),
    ("train good.txt --steps 5 --recipe broken.toml", "TOML", None),
    ("train good.txt --steps 5 --recipe typo.toml", "did you mean 'model.width'", None),
    # the text
    ("train missing.txt --steps 5", "missing.txt", None),
    ("train nothing --steps 5", "nothing", None),
    ("train rubbish --steps 5", "picture.png|no text", None),
    ("train short.txt --steps 5", "2,000", None),
    ("train empty.txt --steps 5", "empty", None),
    ("train *.nothing --steps 5", "nothing", None),
    ("train rows.csv --steps 5", "column", None),
    ("train rows.csv --column bdy --steps 5", "body", None),
    ("train good.txt --val missing.txt --steps 5", "missing.txt", None),
    ("train good.txt --val empty.txt --steps 5", "empty", None),
    # the run directory
    ("train good.txt --out run --steps 5", "--resume", None),
    ("train good.txt --out other --steps 5", "thesis.doc", None),
    ("train good.txt --out good.txt --steps 5", "is a file", None),
    ("train --out run --resume --steps 9", "8 steps", None),
    ("train --out run --resume --model.width 128", "model.width", None),
    ("train good.txt --out run --resume", "DATA", None),
    ("train --out run --extend", "how much", None),
    ("train --out run --extend --steps 5", "not a finished run", unfinished),
    ("train --out run --resume", "tokenizer.json", lambda place: (unfinished(place), replaced("tokenizer.json", "{}")(place))),
    ("train --out run --resume", "sha256|changed|damaged", lambda place: (unfinished(place), flip("data/train-00000.bin")(place))),
    ("train --out run --resume", "newleaf.toml", lambda place: (unfinished(place), replaced("newleaf.toml", "seed = 0\n")(place))),
    ("plan good.txt --out run --steps 5", "run", None),
    ("train --out run --extend --steps 5 --seed 3", "--seed", None),
    ("train good.txt --out good.txt/run --steps 5", "cannot be written", None),
    ("train good.txt --out - --steps 5", "--out", None),
    ("train good.txt --steps 5 --model.tied maybe", "model.tied", None),
    ("train good.txt --steps 5 --optim.lr inf", "optim.lr", None),
    ("train good.txt --recipe seed.toml", "seed", lambda place: (place / "seed.toml").write_text('seed = "x"\n')),
    ("train good.txt --recipe budget.toml", "budget", lambda place: (place / "budget.toml").write_text("budget = 5\n")),
    ("train good.txt --recipe minutes.toml", "minutes", lambda place: (place / "minutes.toml").write_text('[budget]\nminutes = "x"\n')),
    ("train good.txt --recipe taken.toml", "taken", lambda place: (place / "taken.toml").write_text("taken = 3\n")),
    ("verify run", "manifest.json", remove("data/manifest.json")),
    ("verify run", "model.safetensors", remove("model.safetensors")),
    # the model
    ("generate missing hello", "is no folder here", None),
    ("generate good.txt hello", "no model", None),
    ("generate nothing hello", "nothing", None),
    ("generate run hello", "model.safetensors", flip("model.safetensors")),
    ("generate run hello", "model.safetensors", cut("model.safetensors")),
    ("generate run hello", "model", remove("model.safetensors")),
    ("generate run hello", "config.json", remove("config.json")),
    ("generate run hello", "config.json", replaced("config.json", "{")),
    ("generate run hello", "tokenizer.json", remove("tokenizer.json")),
    ("generate run hello", "tokenizer.json", replaced("tokenizer.json", "[]")),
    ("generate run --temperature -1", "temperature", None),
    ("generate run --top-p 0", "top_p", None),
    ("generate run --top-k 0", "top_k", None),
    ("generate run --max-tokens 0", "max_tokens", None),
    ("generate run --n 0", "n is 0", None),
    ("generate run --precision fp4", "precision", None),
    ("generate run " + "spring" * 200, "context", None),
    ("generate", "model|MODEL", None),
    ("chat run --json", "no --json", None),
    ("evaluate run missing.txt", "missing.txt", None),
    ("evaluate run empty.txt", "empty|no text", None),
    ("evaluate run --suite mmlu", "there is no suite mmlu", None),
    ("verify nothing", "nothing", None),
    ("verify missing", "missing", None),
    ("verify run", "damaged", flip("data/val-00000.bin")),
    ("verify run", "damaged", flip("model.safetensors")),
    ("verify run", "damaged", flip("checkpoints/step-00000008/optimizer.safetensors")),
]


@pytest.mark.parametrize(("words", "said", "damage"), CASES, ids=[f"{index}-{words[:50]}" for index, (words, _, _) in enumerate(CASES)])
def test_it_is_one_sentence_and_exit_2(
    place: Path, capsys: pytest.CaptureFixture[str], words: str, said: str, damage: Callable[[Path], object] | None
) -> None:
    if damage:
        damage(place)
    before = contents(place)
    assert run(words.split()) == 2
    out, err = capsys.readouterr()
    last = err.rstrip("\n").splitlines()[-1]
    assert "Traceback" not in out + err
    assert any(word in last for word in said.split("|")), last
    assert last.endswith((".", "?")), last
    assert len(last) < 700
    assert not set(last) & set("╭│╰")
    after = contents(place)
    assert {path: after.get(path) for path in before} == before, "something was overwritten"


@pytest.mark.parametrize(
    "words",
    [
        "train missing.txt --steps 5 --json",
        "generate missing hi --json",
        "train good.txt --minutes -1 --json",
        "plan good.txt --bogus --json",
    ],
)
def test_with_json_the_sentence_is_also_an_object_on_stdout(place: Path, capsys: pytest.CaptureFixture[str], words: str) -> None:
    assert run(words.split()) == 2
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    assert set(error) == {"type", "message", "where", "expected", "hint"}
    assert err.rstrip("\n").splitlines()[-1] == error["message"]


def contents(place: Path) -> dict[str, bytes]:
    """Every file that must not change: all but the lock's own."""
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file() and ".lock" not in path.name}


def test_a_run_that_was_refused_leaves_no_directory_behind(place: Path) -> None:
    shutil.rmtree(place / "run")
    assert run(["train", "missing.txt", "--steps", "5"]) == 2
    assert run(["train", "short.txt", "--steps", "5"]) == 2
    assert not (place / "runs" / "missing").exists()
    assert not (place / "runs" / "short").exists()


def test_a_folder_of_the_users_own_is_never_taken_for_a_torso(place: Path) -> None:
    (place / "mine" / "data").mkdir(parents=True)
    (place / "mine" / "data" / "book.txt").write_text("precious")
    assert run(["train", "good.txt", "--out", "mine", "--steps", "1"]) == 2
    assert run(["plan", "good.txt", "--out", "planned", "--steps", "1", "--train.threads", "1"]) == 0
    (place / "planned" / "data").mkdir()
    (place / "planned" / "data" / "book.txt").write_text("precious")
    assert run(["train", "good.txt", "--out", "planned"]) == 2
    assert (place / "mine" / "data" / "book.txt").read_text() == (place / "planned" / "data" / "book.txt").read_text() == "precious"


def test_a_damaged_run_is_one_object_of_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip("model.safetensors")(place)
    assert run(["verify", "run", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is False
    assert found["error"]["where"] == "run/model.safetensors"
    assert [file["path"] for file in found["files"] if not file["ok"]] == ["run/model.safetensors"]
