"""When memory runs out: what says so, and what can be given back before something smaller is tried.

Only an error can be answered. Where the system ends the process instead, as Linux does when the whole machine is out of memory, the
last checkpoint is what remains.
"""

import gc
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from newleaf.runtime import return_freed_memory

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

WORDS = (  # of a RuntimeError: those who allocate say it in words alone
    r"DefaultCPUAllocator: can't allocate memory",  # torch on Linux and macOS
    r"DefaultCPUAllocator: not enough memory",  # torch on Windows
    r"out of memory",  # the drivers: "CUDA error: out of memory", "MPS backend out of memory"
    r"CUBLAS_STATUS_ALLOC_FAILED",  # the products of a GPU
    r"could not create a primitive$",  # oneDNN, the bf16 products of a CPU; for want of anything else it names the primitive
    r"bad_alloc",  # C++
)


class Shortage(Exception):
    """Memory ran out in something that may be tried again. It holds none of what was in memory."""


def attempt(action: Callable[Parameters, Result], *arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
    """The result of `action`, or Shortage if memory ran out in it."""
    try:
        return action(*arguments, **named)
    except Exception as error:
        if not out_of_memory(error):
            raise
    raise Shortage  # not above: there the error still holds every tensor in the frames that it came through


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out.

    >>> out_of_memory(MemoryError()), out_of_memory(RuntimeError("MPS backend out of memory")), out_of_memory(RuntimeError("no"))
    (True, True, False)
    """
    if not isinstance(error, RuntimeError):
        return isinstance(error, MemoryError)  # Python's, and numpy's
    import torch

    return isinstance(error, torch.OutOfMemoryError) or re.search("|".join(WORDS), str(error)) is not None


def release(device: str) -> None:
    """Give back what nobody holds any more; drop what is not needed first."""
    import torch

    gc.collect()  # threads leave an error in a circle: its frame holds the future that holds the error
    return_freed_memory()
    if device == "cuda":
        torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()
