"""What can be asked for, and what is refused in one sentence."""

import subprocess
import sys
from typing import Any

import pytest

from newleaf.errors import SettingError
from newleaf.generation.settings import Sampling, resolve

IMPOSSIBLE: list[tuple[str, Any]] = [
    ("max_tokens", 0),
    ("max_tokens", 2.5),
    ("temperature", -0.1),
    ("temperature", float("nan")),
    ("temperature", float("inf")),
    ("top_p", 0.0),
    ("top_p", 1.01),
    ("top_k", 0),
    ("top_k", True),
    ("temperature", "hot"),
    ("top_p", True),
    ("min_p", -0.1),
    ("min_p", 1.5),
    ("repetition_penalty", 0.0),
    ("seed", -1),
    ("seed", 2**63),
    ("n", 0),
    ("stop", ("",)),
    ("stop", (3,)),
]


@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE)
def test_an_impossible_value_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(SettingError, match=f"^{name} is ") as error:
        Sampling(**{name: value})
    assert error.value.expected


def test_the_defaults_are_those_of_the_contract() -> None:
    sampling = Sampling()
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.seed, sampling.n) == (256, 0.8, 0.95, 0, 1)
    assert (sampling.top_k, sampling.min_p, sampling.repetition_penalty, sampling.greedy, sampling.stop) == (None, None, None, False, ())


@pytest.mark.parametrize("temperature", [0, 0.0, 1e-9])
def test_no_temperature_is_greedy(temperature: float) -> None:
    assert Sampling(temperature=temperature).greedy


def test_a_flag_wins_over_the_model_and_the_model_over_the_defaults() -> None:
    model = {
        "temperature": 0.6,
        "top_p": 0.7,
        "top_k": 20,
        "min_p": None,
        "repetition_penalty": 1.1,
        "max_new_tokens": 9,
        "eos_token_id": [1, 2],
    }
    sampling = resolve({"top_p": 0.5, "max_tokens": None, "seed": 3}, model)
    assert (sampling.top_p, sampling.seed) == (0.5, 3)
    assert (sampling.temperature, sampling.top_k, sampling.min_p, sampling.repetition_penalty, sampling.max_tokens) == (
        0.6,
        20,
        None,
        1.1,
        9,
    )


def test_a_model_that_does_not_sample_is_greedy_until_sampling_is_asked_for() -> None:
    assert resolve({}, {"do_sample": False, "top_k": 0}).greedy
    assert not resolve({"temperature": 0.5}, {"do_sample": False}).greedy
    assert not resolve({}, {"do_sample": True}).greedy


def test_a_misspelt_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(SettingError, match="did you mean 'temperature'"):
        resolve({"temprature": 0.5})


def test_settings_and_stream_need_no_torch() -> None:
    code = "import sys, newleaf.generation.settings, newleaf.generation.stream; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
