"""Memory that runs out on purpose: the errors as Python, numpy and torch raise them, at a forward, an optimizer step or an evaluation."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from newleaf.evaluation import bits
from newleaf.jobs import pretrain
from newleaf.model.decoder import Decoder
from newleaf.model.layers import Dropout, Precision
from newleaf.optim import optimizer

IMPOSSIBLE = 1 << 60  # bytes: beyond what a processor can address


def fail(words: str, kind: type[Exception] = RuntimeError) -> Callable[[], object]:
    """What can only be had on other machines."""

    def act() -> None:
        raise kind(words)

    return act


ERRORS: dict[str, Callable[[], object]] = {
    "python": lambda: bytearray(IMPOSSIBLE),
    "numpy": lambda: np.empty(IMPOSSIBLE, np.uint8),
    "torch": lambda: torch.empty(IMPOSSIBLE, dtype=torch.uint8),
    "windows": fail("[enforce fail at alloc_cpu.cpp:117] data. DefaultCPUAllocator: not enough memory: you tried to allocate 64 bytes."),
    "onednn": fail("could not create a primitive"),
    "cuda": fail("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 7.92 GiB", torch.OutOfMemoryError),
    "driver": fail("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported", torch.AcceleratorError),
    "cublas": fail("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "mps": fail("MPS backend out of memory (MPS allocated: 9.00 GiB, other allocations: 464.00 KiB, max allowed: 9.07 GiB)."),
    "c++": fail("std::bad_alloc"),
}


class InBackward(torch.autograd.Function):
    """The loss, whose gradient finds no memory."""

    @staticmethod
    def forward(ctx: Any, loss: Tensor, error: str) -> Tensor:
        ctx.error = error
        return loss.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        ERRORS[ctx.error]()


def short_job(error: str, most_rows: int | None = None, step: int = 1, at: int | None = None, backward: bool = False) -> type[Any]:
    """Pretraining in which memory holds `most_rows` of a part from `step` on, or runs out once, in the `at`-th forward or its backward."""
    forwards = itertools.count(1)
    real = pretrain.Job

    class Short(real):  # type: ignore[misc, valid-type]
        def loss(self, model: Decoder, batch: Sequence[Tensor], dropout: Dropout | None) -> Tensor:
            too_many = most_rows is not None and len(batch[0]) > most_rows and self.loop.state.step + 1 >= step
            hit = next(forwards) == at or too_many
            if hit and not backward:
                ERRORS[error]()
            loss: Tensor = super().loss(model, batch, dropout)
            return InBackward.apply(loss, error) if hit else loss  # type: ignore[no-any-return,no-untyped-call]

    return Short


def short_muon(error: str, at: int) -> Callable[..., None]:
    """Muon that finds no memory in its `at`-th call, when it has changed what it can."""
    calls, real = itertools.count(1), optimizer.muon_

    def muon_(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        if next(calls) == at:
            ERRORS[error]()

    return muon_


def short_windows(error: str, most: int) -> Callable[..., bits.Nats]:
    """Scores that memory suffices for if there are at most so many windows in a group."""
    real = bits.score_windows

    def score_windows(model: Decoder, ids: Any, group: list[bits.Window], precision: Precision) -> bits.Nats:
        if len(group) > most:
            ERRORS[error]()
        return real(model, ids, group, precision)

    return score_windows


def install(fault: dict[str, Any]) -> None:
    """For the rest of this process: {"short": ERROR, "rows": n, "step": n} or once {…, "forward": n} or {…, "optimizer": n}."""
    if "optimizer" in fault:
        optimizer.muon_ = short_muon(fault["short"], fault["optimizer"])
    else:
        pretrain.Job = short_job(fault["short"], fault.get("rows"), fault.get("step", 1), fault.get("forward"))
