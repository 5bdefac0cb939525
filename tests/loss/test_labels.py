"""The loss of a classifier against torch's cross-entropy of single texts, and the classifier in transformers against ours."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from model.configs import CONFIGS, SIZE, random_decoder
from torch import Tensor

from newleaf.conversion.huggingface import read_model, write_model
from newleaf.loss.labels import label_logits, label_loss
from newleaf.model.config import ModelConfig, preset
from newleaf.model.decoder import Decoder
from newleaf.model.size import parameters, shapes
from newleaf.training.gradients import Gradients
from newleaf.workers import Workers

NUM_LABELS, PADDING = 3, 3
LENGTHS = (5, 1, 24, 2, 17)
CLASSIFIERS = {name: replace(config, num_labels=NUM_LABELS) for name, config in CONFIGS.items()}
FAMILIES = pytest.mark.parametrize("config", CLASSIFIERS.values(), ids=CLASSIFIERS)


def texts(config: ModelConfig, lengths: Sequence[int] = LENGTHS, seed: int = 0) -> list[Tensor]:
    """Ids, none of which is the padding."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(PADDING + 1, config.vocab_size, (length,), generator=generator) for length in lengths]


def together(rows: Sequence[Tensor], padding: int = PADDING, wider: int = 0) -> tuple[Tensor, Tensor]:
    """(inputs (B, T), place of each text's last token (B))."""
    width = max(map(len, rows)) + wider
    inputs = torch.stack([F.pad(row, (0, width - len(row)), value=padding) for row in rows])
    return inputs, torch.tensor([len(row) - 1 for row in rows])


def one_by_one(model: Decoder, rows: Sequence[Tensor]) -> Tensor:
    """(B, labels) from each text alone, without padding."""
    assert model.score is not None
    return torch.stack([model.hidden(row[None])[0, -1] @ model.score.weight.T for row in rows])


def gradients_of(model: Decoder, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """But for the order in which float32 numbers are added."""
    assert found.keys() == expected.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-5 * largest, msg=lambda said, name=name: f"{name}: {said}")


# the decoder ------------------------------------------------------------------------------------------------------------


@FAMILIES
@pytest.mark.parametrize("num_labels", [1, 2, 7])
def test_a_classifier_has_a_head_for_labels_in_the_place_of_the_output_projection(config: ModelConfig, num_labels: int) -> None:
    config = replace(config, num_labels=num_labels)
    model = Decoder(config)
    assert model.lm_head is None
    assert {name: tuple(weight.shape) for name, weight in model.named_parameters()} == shapes(config)
    assert shapes(config)["score.weight"] == (num_labels, config.width)
    assert sum(weight.numel() for weight in model.parameters()) == parameters(config)


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("num_labels", [2, 3, 10])
def test_a_new_classifier_finds_all_labels_equally_likely(name: str, num_labels: int) -> None:
    config = replace(CONFIGS[name], num_labels=num_labels)
    inputs, last = together(texts(config))
    loss = label_loss(Decoder(config), (inputs, torch.arange(len(last)) % num_labels, last), None, "float32")
    assert float(loss.detach()) == pytest.approx(math.log(num_labels), rel=1e-6)


# the loss ---------------------------------------------------------------------------------------------------------------


@FAMILIES
def test_loss_and_gradients_of_labels_are_those_of_torch_at_the_last_token(config: ModelConfig) -> None:
    model, rows = random_decoder(config), texts(config)
    (inputs, last), labels = together(rows), torch.tensor([0, 2, 1, 1, 0])
    found, expected = label_loss(model, (inputs, labels, last), None, "float32"), F.cross_entropy(one_by_one(model, rows), labels)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert_same(gradients_of(model, found), gradients_of(model, expected))


@FAMILIES
def test_padding_behind_the_last_token_changes_nothing(config: ModelConfig) -> None:
    model, rows = random_decoder(config), texts(config, (5, 1, 9, 2))
    with torch.no_grad():
        inputs, last = together(rows)
        expected = label_logits(model, inputs, last)
        torch.testing.assert_close(expected, one_by_one(model, rows), rtol=1e-5, atol=1e-5)
        for token in (0, 100):
            assert torch.equal(label_logits(model, *together(rows, token)), expected)
            torch.testing.assert_close(label_logits(model, *together(rows, token, wider=15)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_scores_of_labels_are_float32(precision: Any) -> None:
    model = random_decoder(CLASSIFIERS["qwen3"])
    inputs, last = together(texts(model.config))
    found = label_logits(model, inputs, last, precision=precision)
    assert (found.dtype, found.shape) == (torch.float32, (len(LENGTHS), NUM_LABELS))


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_division_of_the_texts_gives_the_same_loss_and_gradients(workers: int, rows: int) -> None:
    model, some = random_decoder(CLASSIFIERS["qwen3"]), texts(CLASSIFIERS["qwen3"])
    (inputs, last), labels = together(some), torch.tensor([0, 2, 1, 1, 0])
    whole = F.cross_entropy(one_by_one(model, some), labels)
    expected = gradients_of(model, whole)
    gradients = Gradients(model, partial(label_loss, precision="float32"), "cpu", Workers(workers), rows)
    found = gradients((inputs.numpy(), labels.numpy(), last.numpy()), lambda part: None, lambda: False)
    assert found == pytest.approx(float(whole.detach()), rel=1e-5)
    assert_same({name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}, expected)


# transformers -----------------------------------------------------------------------------------------------------------

NAMES = ["bad", "好", "neither nor"]
SAID = {"pad_token_id": PADDING, "id2label": dict(enumerate(NAMES)), "label2id": {name: id for id, name in enumerate(NAMES)}}
PRESETS = pytest.mark.parametrize("name", ["qwen3", "qwen2", "llama", "gpt2"])


def written(folder: Path, name: str) -> Decoder:
    """A classifier of a family, whose parameters are all drawn, in a folder."""
    model = random_decoder(replace(preset(name, **SIZE), num_labels=NUM_LABELS))
    assert all(bool(weight.all()) for weight in model.parameters())
    write_model(folder, model, {}, 0, SAID)
    return model


def load(folder: Path) -> Any:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    assert theirs.config.id2label == SAID["id2label"] and theirs.config.label2id == SAID["label2id"]
    return theirs.eval()


@PRESETS
def test_transformers_finds_the_same_scores_of_single_texts(name: str, tmp_path: Path) -> None:
    model = written(tmp_path, name)
    theirs = load(tmp_path)
    with torch.no_grad():
        for row in texts(model.config):
            found = label_logits(model, row[None], torch.tensor([len(row) - 1]))
            torch.testing.assert_close(theirs(row[None]).logits, found, rtol=0, atol=1e-4)


@PRESETS
@pytest.mark.parametrize("masked", [True, False])
def test_transformers_finds_the_same_scores_and_loss_of_a_padded_batch(name: str, masked: bool, tmp_path: Path) -> None:
    model = written(tmp_path, name)
    (inputs, last), labels = together(texts(model.config)), torch.tensor([0, 2, 1, 1, 0])
    with torch.no_grad():
        expected = load(tmp_path)(inputs, attention_mask=(inputs != PADDING).long() if masked else None, labels=labels)
        torch.testing.assert_close(label_logits(model, inputs, last), expected.logits, rtol=0, atol=1e-4)
        torch.testing.assert_close(label_loss(model, (inputs, labels, last), None, "float32"), expected.loss, rtol=0, atol=1e-4)


@PRESETS
def test_a_classifier_comes_back_tensor_by_tensor(name: str, tmp_path: Path) -> None:
    model = written(tmp_path / "ours", name)
    load(tmp_path / "ours").save_pretrained(tmp_path / "theirs")
    for folder in ("ours", "theirs"):
        again = read_model(tmp_path / folder)
        assert again.config == model.config
        assert again.state_dict().keys() == model.state_dict().keys()
        for key, weight in again.state_dict().items():
            assert torch.equal(weight, model.state_dict()[key]), key
