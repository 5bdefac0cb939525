"""lm-eval is the judge of suites: on the same directory and the same items it finds the same figures, item by item.

What it cannot score stays out: a prompt of white space alone, a choice longer than the context, one that is no token of its own.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conversion.test_imported import imported
from promises.suites import Asked, tasks

import newleaf
from newleaf.evaluation.between import unheard
from newleaf.evaluation.choice import Item, ids_of, log_likelihoods, measured
from newleaf.evaluation.suite import SuiteTask, read_suite
from newleaf.jobs.loaded import Model
from newleaf.workers import Workers

pytestmark = [pytest.mark.ecosystem, pytest.mark.filterwarnings("ignore")]
MODELS = ("a run", "its export", "gpt2", "llama3", "llama2")  # the last three are kinds of tokenizers that came with a model
NAMES = {"accuracy": "acc", "accuracy_norm": "acc_norm", "perplexity": "perplexity"}
STARTS = ("spring", "the old", "流水", "花月")


@dataclass(frozen=True)
class Judged:
    """A model, what it is asked, and what lm-eval says."""

    model: Model
    suite: dict[str, SuiteTask]
    results: dict[str, Any]
    samples: dict[str, list[dict[str, Any]]]

    def pairs(self, name: str) -> list[tuple[Item, dict[str, Any]]]:
        """The items of a task, each beside its sample."""
        samples = sorted(self.samples[name], key=lambda sample: sample["doc_id"])
        return list(zip(self.suite[name].items(), samples, strict=True))


def folder_of(name: str, trained: Path, place: Path) -> Path:
    if name == "a run":
        return trained
    if name == "its export":
        newleaf.export(trained, place / "hf", to="hf")
        return place / "hf"
    return imported(place / "imported", "gpt2" if name == "gpt2" else "llama", name)


def judge(folder: Path) -> Any:
    """lm-eval's reader of a directory."""
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=4)


def evaluated(folder: Path, asked: dict[str, Asked], place: Path) -> Judged:
    """All tasks, written to a folder, read from there by both."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    (place / "suite.toml").write_text("".join(task.write(name, place) for name, task in asked.items()), "utf-8")
    manager = TaskManager(include_path=str(place), include_defaults=False)
    found = simple_evaluate(model=judge(folder), tasks=list(asked), task_manager=manager, bootstrap_iters=2)
    suite = {task.name: task for task in read_suite(str(place / "suite.toml"), None)}
    return Judged(newleaf.load(folder), suite, found["results"], found["samples"])


@pytest.fixture(scope="module", params=MODELS)
def judged(request: pytest.FixtureRequest, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    place = tmp_path_factory.mktemp("judged")
    folder = folder_of(request.param, trained, place)
    model = newleaf.load(folder)
    written = {start: model.generate(start, temperature=0, max_tokens=3) for start in STARTS}
    scored = {
        start: text for start, text in written.items() if len(model.tokenizer.prompt(start + text)) > len(model.tokenizer.prompt(start))
    }
    return evaluated(folder, tasks(scored), place)


@pytest.mark.parametrize("name", tasks({}))
def test_figures_and_their_errors_are_those_of_lm_eval(name: str, judged: Judged) -> None:
    found = newleaf.evaluate(judged.model.path, suite=judged.suite[name].folder / "suite.toml")[name]
    theirs = judged.results[name]
    figures = {ours: found[ours] for ours, other in NAMES.items() if f"{other},none" in theirs}
    assert figures.keys() == found.keys() - {"items"}
    for ours, figure in figures.items():
        assert figure["value"] == pytest.approx(theirs[f"{NAMES[ours]},none"], rel=1e-5)
        if ours != "perplexity":  # whose error lm-eval draws from resamples
            assert figure["stderr"] == pytest.approx(theirs[f"{NAMES[ours]}_stderr,none"], rel=1e-9)


@pytest.mark.parametrize("name", tasks({}))
def test_every_item_is_judged_alike_by_equal_log_likelihoods(name: str, judged: Judged) -> None:
    model, kind = judged.model, judged.suite[name].kind
    for item, sample in judged.pairs(name):
        rows = [ids_of(model.tokenizer, prompt, choice, model.config.context) for prompt, choice in item.pairs]
        nats, sure = log_likelihoods(model.decoder, rows, Workers(1), unheard)
        theirs = [(float(response[0]), bool(response[1])) for response in sample["filtered_resps"]]
        assert (-nats).tolist() == pytest.approx([each for each, _ in theirs], abs=1e-4), item
        assert sure.tolist() == [greedy for _, greedy in theirs], item
        figures = measured(model.decoder, model.tokenizer, kind, [item], Workers(1))
        assert {NAMES[key]: each.value for key, each in figures.items() if key != "perplexity"} == {
            key: sample[key] for key in ("acc", "acc_norm") if key in sample
        }, item


def test_the_items_tell_models_apart(judged: Judged) -> None:
    """Or equal figures would say nothing: some items are right and some wrong, and it matters how lengths are allowed for."""
    samples = [sample for name in judged.suite for sample in judged.samples[name]]
    assert 0.1 < sum(sample["acc"] for sample in samples) / len(samples) < 0.9
    assert any(sample["acc"] != sample["acc_norm"] for sample in samples if "acc_norm" in sample)
    assert len(judged.samples["last_characters"]) > 2


@pytest.mark.parametrize("text", ["the old moon of a river.", "春江花月夜，新叶。"])
def test_bits_of_a_text_in_one_window_are_those_of_lm_eval(text: str, trained: Path, tmp_path: Path) -> None:
    """The end of the text counts here; lm-eval scores it where it is written out. Longer texts it cuts into windows that do not overlap."""
    from lm_eval.api.instance import Instance

    (tmp_path / "text.txt").write_text(text, "utf-8")
    found = newleaf.evaluate(trained, tmp_path / "text.txt")
    assert found["tokens"] <= newleaf.load(trained).config.context
    request = Instance("loglikelihood_rolling", {}, (f"{text}<|endoftext|>",), 0)
    [log_likelihood] = judge(trained).loglikelihood_rolling([request])
    assert found["bits_per_byte"] == pytest.approx(-log_likelihood / math.log(2) / len(text.encode()), rel=1e-6)
    assert found["loss"] * found["tokens"] == pytest.approx(-log_likelihood, abs=1e-4)
