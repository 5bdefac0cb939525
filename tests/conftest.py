"""What many tests share: quiet threads, and one tiny trained run."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from texts import text

from newleaf import runtime

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests share the machine with each other; before torch is imported
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # as of what a shell starts in the background: the processes of the tests would ignore it, too
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["HF_HUB_OFFLINE"] = "1"  # no test needs a network, so none may wait for one
os.environ["NEWLEAF_LANG"] = "en"  # sentences are compared in English, whatever the locale of whoever runs the tests

hypothesis.settings.register_profile("shared", deadline=None)  # how long an example takes says more of the machine than of newleaf
hypothesis.settings.load_profile("shared")

TINY = "--steps 8 --model.width 64 --model.depth 1 --model.context 32 --train.batch_tokens 64 --train.threads 1 --train.precision float32"
SIDE = 256  # of the matrices by whose products the machine's rate is measured: with those of 2048 that takes longer than a tiny run


@pytest.fixture(scope="session", autouse=True)
def small_products() -> Iterator[None]:
    """In this process; others that a test starts measure as they always do."""
    measure = runtime.matmul_seconds

    def scaled(device: str, precision: runtime.Precision, products: int, side: int = 2048) -> list[float]:
        return [seconds * (side / SIDE) ** 3 for seconds in measure(device, precision, products, SIDE)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "matmul_seconds", scaled)
        yield


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests that change it copy it first."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "text.txt").write_text(text(200), "utf-8")
    from newleaf.cli.main import run

    assert run(["train", str(folder / "text.txt"), "--out", str(folder / "run"), *TINY.split()]) == 0
    return folder / "run"
