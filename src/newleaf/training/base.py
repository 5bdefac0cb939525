"""The model that a run goes on from (`--from`): what the plan keeps of it, and how it is found again. Imports no torch, no tokenizer."""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from newleaf import fsio
from newleaf.conversion.configs import SAID, config_from_json
from newleaf.conversion.facts import base_name
from newleaf.conversion.hub import folder_of
from newleaf.errors import ModelError, SettingError
from newleaf.model.config import ModelConfig
from newleaf.runs import read_json
from newleaf.training.settings import Recipe

if TYPE_CHECKING:
    from newleaf.tokens.interface import AnyTokenizer

HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]+")
POEM = "床前明月光疑是地上霜举头望明月低头思故乡白日依山尽黄河入海流欲穷千里目更上一层楼"  # where the text holds no Chinese
LEAST_RATE = 0.01  # of a new model's, for one that goes on
ENOUGH = 200  # Chinese characters to count tokens by


@dataclass(frozen=True)
class Base:
    """A model with weights to begin with."""

    model: str  # a hub name, or the whole path of a folder: a run goes on from wherever it is resumed
    sha256: str  # of its files of weights, so that a run that begins again begins with the same
    said: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What people call it: a hub name, or the last part of a path."""
        return base_name(self.model)

    @cached_property
    def folder(self) -> Path:
        """Where it is; ModelError if its weights are not those that the run was begun with."""
        folder = folder_of(self.model)
        if weights_sha256(folder) != self.sha256:
            hint = "restore it, or start a new run"
            raise ModelError(f"{self.name} is not the model that this run was begun from", where=self.model, hint=hint)
        return folder


@dataclass(frozen=True)
class StartingPoint:
    """A base, and what of it the plan needs."""

    base: Base
    config: ModelConfig

    @cached_property
    def tokenizer(self) -> "AnyTokenizer":
        """ModelError where it has none, or one with more tokens than the model has rows."""
        from newleaf.tokens.foreign import load_tokenizer

        return load_tokenizer(self.base.folder, self.config.vocab_size)

    def shape(self, recipe: Recipe, vocab_size: int, context: int) -> ModelConfig:
        """The model's, in windows of `context`. SettingError where a recipe asks for another one, or for another vocabulary."""
        asked = {f"model.{name}": (value, getattr(self.config, name)) for name, value in vars(recipe.model).items() if name != "context"}
        for setting, (value, theirs) in (asked | {"data.vocab_size": (recipe.data.vocab_size, vocab_size)}).items():
            if value not in (None, theirs):
                hint = "leave it out: with --from, shape and tokenizer are the model's"
                raise SettingError(f"{setting} is {value} here and {theirs} in {self.base.name}", where=setting, hint=hint)
        return replace(self.config, context=context)


def find_base(model: str) -> tuple[Base, ModelConfig]:
    """The model of a name, and its shape. ModelError if it is missing or not supported."""
    folder = folder_of(model)
    if not (folder / "config.json").exists():
        raise ModelError(f"{folder} has no config.json", where=str(folder), expected="a run directory or a model's folder")
    values = read_json(folder / "config.json")
    said = {name: value for name, value in values.items() if name in SAID and value is not None}
    return Base(model, weights_sha256(folder), said), config_from_json(values, str(folder / "config.json"))


def weights_sha256(folder: Path) -> str:
    """One hash of all files of weights."""
    hashes = [f"{path.name} {fsio.sha256(path)}" for path in sorted(folder.glob("*.safetensors"))]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def tokens_per_character(tokenizer: "AnyTokenizer", text: str) -> float:
    """What a Chinese character costs in a tokenizer, by those of the text, or by a poem where it has few."""
    runs = HAN.findall(text)
    if sum(map(len, runs)) < ENOUGH:
        runs = [POEM]
    blank = len(tokenizer.encode("\n"))
    return (len(tokenizer.encode("\n" + "\n".join(runs))) - blank * len(runs)) / sum(map(len, runs))


def going_on_rate(tokens: int, parameters: int) -> float:
    """Of a new model's rates. A small model learns new text best with all of them; one that has hundreds of parameters for each token would
    lose what it knows, and is tuned with a hundredth as a rule (lab/LOG.md, 2026-11-26).

    >>> going_on_rate(4_000_000, 400_000), round(going_on_rate(300_000, 124_000_000), 3)
    (1.0, 0.049)
    """
    return min(1.0, max(LEAST_RATE, math.sqrt(tokens / parameters)))
