"""newleaf beside nanoGPT, nanochat and transformers at equal time: bits per byte of held-out text. One JSON line a run, then a table.

    python lab/bench/race.py grid --nanogpt PATH --nanochat PATH
    python lab/bench/race.py run --nanogpt PATH --nanochat PATH
    python lab/bench/race.py table

`grid` gives each peer's own recipe and six other settings (peers.toml) 3 minutes on two texts. `run` takes the best of each for 1 minute
three times, 3 and 10 once, on four texts, then on two of them newleaf and the peer that was best at 10 for 30.

Texts come from NEWLEAF_DATA. PATH is a checkout; nothing is written there. The peers need requests, accelerate, pyarrow, rustbpe, wandb and
pyyaml where this runs. A run whose line is in the results is skipped, so that a race that was stopped goes on. One run at a time, the tools
taking turns. newleaf pays for everything from exec to exit; of the peers the training loop alone counts (peers/clock.py).
`--only` takes tools, texts, settings and minutes: `--only nanogpt tinyshakespeare 1`.
"""

import argparse
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peers import clock, ours, results, table
from peers.llama import Llama
from peers.nanochat import NanoChat
from peers.nanogpt import NanoGPT
from peers.results import Cell, Line
from peers.scoring import bits_per_byte
from peers.settings import Setting, read_settings
from peers.texts import PAIR, TEXTS, RaceError, data_folder, prepared
from peers.tool import Peer, emptied

RESULTS = Path(__file__).parent.parent / "results" / "race.jsonl"
PEERS = ("nanogpt", "nanochat", "transformers")
TOOLS = (ours.NAME, *PEERS)
REPEATS, LONG, BEFORE = {1.0: 3}, 30.0, 10.0  # runs of a budget; the budget of two tools alone, and where the peer for it is chosen


class Race:
    """The lines so far, and what is needed for the next one."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.results, self.work = arguments.results, arguments.work.resolve()
        self.lines, self.settings = results.read(self.results), read_settings()
        self.only, self.named = set(arguments.only), dict(arguments.setting)
        adaptors = NanoGPT(arguments.nanogpt, self.work), NanoChat(arguments.nanochat, self.work), Llama(self.work)
        self.peers: dict[str, Peer] = {peer.name: peer for peer in adaptors}

    def wanted(self, cell: Cell) -> bool:
        """Whether --only lets it through: in every kind of word that it names, one must fit."""
        kinds = (TOOLS, cell.tool), (TEXTS, cell.text), (self.setting_names, cell.setting)
        minutes = {float(word) for word in self.only if is_number(word)}
        return all(value in self.only for kind, value in kinds if value and self.only & set(kind)) and (
            not minutes or cell.minutes in minutes
        )

    @property
    def setting_names(self) -> set[str]:
        return {setting.name for settings in self.settings.values() for setting in settings}

    def require(self) -> None:
        """RaceError, before hours of work, for what --only lets through and is not there."""
        data_folder()
        known = {*TOOLS, *TEXTS, *self.setting_names}
        if unknown := [word for word in self.only if word not in known and not is_number(word)]:
            raise RaceError(f"--only {unknown[0]} is no tool, text or setting: {', '.join((*TOOLS, *TEXTS))}, or a name in peers.toml.")
        for tool in self.only & set(PEERS) or (set() if ours.NAME in self.only else PEERS):
            self.peers[tool].require()

    def chosen(self, tool: str) -> Setting:
        """What a peer runs with: as named, else the best of its grid."""
        found = [setting for setting in self.settings[tool] if setting.name == self.named.get(tool)]
        if tool in self.named and not found:
            raise RaceError(f"peers.toml has no {tool}.{self.named[tool]}: {', '.join(s.name for s in self.settings[tool])}.")
        return found[0] if found else results.best_setting(self.lines, self.settings[tool], PAIR)

    def cell(self, tool: str, text: str, minutes: float, repeat: int) -> Cell:
        return Cell("race", tool, "default" if tool == ours.NAME else self.chosen(tool).name, text, minutes, repeat)

    def run(self, cell: Cell) -> None:
        """One training, its score and its line, if it is not there."""
        if cell in self.lines or not self.wanted(cell):
            return
        try:
            figures = self.run_ours(cell) if cell.tool == ours.NAME else self.run_peer(cell)
        except clock.Unsteady as missed:
            print(missed, file=sys.stderr, flush=True)
            return
        self.lines[cell] = results.append(self.results, cell, figures)
        print(json.dumps(self.lines[cell]), flush=True)

    def run_ours(self, cell: Cell) -> Line:
        text, out = prepared(cell.text, self.work), emptied(self.work / "runs" / cell.name)
        summary, seconds = ours.train(text, cell.minutes, out, cell.repeat, clock.log_of(out))
        trained = ours.trained(text, out)
        took = {"seconds": round(seconds, 2), "wall_seconds": round(seconds, 2), "attempts": 1, "iterations": summary["steps"]}
        whole = summary["val_bytes"] == text.num_bytes  # a short budget allows its own figure only a part of the text
        size = {"parameters": trained.parameters, "tokens": summary["tokens_trained"], "own_bpb": summary["val_bpb"] if whole else None}
        return {"bpb": bits_per_byte(trained, text.num_bytes), **took, **size}

    def run_peer(self, cell: Cell) -> Line:
        text, out, peer = prepared(cell.text, self.work), self.work / "runs" / cell.name, self.peers[cell.tool]
        setting = next(setting for setting in self.settings[cell.tool] if setting.name == cell.setting)
        data = peer.prepare(text, setting, self.work / "data" / cell.tool)
        tolerance = clock.GRID if cell.part == "grid" else clock.RACE
        timing = clock.within(60 * cell.minutes, tolerance, peer, data, setting, out, cell.repeat)
        trained = peer.trained(data, setting, out)
        took = {"seconds": round(timing.seconds, 2), "wall_seconds": round(timing.wall_seconds, 2), "attempts": timing.attempts}
        size = {"iterations": timing.iterations, "parameters": trained.parameters, "tokens": timing.iterations * peer.tokens(setting)}
        return {"bpb": bits_per_byte(trained, text.num_bytes), **took, **size}


def grid_cells(race: Race, texts: list[str], minutes: float) -> Iterator[Cell]:
    """Every setting of every peer, the peers taking turns."""
    for text in texts:
        for place in range(max(map(len, race.settings.values()))):
            for tool in PEERS:
                for setting in race.settings[tool][place : place + 1]:
                    yield Cell("grid", tool, setting.name, text, minutes)


def race_cells(race: Race, texts: list[str], budgets: list[float]) -> Iterator[Cell]:
    """Short budgets first; text by text the tools take turns. Of the long one, newleaf and the peer that was best before."""
    for minutes in budgets:
        for repeat in range(REPEATS.get(minutes, 1)):
            for text in texts if minutes != LONG else [text for text in texts if text in PAIR]:
                for tool in tools(race, text, minutes):
                    yield race.cell(tool, text, minutes, repeat)


def tools(race: Race, text: str, minutes: float) -> Iterator[str]:
    """Those that --only lets through; of the peers in half an hour the one that was best before."""
    wanted = [tool for tool in TOOLS if race.wanted(Cell("race", tool, "", text, minutes))]
    yield from (tool for tool in wanted if tool == ours.NAME or minutes != LONG)
    if minutes == LONG and wanted not in ([], [ours.NAME]) and (best := best_before(race, text)) in wanted:
        yield best


def best_before(race: Race, text: str) -> str:
    """The peer with the fewest bits of a text in ten minutes."""
    found = {cell.tool: line["bpb"] for cell, line in race.lines.items() if (cell.part, cell.text, cell.minutes) == ("race", text, BEFORE)}
    if missing := [tool for tool in PEERS if tool not in found]:
        raise RaceError(f"{LONG:g} minutes are for the best peer at {BEFORE:g}, which {text} lacks of {', '.join(missing)}.")
    return min(PEERS, key=lambda tool: found[tool])


def is_number(word: str) -> bool:
    return word.replace(".", "", 1).isdigit()


def pair(word: str) -> tuple[str, str]:
    """Of --setting."""
    tool, equals, name = word.partition("=")
    if tool not in PEERS or not equals:
        raise argparse.ArgumentTypeError(f"{word} is not one of {', '.join(f'{peer}=NAME' for peer in PEERS)}")
    return tool, name


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    shared: dict[str, dict[str, Any]] = {
        "--results": {"type": Path, "default": RESULTS},
        "--work": {"type": Path, "default": Path("build/race"), "help": "where texts, runs and logs are kept"},
        "--nanogpt": {"type": Path, "help": "a checkout of nanoGPT"},
        "--nanochat": {"type": Path, "help": "a checkout of nanochat"},
        "--only": {"nargs": "+", "default": [], "help": "tools, texts, settings, minutes"},
        "--setting": {"nargs": "+", "default": [], "type": pair, "metavar": "TOOL=NAME", "help": "instead of the best of the grid"},
    }
    grid, run, shown = verbs.add_parser("grid"), verbs.add_parser("run"), verbs.add_parser("table")
    for verb in (grid, run, shown):
        for name, words in shared.items():
            verb.add_argument(name, **words)
    grid.add_argument("--minutes", type=float, default=results.GRID_MINUTES)
    grid.add_argument("--texts", nargs="+", choices=list(TEXTS), default=list(PAIR))
    run.add_argument("--minutes", type=float, nargs="+", default=[1.0, 3.0, BEFORE, LONG])
    run.add_argument("--texts", nargs="+", choices=list(TEXTS), default=list(TEXTS))
    return parser.parse_args()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a peer ends with the race
    arguments = parsed()
    race = Race(arguments)
    if arguments.verb == "table":
        return table.show((*table.race_table(race.lines, TOOLS), *table.grid_table(race.lines)))
    race.require()
    make = grid_cells if arguments.verb == "grid" else race_cells
    for cell in make(race, arguments.texts, arguments.minutes):
        race.run(cell)
    return None


if __name__ == "__main__":
    try:
        main()
    except RaceError as error:
        sys.exit(str(error))
