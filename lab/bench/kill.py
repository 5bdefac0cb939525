"""kill -9 a training run at drawn moments, inside saves too, resume it each time, and compare with the run that was never stopped.

    python lab/bench/kill.py -n 100              forks of a process that has imported torch: 0.5 s a kill
    python lab/bench/kill.py -n 20 --processes   real processes: 3 s a kill
    python lab/bench/kill.py -n 1 --seed 1234    the run of that seed again

One JSON line: {n, runs, inside_a_save, failures, seeds: [first, last], seconds}; a failure names its seed. Exit 1 if there is one.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from reliability.harness import laboratory
from reliability.killing import kill_until, working_seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=100, help="how many kills")
    parser.add_argument("--seed", type=int, default=0, help="of the first run; the next ones count on from it")
    parser.add_argument("--processes", action="store_true", help="real processes instead of forks")
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, laboratory(Path(folder)) as lab:
        starter = lab.processes if arguments.processes else lab.server
        report = kill_until(lab, starter, arguments.n, arguments.seed, working_seconds(lab, starter))
    figures = {"n": report.kills, "runs": report.runs, "inside_a_save": report.inside_a_save, "failures": report.failures}
    seeds = [report.seeds[0], report.seeds[-1]]
    print(json.dumps({"bench": "kill"} | figures | {"seeds": seeds, "seconds": round(time.monotonic() - began, 1)}))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
