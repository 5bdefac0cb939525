"""Numbers in, SVG out, by hand: curves with readable axes and bars. No library, no network, no style attribute.

A curve of thousands of steps is drawn as a few hundred buckets: the mean as a line, the range as a shade. Each chart is drawn
twice, wide and narrow, and the page shows the one that fits: scaled text would be too small on a phone.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from newleaf.conversion.wording import Words, count
from newleaf.evaluation.report.markup import Html, bilingual, tag

MOST_BUCKETS = 240
DOT = 3
Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One curve: `points` are (x, y), x rising. `kind` is its class in the style sheet."""

    kind: str
    name: Words
    points: Sequence[Point]
    dots: bool = False  # each point is a measurement of its own
    digits: int = 2


@dataclass(frozen=True)
class Reference:
    """A horizontal line to compare with."""

    kind: str
    name: Words
    value: float


@dataclass(frozen=True)
class Bucket:
    """Neighbouring points as one."""

    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Frame:
    """Where the plot stands in the drawing and which values it spans."""

    width: int
    height: int
    x: tuple[float, float]
    y: tuple[float, float]
    left: int = 46
    right: int = 10
    top: int = 10
    bottom: int = 26

    def across(self, value: float) -> float:
        """The horizontal place of a value."""
        low, high = self.x
        return round(self.left + (value - low) / (high - low) * (self.width - self.left - self.right), 1)

    def up(self, value: float) -> float:
        """The vertical place of a value."""
        low, high = self.y
        return round(self.height - self.bottom - (value - low) / (high - low) * (self.height - self.top - self.bottom), 1)


def buckets(points: Sequence[Point], at_most: int = MOST_BUCKETS) -> list[Bucket]:
    """Points gathered into at most so many neighbours, none dropped.

    >>> buckets([(1, 4.0), (2, 2.0), (3, 1.0), (4, 1.0)], at_most=2)
    [Bucket(x=2, y=3.0, low=2.0, high=4.0), Bucket(x=4, y=1.0, low=1.0, high=1.0)]
    """
    each = max(1, math.ceil(len(points) / at_most))
    groups = [points[start : start + each] for start in range(0, len(points), each)]
    return [bucket(group) for group in groups]


def bucket(group: Sequence[Point]) -> Bucket:
    """One bucket, at the last x of its points."""
    values = [y for _, y in group]
    return Bucket(group[-1][0], sum(values) / len(values), min(values), max(values))


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from `low` to `high`.

    >>> ticks(0, 1234, 5), ticks(1.62, 2.31, 4)
    ([0, 250, 500, 750, 1000], [1.8, 2.0, 2.2])
    """
    rough = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    values = [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]
    return [int(value) if value == int(value) and step >= 1 else value for value in values]


def chart(title: Words, series: Sequence[Series], last: float, references: Sequence[Reference] = (), *, short: bool = False) -> Html:
    """A figure over the steps up to `last`: title and legend with the newest values, and the drawing; a `short` one begins at zero.

    Curves without points are left out.
    """
    shown = [one for one in series if one.points]
    drawn = [[bucket((point,)) for point in one.points] if one.dots else buckets(one.points) for one in shown]
    x = (0.0, max(1.0, last))
    y = vertical_span(drawn, [reference.value for reference in references], from_zero=short)
    references = [reference for reference in references if y[0] <= reference.value <= y[1]]
    sizes = ((720, 150 if short else 300, "wide"), (350, 130 if short else 240, "narrow"))
    drawings = [drawing(title, Frame(width, height, x, y), shown, drawn, references, kind) for width, height, kind in sizes]
    caption = tag("figcaption", tag("strong", title), legend(shown, references))
    return tag("figure", caption, drawings, class_="chart", data_hover=hover(shown, drawn, x))


def legend(series: Sequence[Series], references: Sequence[Reference]) -> Html:
    """The names of the lines with their last values; the script puts those under the pointer in their place."""
    step = tag("li", Words("step", "步"), " ", tag("b", count(max(one.points[-1][0] for one in series)), data_slot=True), class_="step")
    items = [tag("li", swatch(one.kind), one.name, " ", tag("b", value_of(one, one.points[-1][1]), data_slot=True)) for one in series]
    lines = [tag("li", swatch(one.kind), one.name, " ", f"{one.value:.2f}") for one in references]
    return tag("ul", step, items, lines, class_="legend")


def swatch(kind: str) -> Html:
    """A small square in the colour of a line or a bar."""
    return tag("i", class_=f"swatch {kind}")


def hover(series: Sequence[Series], drawn: Sequence[Sequence[Bucket]], x: tuple[float, float]) -> str:
    """Rows of (place across the plot from 0 to 1, step, value of each series), numbers only, for the script."""
    places = sorted({b.x for line in drawn for b in line})
    rows = []
    for place in places:
        values = [max((b for b in line if b.x <= place), key=lambda b: b.x, default=line[0]).y for line in drawn]
        rows.append([round((place - x[0]) / (x[1] - x[0]), 4), count(place), *map(value_of, series, values)])
    return json.dumps(rows, separators=(",", ":"))


def value_of(series: Series, value: float) -> str:
    """A value with the digits that mean something."""
    return f"{value:.{series.digits}f}" if series.digits else f"{value:.3g}"


def drawing(
    title: Words, frame: Frame, series: Sequence[Series], drawn: Sequence[Sequence[Bucket]], references: Sequence[Reference], kind: str
) -> Html:
    """One SVG: grid, reference lines, shades, lines, dots, and the cursor that the script moves."""
    lines = [curve(frame, one, line) for one, line in zip(series, drawn, strict=True)]
    edge, room = frame.left - DOT, (frame.width - frame.left - frame.right + 2 * DOT, frame.height - frame.top - frame.bottom + 2 * DOT)
    box = {"x": edge, "y": frame.top - DOT, "width": room[0], "height": room[1], "viewBox": f"{edge} {frame.top - DOT} {room[0]} {room[1]}"}
    cursor = tag("line", class_="cursor", x1=-9, x2=-9, y1=frame.top, y2=frame.height - frame.bottom)
    levels = [level(frame, one, above=index == 0) for index, one in enumerate(sorted(references, key=lambda one: -one.value))]
    return tag(
        "svg",
        tag("title", f"{title.en} · {title.zh}"),
        grid(frame),
        levels,
        tag("svg", lines, **box),  # clips the fall of the first steps
        cursor,
        viewBox=f"0 0 {frame.width} {frame.height}",
        class_=kind,
        role="img",
        data_left=frame.left,
        data_right=frame.width - frame.right,
    )


def grid(frame: Frame) -> list[Html]:
    """Horizontal lines with their values, and steps below."""
    edge, floor = frame.width - frame.right, frame.height - frame.bottom
    marks = []
    for value in ticks(*frame.y, about=max(2, frame.height // 60)):
        at = frame.up(value)
        marks.append(tag("line", class_="grid", x1=frame.left, x2=edge, y1=at, y2=at))
        marks.append(tag("text", f"{value:g}", class_="end", x=frame.left - 8, y=round(at + 4, 1)))
    for value in ticks(*frame.x, about=frame.width // 90):
        at = frame.across(value)
        anchor = "end" if at > edge - 12 else "middle"
        marks += [
            tag("line", class_="tick", x1=at, x2=at, y1=floor, y2=floor + 4),
            tag("text", f"{value:,g}", class_=anchor, x=at, y=floor + 18),
        ]
    return [*marks, tag("line", class_="axis", x1=frame.left, x2=edge, y1=floor, y2=floor)]


def level(frame: Frame, reference: Reference, above: bool) -> list[Html]:
    """A reference line with its name at the right, on the side where another line is not in the way."""
    at, edge = frame.up(reference.value), frame.width - frame.right
    line = tag("line", class_=f"level {reference.kind}", x1=frame.left, x2=edge, y1=at, y2=at)
    return [line, tag("text", bilingual(reference.name, "tspan"), class_="end name", x=edge, y=round(at - 5 if above else at + 14, 1))]


def curve(frame: Frame, series: Series, line: Sequence[Bucket]) -> list[Html]:
    """Shade, line and, for measurements of their own, dots."""
    parts = []
    if any(b.low < b.high for b in line):
        around = [(b.x, b.high) for b in line] + [(b.x, b.low) for b in reversed(line)]
        parts.append(tag("path", class_=f"shade {series.kind}", d=path(frame, around) + "Z"))
    if len(line) > 1:
        parts.append(tag("path", class_=f"line {series.kind}", d=path(frame, [(b.x, b.y) for b in line])))
    if series.dots or len(line) == 1:
        radius = DOT if len(line) <= 60 else DOT / 2
        parts += [tag("circle", class_=f"dot {series.kind}", cx=frame.across(b.x), cy=frame.up(b.y), r=radius) for b in line]
    return parts


def path(frame: Frame, points: Sequence[Point]) -> str:
    """The d of a path through the points."""
    return "M" + "L".join(f"{frame.across(x):g} {frame.up(y):g}" for x, y in points)


def span(values: Sequence[float]) -> tuple[float, float]:
    """The lowest and the highest value with some room around them; never empty."""
    low, high = min(values), max(values)
    room = (high - low) * 0.05 or max(abs(high) * 0.1, 1e-9)
    return low - room, high + room


def vertical_span(drawn: Sequence[Sequence[Bucket]], references: Sequence[float], from_zero: bool) -> tuple[float, float]:
    """What the vertical axis shows: everything but the fall of the first twentieth, which would flatten the rest."""
    settled = [b for line in drawn for b in (line[len(line) // 20 :] if len(line) >= 40 else line)]
    low, high = span([value for b in settled for value in (b.low, b.high)])
    near = [value for value in references if low - (high - low) <= value <= high + (high - low)]  # others would flatten the curve
    room = (high - low) * 0.1  # for the names of the lines
    low, high = min([low, *(value - room for value in near)]), max([high, *(value + room for value in near)])
    return (0.0, high) if from_zero else (low, high)


def bar(value: float, whole: float, kind: str = "") -> Html:
    """A horizontal bar that fills `value / whole` of its box."""
    share = round(100 * min(1.0, max(0.0, value / whole)), 2) if whole else 0
    return stacked([(share, kind)])


def stacked(parts: Sequence[tuple[float, str]], whole: float = 100) -> Html:
    """Bars one after the other in one box: (value, class) each."""
    drawn, at = [], 0.0
    for value, kind in parts:
        drawn.append(tag("rect", class_=kind, x=round(at, 3), y=0, width=round(100 * value / whole, 3), height=1))
        at += 100 * value / whole
    return tag("svg", drawn, class_="bar", viewBox="0 0 100 1", preserveAspectRatio="none", aria_hidden="true")
