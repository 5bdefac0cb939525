"""trl is the judge of tuning: on a tuned run it learns the same tokens, and its losses and rewards are ours."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from texts import text

import newleaf
from newleaf.batches.examples import Examples
from newleaf.checkpoint.store import read_tensors
from newleaf.evaluation.between import unheard
from newleaf.evaluation.examples import score_margins
from newleaf.jobs.loaded import Model
from newleaf.loss.answers import answers, preference
from newleaf.runs import Run
from newleaf.text.examples import Conversation, Preference
from newleaf.training.encode import Encoder, as_examples, messages
from newleaf.training.example_data import open_examples
from newleaf.training.prepare import read_manifest
from newleaf.training.tasks import TASKS
from newleaf.workers import Workers

pytestmark = [pytest.mark.ecosystem, pytest.mark.filterwarnings("ignore")]
TINY = {"model.width": 64, "model.depth": 1, "model.context": 192, "train.threads": 1, "train.precision": "float32"}
SAME = {"train.threads": 1, "train.precision": "float32", "tune.baselines": False}
Turns = tuple[tuple[str, str], ...]
TALKS: dict[str, Turns] = {
    "one turn": (("user", "the spring river?"), ("assistant", "A bright moon.")),
    "Chinese": (("user", "春江花月夜，下一句？"), ("assistant", "新叶明，流水。")),
    "several turns": (
        *(("user", "the old leaf"), ("assistant", "and a new one\n\n of the night")),
        *(("user", "流水？"), ("assistant", "花月。"), ("user", "and?"), ("assistant", "1 + 2 = 3")),
    ),
    "a system prompt": (("system", "You are kind."), ("user", "a song"), ("assistant", "spring 🙂")),
    "a Chinese system prompt": (
        ("system", "你是新叶。"),
        ("user", "你是谁？"),
        ("assistant", "新叶。"),
        ("user", "啊"),
        ("assistant", "夜"),
    ),
}
PAIRS: list[dict[str, Any]] = [
    {"prompt": "the spring river?", "chosen": "A bright moon.", "rejected": "no"},
    {"prompt": "春江花月夜，下一句？", "chosen": "新叶明。", "rejected": "流水，流水，流水。"},
    {"prompt": "a leaf", "chosen": "of the old river", "rejected": "of the old flower"},
    {"prompt": "你好", "chosen": "夜。", "rejected": "明"},
    {"prompt": messages(TALKS["several turns"][:-1]), "chosen": "3", "rejected": "the night and the moon"},
    {"prompt": messages(TALKS["a system prompt"][:-1]), "chosen": "a flower", "rejected": "花"},
]
HELD_OUT = [  # of which some are the other way round from what was learned
    *({**row, "chosen": row["rejected"], "rejected": row["chosen"]} for row in PAIRS[:3]),
    {"prompt": "the night", "chosen": "A bright moon.", "rejected": "no"},
    {"prompt": "流水", "chosen": "花月，夜。", "rejected": "river and river"},
    {"prompt": messages(TALKS["a Chinese system prompt"][:-1]), "chosen": "新叶", "rejected": "the leaf"},
]
STEPS, BETA = 12, 0.1


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small model in `base`."""
    folder = tmp_path_factory.mktemp("trl")
    (folder / "text.txt").write_text(text(200), "utf-8")
    newleaf.train(folder / "text.txt", out=folder / "base", steps=8, settings=TINY)
    return folder


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def tuned(place: Path, task: str, rows: list[dict[str, Any]], held_out: list[dict[str, Any]]) -> Path:
    """A run of it that has learned a little."""
    data, val = written(place / f"{task}.jsonl", rows), written(place / f"{task}-val.jsonl", held_out)
    newleaf.tune(place / "base", data, task=task, out=place / task, steps=STEPS, settings=SAME, val=val)
    return place / task


@pytest.fixture(scope="module", params=["chat", "translate", "complete"])
def talker(request: pytest.FixtureRequest, place: Path) -> tuple[str, Path]:
    """A task, and a run that was tuned for it."""
    rows = [{"messages": messages(turns)} for turns in TALKS.values()]
    return request.param, tuned(place, request.param, rows, rows[:1])


@pytest.fixture(scope="module")
def chooser(place: Path) -> Path:
    return tuned(place, "prefer", PAIRS, HELD_OUT)


def opened(folder: Path) -> tuple[Any, Any]:
    """What trl gets: a model and a tokenizer of transformers."""
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def settings(folder: Path, **more: Any) -> dict[str, Any]:
    plain = {"report_to": [], "use_cpu": True, "bf16": False, "max_length": None, "save_strategy": "no", "disable_tqdm": True}
    return plain | {"output_dir": str(folder / "trl"), "gradient_checkpointing": False} | more


# answers ----------------------------------------------------------------------------------------------------------------


def encoded(task: str, model: Model) -> Examples:
    encoder, talks = Encoder(TASKS[task], model.tokenizer), [Conversation(turns) for turns in TALKS.values()]
    return as_examples(list(encoder.all_fitting(talks, encoder.parts(talks), model.config.context)), {})


def tuner(folder: Path, rows: list[dict[str, Any]], **more: Any) -> Any:
    """trl's trainer for answers."""
    import datasets
    import trl

    model, tokenizer = opened(folder)
    args = trl.SFTConfig(**settings(folder, per_device_train_batch_size=len(TALKS), max_steps=1, learning_rate=0.0, **more))
    return trl.SFTTrainer(model=model, args=args, train_dataset=datasets.Dataset.from_list(rows), processing_class=tokenizer)


def learned(row: dict[str, Any]) -> list[bool]:
    return [label != -100 for label in row["labels"]]


def test_trl_learns_the_same_tokens_of_conversations(talker: tuple[str, Path]) -> None:
    """What follows the last answer, a line end at most, it reads and does not learn."""
    task, folder = talker
    model = newleaf.load(folder)
    examples = encoded(task, model)
    theirs = tuner(folder, [{"messages": messages(turns)} for turns in TALKS.values()], assistant_only_loss=True).train_dataset
    assert len(examples) == len(theirs) == len(TALKS)
    for number, row in enumerate(theirs):
        ids, mask = examples.row(number)
        assert row["input_ids"][: len(ids)] == ids.tolist()
        assert learned(row)[: len(ids)] == mask.tolist()
        assert not any(learned(row)[len(ids) :])
        assert model.tokenizer.decode(row["input_ids"][len(ids) :]) in ("", "\n")


def test_trl_finds_the_same_loss_of_conversations(talker: tuple[str, Path]) -> None:
    """Of all in one batch, by its own loop, in a step that changes nothing."""
    task, folder = talker
    model = newleaf.load(folder)
    inputs, targets = map(torch.from_numpy, encoded(task, model).language(range(len(TALKS))))
    found = float(answers(model.decoder, (inputs, targets), None, "float32"))
    theirs = tuner(folder, [{"messages": messages(turns)} for turns in TALKS.values()], assistant_only_loss=True).train().training_loss
    assert found == pytest.approx(theirs, abs=1e-5)


def test_trl_thinks_that_the_model_learns_to_stop(talker: tuple[str, Path]) -> None:
    from trl.chat_template_utils import has_generation_markers, is_chat_template_stop_token_trained

    tokenizer = opened(talker[1])[1]
    assert has_generation_markers(tokenizer.chat_template)
    assert is_chat_template_stop_token_trained(tokenizer)


def test_a_completion_of_trl_is_our_last_answer_and_the_line_end_behind_it(talker: tuple[str, Path]) -> None:
    """trl takes all behind the prompt for the completion; a model that has said the end of its turn is not asked for more."""
    task, folder = talker
    model = newleaf.load(folder)
    examples, line_end = encoded(task, model), "" if task == "complete" else "\n"
    rows = [{"prompt": messages(turns[:-1]), "completion": messages(turns[-1:])} for turns in TALKS.values()]
    for number, row in enumerate(tuner(folder, rows).train_dataset):
        ids, mask = examples.row(number)
        last = len(mask) - ([*mask.tolist()[::-1], False]).index(False)
        assert learned(row) == [place >= last for place in range(len(row["input_ids"]))]
        assert row["input_ids"] == [*ids.tolist(), *model.tokenizer.encode(line_end)]


# preferences ------------------------------------------------------------------------------------------------------------


def preferences(folder: Path) -> tuple[Examples, list[Preference]]:
    """The held-out pairs of a run, encoded and with what the model before made of them, and as people read them."""
    data = open_examples(Run(folder), read_manifest(Run(folder)), newleaf.load(folder).tokenizer)
    rows = [row for row in data.rows("val") if isinstance(row, Preference)]
    return replace(data.val, reference=read_tensors(Run(folder).reference)["val"].numpy()), rows


def chooser_of(folder: Path, base: Path, rows: list[dict[str, Any]], end: str) -> Any:
    """trl's trainer for preferences, the reference being the model before; `end` is what it ends an answer with."""
    import datasets
    import trl

    model, tokenizer = opened(folder)
    tokenizer.eos_token = end
    args = trl.DPOConfig(**settings(folder, beta=BETA, per_device_eval_batch_size=len(rows)))
    data = datasets.Dataset.from_list(rows)
    return trl.DPOTrainer(
        model=model, ref_model=opened(base)[0], args=args, train_dataset=data, eval_dataset=data, processing_class=tokenizer
    )


@pytest.fixture(scope="module")
def judge(chooser: Path, place: Path) -> Any:
    """trl on the held-out pairs of the run, as the text that its template makes of them."""
    model = newleaf.load(chooser)
    rows = [
        {"prompt": model.renderer.text(messages(row.turns)), **{side: getattr(row, side) + "<|im_end|>" for side in ("chosen", "rejected")}}
        for row in preferences(chooser)[1]
    ]
    return chooser_of(chooser, place / "base", rows, "<|im_end|>")


def test_trl_compares_the_same_tokens(chooser: Path, judge: Any) -> None:
    examples, _ = preferences(chooser)
    assert len(examples) == len(HELD_OUT) == len(judge.train_dataset)
    for number, row in enumerate(judge.train_dataset):
        for part, side in enumerate(("chosen", "rejected")):
            ids, mask = examples.row(2 * number + part)
            assert [*row["prompt_ids"], *row[f"{side}_ids"]] == ids.tolist()
            assert mask.tolist() == [place >= len(row["prompt_ids"]) for place in range(len(ids))]


def test_trl_given_messages_also_counts_the_line_end_behind_an_answer(chooser: Path, place: Path) -> None:
    """Its answers are all that the template writes behind the prompt; ours end where the model stops."""
    examples, pairs = preferences(chooser)
    rows = [
        {"prompt": messages(row.turns), **{side: messages((("assistant", getattr(row, side)),)) for side in ("chosen", "rejected")}}
        for row in pairs
    ]
    line_end = newleaf.load(chooser).tokenizer.encode("\n")
    for number, row in enumerate(chooser_of(chooser, place / "base", rows, "<|endoftext|>").train_dataset):
        assert [*row["prompt_ids"], *row["chosen_ids"]] == [*examples.row(2 * number)[0].tolist(), *line_end]


def test_trl_finds_the_same_loss_and_margin_of_every_pair(chooser: Path, judge: Any) -> None:
    examples, _ = preferences(chooser)
    model, some = newleaf.load(chooser).decoder, list(range(len(examples)))
    margins = score_margins(model, examples, some, Workers(1), unheard)[:, 0]
    assert margins.min() < -0.1 < 0.1 < margins.max()
    judge.model.eval()
    for number, row in enumerate(judge.train_dataset):
        with torch.no_grad():
            theirs = float(judge.compute_loss(judge.model, judge.data_collator([row])))
            found = float(preference(model, [torch.from_numpy(part) for part in examples.preferred([number])], None, "float32", BETA))
        assert found == pytest.approx(theirs, abs=1e-5)
        assert BETA * margins[number] == pytest.approx(judge._metrics["eval"]["rewards/margins"][-1], abs=1e-5)


def test_the_figures_of_a_run_are_those_of_trl(chooser: Path, judge: Any) -> None:
    theirs, summary = judge.evaluate(), json.loads((chooser / "summary.json").read_text("utf-8"))
    examples, _ = preferences(chooser)
    batch = [torch.from_numpy(part) for part in examples.preferred(range(len(examples)))]
    with torch.no_grad():
        loss = float(preference(newleaf.load(chooser).decoder, batch, None, "float32", BETA))
    assert loss == pytest.approx(theirs["eval_loss"], abs=1e-5)
    assert summary["val_loss"] == pytest.approx(theirs["eval_loss"], abs=1e-5)
    assert summary["metrics"]["margin"]["value"] == pytest.approx(theirs["eval_rewards/margins"], abs=1e-5)
    assert summary["metrics"]["reward_accuracy"]["value"] == pytest.approx(theirs["eval_rewards/accuracies"], abs=1e-6)
