"""The machine: device, precision, threads, matrix rate, time since the command began. Asked once and passed on."""

import ctypes
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

Precision = Literal["float32", "bf16"]
STARTED = time.monotonic()  # of the first import: the best there is where the process's own start cannot be asked


def seconds_since_exec() -> float:
    """Seconds since this process was started, interpreter and imports included."""
    try:
        after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()  # the name may hold spaces
        started = int(after_name[19]) / os.sysconf("SC_CLK_TCK")  # field 22: ticks after boot
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    except (OSError, AttributeError, IndexError, ValueError):
        return time.monotonic() - STARTED


def sleep_while_waiting() -> None:
    """Let threads that wait for each other sleep soon instead of spinning. It acts only before torch is imported.

    With one other busy process on two cores, spinning made a training step 68 times slower (lab/LOG.md, 2026-11-22).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


@contextmanager
def importing_torch() -> Iterator[None]:
    """Around the first import of torch: signals wait for its end, because an exception thrown into its C++ aborts the process."""
    sleep_while_waiting()
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1") if hasattr(signal, "pthread_sigmask") and "torch" not in sys.modules else ()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.Signals[name] for name in names]) if names else set()
    try:
        yield
    finally:
        if names:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True)
class Machine:
    """What a plan needs to know. `matmul_flops_per_second` is None until it has been measured."""

    device: str  # cpu, cuda or mps
    precision: Precision
    threads: int
    memory_bytes: int
    instruction_set: str
    matmul_flops_per_second: float | None = None


def machine(threads: int | None = None, precision: Precision | None = None) -> Machine:
    """The machine as it is, without measuring anything: bf16 where the instruction set has products for it."""
    with importing_torch():
        import torch

    device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else torch.backends.cpu.get_cpu_capability()
    chosen: Precision = precision or ("bf16" if has_bf16(device) else "float32")
    return Machine(device, chosen, threads or available_cores(), memory_bytes(device), f"{platform.machine()} {name}")


def settle(machine: Machine) -> None:
    """Make this process one that computes: its threads."""
    import torch

    torch.set_num_threads(machine.threads)


def keep_freed_memory() -> None:
    """From here on let glibc keep what tensors leave for the tensors of the next step, instead of handing pages back and fetching them
    anew; what is free now goes back first.

    A training step takes 4 to 5 % less time (lab/LOG.md, 2026-11-24). Other C libraries are left as they are.
    """
    set_malloc(trim_threshold=2**31 - 1, mmap_threshold=2**30)


def return_freed_memory() -> None:
    """Undo it, where memory is short: what one thread keeps, another cannot have."""
    set_malloc(trim_threshold=128 << 10, mmap_threshold=128 << 10)  # glibc's own


def set_malloc(trim_threshold: int, mmap_threshold: int) -> None:
    """Hand back what is free, and set the sizes above which glibc does so by itself."""
    try:
        library = ctypes.CDLL(None)
        trim, mallopt = library.malloc_trim, library.mallopt
    except (OSError, AttributeError, TypeError):
        return
    trim(0)
    mallopt(M_TRIM_THRESHOLD, trim_threshold)
    mallopt(M_MMAP_THRESHOLD, mmap_threshold)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def has_bf16(device: str) -> bool:
    """Whether bf16 products are faster here than float32's, by the instruction set and the maker alone.

    Intel's avx512_bf16 multiplies no faster than its float32 and takes half as long again with all the rounding around it; AMD's
    does it in a third of the time.
    """
    import torch

    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    in_vectors = can("avx512_bf16") and not made_by_intel()
    return device == "cpu" and (can("amx_bf16") or in_vectors)


def made_by_intel() -> bool:
    """The processor. MKL, which multiplies float32 for torch, has its fast ways for these alone."""
    return "Intel" in str(processor().get("cpu_name"))


def can(instructions: str) -> bool:
    """Whether the processor has these, by torch's name for them: amx_bf16, avx512_bf16, …"""
    return bool(processor().get(instructions))


@cache
def processor() -> Mapping[str, Any]:
    """What torch knows of it; nothing where torch is older than the question."""
    import torch

    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes(device: str = "cpu") -> int:
    """Memory of the device, or of the machine."""
    if device == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(0).total_memory)
    if sys.platform == "win32":
        return 8 << 30  # a guess: Windows has no sysconf, and the plan only warns
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def peak_memory() -> int:
    """The most bytes that this process has held in memory so far; 0 where the system does not say."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def language() -> Literal["en", "zh"]:
    """Of messages, report and card: NEWLEAF_LANG, else the locale."""
    named = os.environ.get("NEWLEAF_LANG") or os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "zh" if named.lower().startswith("zh") else "en"


def matmul_seconds(device: str, precision: Precision, products: int, side: int = 2048) -> list[float]:
    """Seconds of each of `products` square matrix products in the precision trained in."""
    import torch

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left = torch.ones(side, side, dtype=dtype, device=device)
    right, out = left.clone(), left.clone()
    seconds = []
    for index in range(products + 1):
        began = time.perf_counter()
        torch.mm(left, right, out=out)
        if device == "cuda":
            torch.cuda.synchronize()
        if index:  # the first one warms up
            seconds.append(time.perf_counter() - began)
    return seconds


def matmul_rate(seconds: list[float], side: int = 2048) -> float:
    """FLOP/s from the seconds of products of `side`: 2 side³ over the median."""
    return 2 * side**3 / statistics.median(seconds)


def fingerprint(threads: int, device: str, instruction_set: str) -> str:
    """What has to be the same for the same bits."""
    import torch

    return f"torch {torch.__version__} · {instruction_set} · {device} · {threads} threads · 1 process"


def measured(machine: Machine, products: int = 5) -> Machine:
    """The same machine with its matrix rate."""
    return replace(machine, matmul_flops_per_second=matmul_rate(matmul_seconds(machine.device, machine.precision, products)))


def faster(machine: Machine) -> Machine:
    """The same machine with the precision whose products are measured to be faster, by enough to pay for the rounding around them."""
    if machine.device != "cpu":
        return machine
    bf16, float32 = (statistics.median(matmul_seconds("cpu", precision, 3, 1024)) for precision in ("bf16", "float32"))
    return replace(machine, precision="bf16" if PAYS * bf16 < float32 else "float32")


PAYS = 1.4  # at 1 to 10 million parameters the rest of a bf16 step takes about 1.2 times as long as in float32 (lab/LOG.md 2026-11-24)
