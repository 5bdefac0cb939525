"""What the plan chooses, and for what it says that the person chose."""

from dataclasses import replace

import pytest

from newleaf.runtime import Machine
from newleaf.settings import merge
from newleaf.training.choices import YOURS, make_plan
from newleaf.training.clock import Budget
from newleaf.training.plan import Plan, TextFacts
from newleaf.training.reading import choose_data, choose_vocabulary
from newleaf.training.settings import Recipe

TEXT = TextFacts(train_bytes=1_000_000, train_tokens=380_000, val_bytes=100_000, val_tokens=40_000, vocab_size=1024)
MACHINE = Machine("cpu", "float32", 2, 24 << 30, "test", 2e11)


def planned(budget: Budget, machine: Machine = MACHINE, **settings: object) -> Plan:
    recipe = merge(Recipe, {name.replace("__", "."): value for name, value in settings.items()})
    return make_plan(TEXT, budget, machine, replace(recipe, data=choose_data(recipe.data, budget)), seed=0)


@pytest.mark.parametrize("steps", [20, 1_000, 10_000])
def test_a_budget_in_steps_asks_for_no_model_that_its_tokens_could_not_teach(steps: int) -> None:
    plan = planned(Budget(steps=steps))
    assert plan.last_step == steps
    assert plan.foreseen["parameters"] < plan.last_step * plan.batch_tokens * 10
    assert plan.foreseen["parameters"] < 2_000_000  # for a text of a megabyte, however often it is read


def test_a_budget_in_steps_asks_no_clock() -> None:
    budget = Budget(steps=500)
    slow, fast = (planned(budget, replace(MACHINE, matmul_flops_per_second=rate)) for rate in (1e10, 1e13))
    assert (slow.recipe, slow.config) == (fast.recipe, fast.config)


def test_more_minutes_or_a_faster_machine_train_a_larger_model() -> None:
    short, long = (planned(Budget(minutes=minutes)) for minutes in (1, 60))
    fast = planned(Budget(minutes=1), replace(MACHINE, matmul_flops_per_second=1e14))
    assert short.foreseen["parameters"] < long.foreseen["parameters"]
    assert short.last_step < fast.last_step or short.foreseen["parameters"] < fast.foreseen["parameters"]


@pytest.mark.parametrize("name", ["data.held_out_bytes", "model.width", "optim.lr"])
def test_what_the_person_has_set_is_said_to_be_theirs(name: str) -> None:
    value = {"data.held_out_bytes": 50_000, "model.width": 64, "optim.lr": 0.004}[name]
    given, free = planned(Budget(minutes=1), **{name.replace(".", "__"): value}), planned(Budget(minutes=1))
    assert given.reasons[name] == YOURS != free.reasons[name]


def test_vocabularies_are_multiples_of_64_and_grow_with_what_is_read_of_the_text() -> None:
    sizes = [choose_vocabulary(Budget(steps=1), size) for size in (0, 2_000, 10**5, 10**6, 10**7, 10**8, 10**9, 10**10, 10**13)]
    assert sizes == sorted(sizes)
    assert all(size % 64 == 0 for size in sizes)
    assert (sizes[1], sizes[3], sizes[-1]) == (320, 1472, 65_536)
    assert 10_000 < sizes[-3] < 100_000
    minutes = [choose_vocabulary(Budget(minutes=budget), 10**8) for budget in (0.1, 1, 10, 100)]
    assert minutes == sorted(minutes)
    assert minutes[-1] == choose_vocabulary(Budget(steps=1), 10**8)  # all of the text is read


def test_on_a_cpu_so_much_of_a_batch_is_in_work_as_is_quick_and_elsewhere_all_of_it() -> None:
    same: dict[str, object] = {"train__batch_tokens": 65_536, "model__context": 256, "model__width": 64, "model__depth": 1}
    two, four = (planned(Budget(steps=10), replace(MACHINE, threads=threads), **same).micro_batch for threads in (2, 4))
    assert (two, four) == (16, 32)
    assert planned(Budget(steps=10), **same | {"model__context": 4096}).micro_batch == 2  # one row each
    assert planned(Budget(steps=10), replace(MACHINE, device="cuda"), **same).micro_batch == 256
