"""How long the command line takes to answer. One JSON line a command: medians of whole processes, in seconds.

python lab/bench/startup.py [-n 9]
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

COMMANDS = (["--help"], ["plan", "--help"], ["train", "missing.txt"])


def seconds(arguments: list[str]) -> float:
    """Of one process, from its start to its end."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-n", type=int, default=9)
    runs = parser.parse_args().n
    times: dict[str, list[float]] = {" ".join(command): [] for command in COMMANDS} | {"python alone": []}
    for _ in range(runs):  # interleaved: the machine is shared
        for command in COMMANDS:
            times[" ".join(command)].append(seconds(["-m", "newleaf", *command]))
        times["python alone"].append(seconds(["-c", "pass"]))
    for name, values in times.items():
        print(
            json.dumps(
                {
                    "command": name,
                    "median": round(statistics.median(values), 3),
                    "min": round(min(values), 3),
                    "max": round(max(values), 3),
                    "n": runs,
                }
            )
        )


if __name__ == "__main__":
    main()
