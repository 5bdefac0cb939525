"""Lines in, markdown out: the grids with their winners, every cell of the race, and the ratio that it is about."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean

from peers import ours
from peers.results import Cell, Line

Bits = dict[tuple[str, float], dict[str, list[float]]]  # (text, minutes) -> tool -> bits per byte of its runs


def race_table(lines: Mapping[Cell, Line], tools: Sequence[str]) -> Iterator[str]:
    """A row a text and budget, then the geometric mean and the worst cell, then the spread where a cell was run more than once."""
    bits: Bits = defaultdict(lambda: defaultdict(list))
    for cell, line in lines.items():
        if cell.part == "race":
            bits[cell.text, cell.minutes][cell.tool].append(line["bpb"])
    yield from heading("text", "minutes", *tools, "newleaf / best peer")
    ratios = {}
    for (text, minutes), found in sorted(bits.items(), key=lambda item: item[0][1]):
        peers = [fmean(found[tool]) for tool in tools if tool != ours.NAME and tool in found]
        if ours.NAME in found and peers:
            ratios[text, minutes] = fmean(found[ours.NAME]) / min(peers)
        shown = [f"{fmean(found[tool]):.4f}" if tool in found else "–" for tool in tools]
        yield row(text, f"{minutes:g}", *shown, f"{ratios[text, minutes]:.3f}" if (text, minutes) in ratios else "–")
    if ratios:
        (text, minutes), worst = max(ratios.items(), key=lambda item: item[1])
        mean = math.exp(fmean(map(math.log, ratios.values())))
        yield f"\nGeometric mean of {len(ratios)} cells {mean:.3f}; the worst is {worst:.3f} ({text}, {minutes:g} minutes)."
    yield from spread(bits, tools)
    yield from punctuality(lines, tools)


def punctuality(lines: Mapping[Cell, Line], tools: Sequence[str]) -> Iterator[str]:
    """How far from the budget the counted seconds of each tool were."""
    for tool in tools:
        off = [line["seconds"] / (60 * cell.minutes) - 1 for cell, line in lines.items() if (cell.part, cell.tool) == ("race", tool)]
        if off:
            yield f"\n{tool}: {min(off):+.1%} to {max(off):+.1%} of the budget, {len(off)} runs."


def spread(bits: Bits, tools: Sequence[str]) -> Iterator[str]:
    """Lowest and highest of the cells that were run more than once."""
    several = {key: found for key, found in bits.items() if any(len(runs) > 1 for runs in found.values())}
    if several:
        yield "\nLowest and highest of the runs of one cell:\n"
        yield from heading("text", "minutes", *tools)
    for (text, minutes), found in several.items():
        yield row(text, f"{minutes:g}", *(f"{min(found[tool]):.4f} to {max(found[tool]):.4f}" if tool in found else "–" for tool in tools))


def grid_table(lines: Mapping[Cell, Line]) -> Iterator[str]:
    """A row a setting, with the mean of the logarithms, by which the best one is chosen."""
    grid: dict[tuple[str, str, float], dict[str, Line]] = defaultdict(dict)
    for cell, line in lines.items():
        if cell.part == "grid":
            grid[cell.tool, cell.setting, cell.minutes][cell.text] = line
    texts = sorted({text for found in grid.values() for text in found})
    if grid:
        yield "\nThe grids:\n"
        yield from heading("tool", "setting", "minutes", "parameters", "tokens", *texts, "geometric mean")
    for (tool, setting, minutes), found in grid.items():
        mean = math.exp(fmean(math.log(line["bpb"]) for line in found.values()))
        figures = [f"{max(line[name] for line in found.values()):,}" for name in ("parameters", "tokens")]
        shown = [f"{found[text]['bpb']:.4f}" if text in found else "–" for text in texts]
        yield row(tool, setting, f"{minutes:g}", *figures, *shown, f"{mean:.4f}" if len(found) == len(texts) else "–")


def heading(*names: str) -> Iterator[str]:
    yield row(*names)
    yield row(*("---" for _ in names))


def row(*cells: str) -> str:
    """
    >>> row("text", "1.23")
    '| text | 1.23 |'
    """
    return f"| {' | '.join(cells)} |"


def show(parts: Iterable[str]) -> None:
    for part in parts:
        print(part)
