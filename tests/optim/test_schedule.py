"""Rates rise, stay, fall: without jumps, without steps that do nothing, and never above their height."""

from itertools import pairwise

import pytest

from newleaf.optim.schedule import multiplier
from newleaf.optim.settings import Decay, OptimSettings


@pytest.mark.parametrize("decay", ["linear", "cosine"])
@pytest.mark.parametrize("warmup_steps", [0, 1, 10, 500])
@pytest.mark.parametrize("decay_fraction", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("num_steps", [1, 2, 100])
def test_every_step_has_a_rate_between_zero_and_one(decay: Decay, warmup_steps: int, decay_fraction: float, num_steps: int) -> None:
    settings = OptimSettings(warmup_steps=warmup_steps, decay_fraction=decay_fraction, decay=decay, final_lr_fraction=0.0)
    rates = [multiplier(step, step / num_steps, settings) for step in range(num_steps)]
    assert all(0 < rate <= 1 for rate in rates)


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_the_rate_rises_stays_and_falls_without_jumps(decay: Decay) -> None:
    settings = OptimSettings(warmup_steps=100, decay_fraction=0.4, decay=decay, final_lr_fraction=0.05)
    rates = [multiplier(step, step / 1000, settings) for step in range(1001)]
    assert rates[:100] == sorted(rates[:100]) and rates[600:] == sorted(rates[600:], reverse=True)
    assert set(rates[99:600]) == {1.0}
    assert rates[-1] == pytest.approx(0.05)
    assert max(abs(rate - before) for before, rate in pairwise(rates)) <= 0.011


def test_without_a_decay_the_rate_stays() -> None:
    assert multiplier(1000, 1.0, OptimSettings(warmup_steps=0, decay_fraction=0.0)) == 1.0
