"""One JSON line a run, appended when it is scored: what is done already, which setting of a peer is its best."""

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from newleaf.runtime import available_cores
from peers.settings import Setting
from peers.texts import RaceError

Line = Mapping[str, Any]
GRID_MINUTES = 3.0  # a setting is chosen by its runs of this length


@dataclass(frozen=True)
class Cell:
    """What identifies a run."""

    part: Literal["grid", "race"]
    tool: str
    setting: str  # of peers.toml; newleaf has none but its defaults
    text: str
    minutes: float
    repeat: int = 0

    @property
    def name(self) -> str:
        return f"{self.part}-{self.tool}-{self.setting}-{self.text}-{self.minutes:g}-{self.repeat}"


def read(path: Path) -> dict[Cell, Line]:
    """All lines of the file, {} where there is none."""
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    return {Cell(*(line[field] for field in Cell.__dataclass_fields__)): line for line in lines}


def append(path: Path, cell: Cell, figures: Line) -> Line:
    """Write the line of a run, with what it ran on."""
    line = {**asdict(cell), **figures, "threads": available_cores(), **machine()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    return line


def machine() -> dict[str, str]:
    """Processor and versions."""
    return {"cpu": processor(), "python": platform.python_version()} | {
        name: version(name) for name in ("torch", "newleaf", "transformers") if find_spec(name)
    }


def processor() -> str:
    """Its name and, as one name may stand for several, its family and model and whether it multiplies in bfloat16."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    rows = [line.partition(":") for line in info.read_text().splitlines()]
    said = {name.strip(): value.strip() for name, _, value in reversed(rows)}
    bf16 = [flag for flag in ("amx_bf16", "avx512_bf16") if flag in said.get("flags", "").split()]
    return f"{said.get('model name')}, family {said.get('cpu family')}, model {said.get('model')}, {bf16[0] if bf16 else 'no bf16'}"


def best_setting(lines: Mapping[Cell, Line], settings: Sequence[Setting], texts: Sequence[str]) -> Setting:
    """The lowest mean of log bits per byte over the texts of the grid, the peer's own recipe among them."""
    runs = [
        (cell, line) for cell, line in lines.items() if (cell.part, cell.tool, cell.minutes) == ("grid", settings[0].tool, GRID_MINUTES)
    ]
    grid = {(cell.setting, cell.text): math.log(line["bpb"]) for cell, line in runs}
    missing = [f"{setting.name} on {text}" for setting in settings for text in texts if (setting.name, text) not in grid]
    if missing:
        raise RaceError(f"The grid of {settings[0].tool} lacks {', '.join(missing)}: race.py grid first, or name a setting with --setting.")
    return min(settings, key=lambda setting: sum(grid[setting.name, text] for text in texts))
