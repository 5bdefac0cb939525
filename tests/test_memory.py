"""What says that memory ran out is recognised, nothing else is, and what was in memory is let go."""

import weakref
from collections.abc import Callable

import pytest
import torch
from shortages import ERRORS, IMPOSSIBLE

from newleaf.memory import Shortage, attempt, out_of_memory, release
from newleaf.workers import Workers


@pytest.mark.parametrize("name", ERRORS)
def test_memory_that_runs_out_is_recognised(name: str) -> None:
    with pytest.raises(Exception) as caught:
        ERRORS[name]()
    assert out_of_memory(caught.value), repr(caught.value)
    with pytest.raises(Shortage):
        attempt(ERRORS[name])


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied (8x64 and 32x64)"),
        RuntimeError("could not create a primitive descriptor for a matmul primitive"),
        RuntimeError("can't start new thread"),
        ValueError("out of memory"),
        OSError(28, "No space left on device"),
    ],
    ids=str,
)
def test_other_errors_pass(error: Exception) -> None:
    def action() -> None:
        raise error

    assert not out_of_memory(error)
    with pytest.raises(type(error)) as caught:
        attempt(action)
    assert caught.value is error


def test_what_goes_well_is_handed_on() -> None:
    assert attempt(max, 3, 4, key=lambda number: -number) == 3


@pytest.mark.parametrize("count", [1, 2])
def test_nothing_that_was_in_memory_stays(count: int) -> None:
    seen: list[weakref.ref[torch.Tensor]] = []
    workers = Workers(count)

    def work(number: int) -> torch.Tensor:
        kept = torch.zeros(1000)
        seen.append(weakref.ref(kept))
        return kept + torch.empty(IMPOSSIBLE, dtype=torch.uint8)

    with pytest.raises(Shortage) as caught:
        attempt(workers.map, work, range(count))
    workers.close()
    release("cpu")
    assert caught.value.__context__ is None
    assert [reference() for reference in seen] == [None] * count


def test_caches_are_emptied_where_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[str] = []

    def note(name: str) -> Callable[[], None]:
        return lambda: emptied.append(name)

    for name in ("cuda", "mps"):
        monkeypatch.setattr(f"torch.{name}.empty_cache", note(name))
    for device in ("cpu", "cuda", "mps"):
        release(device)
    assert emptied == ["cuda", "mps"]
