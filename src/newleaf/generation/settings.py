"""How a continuation is chosen and where it ends, as data. Imports no torch, so that `--help` can show it at once."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from newleaf.errors import SettingError
from newleaf.settings import check_range, unknown_setting

WHOLE, REAL = ("max_tokens", "top_k", "n", "seed"), ("temperature", "top_p", "min_p", "repetition_penalty")
LARGEST_SEED = 2**63 - 1
COLDEST = 1e-6  # below, logits divided by the temperature could leave float32


@dataclass(frozen=True)
class Sampling:
    """Everything that decides a continuation besides the model and the prompt.

    Filters act in the order of transformers' `generate`: repetition penalty, temperature, top-k, top-p, min-p.

    >>> Sampling(temperature=0).greedy, Sampling(stop="\\n\\n").stop
    (True, ('\\n\\n',))
    """

    max_tokens: int = 256
    """The most tokens to write."""
    temperature: float = 0.8
    """Divides the logits: below 1 safer, above 1 more varied, 0 the same as --greedy."""
    top_p: float = 0.95
    """Draw from the fewest tokens that together have this probability (nucleus sampling); 1 turns it off."""
    top_k: int | None = None
    """Draw from this many of the most likely tokens."""
    min_p: float | None = None
    """Draw from tokens at least this share as likely as the most likely one."""
    repetition_penalty: float | None = None
    """Above 1 makes every token that prompt and text already hold less likely."""
    greedy: bool = False
    """Always take the most likely token; turns every filter off but an explicit repetition penalty."""
    stop: tuple[str, ...] = ()
    """End before this text; may be given several times."""
    seed: int = 0
    """Sample i draws with seed + i, so the same seed gives the same text."""
    n: int = 1
    """How many samples."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "stop", (self.stop,) if isinstance(self.stop, str) else tuple(self.stop))
        for name, value in vars(self).items():
            if name in WHOLE and not is_number(value, int):
                raise SettingError(f"{name} is {value!r}", where=name, expected="a whole number")
            if name in REAL and not is_number(value, int | float):
                raise SettingError(f"{name} is {value!r}", where=name, expected="a number")
        for name in ("max_tokens", "top_k", "n"):
            check_range(name, getattr(self, name), 1)
        check_range("seed", self.seed, 0, LARGEST_SEED - self.n)
        check_range("temperature", self.temperature, 0, 1e6)
        check_range("top_p", self.top_p, 0, 1, above=True)
        check_range("min_p", self.min_p, 0, 1)
        check_range("repetition_penalty", self.repetition_penalty, 0, 1e6, above=True)
        object.__setattr__(self, "greedy", self.greedy or self.temperature < COLDEST)
        if not all(isinstance(stop, str) and stop for stop in self.stop):
            raise SettingError(f"stop is {list(self.stop)}", where="stop", expected="text of at least one character")


def is_number(value: object, kind: Any) -> bool:
    """Whether `value` is not set or of this kind; True and False are no numbers."""
    return value is None or (isinstance(value, kind) and not isinstance(value, bool))


def resolve(given: Mapping[str, Any], generation_config: Mapping[str, Any] | None = None) -> Sampling:
    """What was asked for, then what the model's generation_config.json says, then the defaults.

    `given` may hold None for what was not asked for. A model that says `do_sample: false` is greedy unless a way to
    sample was asked for. SettingError for a name that does not exist.

    >>> resolve({"top_p": 0.9, "seed": None}, {"temperature": 0.6, "top_k": 20, "eos_token_id": 2})
    Sampling(max_tokens=256, temperature=0.6, top_p=0.9, top_k=20, min_p=None, repetition_penalty=None, greedy=False, stop=(), seed=0, n=1)
    """
    known = [field.name for field in fields(Sampling)]
    asked = {name: value for name, value in given.items() if value is not None}
    for name in asked:
        if name not in known:
            raise unknown_setting(name, known)
    model = from_generation_config(generation_config or {})
    if asked.get("greedy"):
        model.pop("repetition_penalty", None)
    if any(name in asked for name in ("temperature", "top_p", "top_k", "min_p")):
        model.pop("greedy", None)
    return Sampling(**(model | asked))


def from_generation_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of ours that a generation_config.json names, its ways to say "off" (0, 1, null) understood."""
    settings = {
        name: config[name] for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty") if config.get(name) is not None
    }
    if config.get("max_new_tokens") is not None:
        settings["max_tokens"] = config["max_new_tokens"]
    if settings.get("top_k") == 0:
        del settings["top_k"]
    if config.get("do_sample") is False:
        settings["greedy"] = True
    return settings
