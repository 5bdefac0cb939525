"""Threads that each compute alone."""

import threading

import pytest
import torch

from newleaf.workers import Workers, workers_for


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_stand_in_the_order_of_the_items(count: int) -> None:
    assert Workers(count).map(lambda number: number * number, range(20)) == [number * number for number in range(20)]


def test_each_worker_has_its_own_number_of_threads_and_the_caller_keeps_its_own() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    meeting = threading.Barrier(2, timeout=30)

    def threads(_: int) -> int:
        meeting.wait()  # both workers are at work
        return torch.get_num_threads()

    try:
        assert Workers(2, threads_each=2).map(threads, [0, 1]) == [2, 2]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_an_error_is_raised_once_all_have_ended() -> None:
    ended = []

    def work(number: int) -> None:
        if number == 0:
            raise ValueError("the first")
        ended.append(number)

    with pytest.raises(ValueError, match="the first"):
        Workers(2).map(work, range(6))
    assert sorted(ended) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("device", "threads", "count"), [("cpu", 1, 1), ("cpu", 2, 2), ("cpu", 64, 8), ("cuda", 16, 1), ("mps", 8, 1)])
def test_a_processor_has_a_worker_a_thread_and_a_gpu_has_one(device: str, threads: int, count: int) -> None:
    assert workers_for(device, threads).count == count
