"""A command of newleaf, run as a person runs it: what it prints, how long it takes from exec to exit, and its memory."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MEGABYTE = 2**20


def run(words: Sequence[object], log: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """(its JSON object, {seconds, peak_megabytes}); what it says on the way goes to the end of `log`. SystemExit where it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "newleaf", *map(str, words), "--json"], stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}: {log} says why")
    return json.loads(said), {"seconds": round(time.perf_counter() - began, 1), "peak_megabytes": round(usage.ru_maxrss * 1024 / MEGABYTE)}
