"""The kinds of plots, as a template draws them: numbers turned into places in a drawing of fixed width."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

from evals.page.curves import Point

SPACE = "\N{NO-BREAK SPACE}"
"""Between a number and its unit."""
WIDTH = 440
"""Of every drawing, in its own units; a phone shows it a little smaller than a desk does."""
LEFT, RIGHT, TOP, BOTTOM = 56, 428, 14, 264
Style = Literal["own", "peer", "other", "guide"]


class Tick(NamedTuple):
    """A value that is written at an axis."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """What a plot shows, in numbers, for those who would rather read or can't see it."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Values along one edge of a drawing."""

    label: str
    low: float = 0.0
    high: float = 1.0
    ticks: Sequence[Tick]
    log: bool = False

    def share(self, value: float) -> float:
        """Return how far along the axis a value lies, from 0 to 1."""
        low, high, at = (math.log(each) if self.log else each for each in (self.low, self.high, value))
        return min(1.0, max(0.0, (at - low) / (high - low))) if high > low else 0.5


@dataclass(frozen=True, kw_only=True)
class Whisker:
    """A point with its interval, drawn as large as it has cases."""

    point: Point
    low: float
    high: float
    size: float
    told: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """One curve."""

    name: str
    points: Sequence[Point]
    style: Style = "own"
    whiskers: Sequence[Whisker] = ()


@dataclass(frozen=True, kw_only=True)
class Plot:
    """What every plot has."""

    kind: ClassVar[str]
    id: str
    title: str
    told: str
    """What it shows, in a sentence or two: the caption, and all that a screen reader says of the drawing."""
    table: Table


@dataclass(frozen=True, kw_only=True)
class Curves(Plot):
    """Curves over two axes."""

    kind: ClassVar[str] = "curves"
    x: Axis
    y: Axis
    lines: Sequence[Line]
    height: int = 318

    def px(self, value: float) -> float:
        """Return where a value lies from left to right."""
        return round(LEFT + self.x.share(value) * (RIGHT - LEFT), 1)

    def py(self, value: float) -> float:
        """Return where a value lies from top to bottom."""
        return round(BOTTOM - self.y.share(value) * (BOTTOM - TOP), 1)

    def path(self, points: Sequence[Point]) -> str:
        """Return a curve through points."""
        return "M" + "L".join(f"{self.px(point.x):g} {self.py(point.y):g}" for point in points)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One column of a histogram."""

    low: float
    high: float
    count: int
    told: str


@dataclass(frozen=True, kw_only=True)
class Histogram(Curves):
    """Columns over two axes, with lines at values worth knowing."""

    kind: ClassVar[str] = "histogram"
    lines: Sequence[Line] = ()
    blocks: Sequence[Block]
    marks: Sequence[Tick]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar, with its interval."""

    name: str
    value: float
    low: float
    high: float
    text: str
    told: str


@dataclass(frozen=True, kw_only=True)
class Bars(Plot):
    """Bars, one below the other."""

    kind: ClassVar[str] = "bars"
    axis: Axis
    bars: Sequence[Bar]
    reference: Tick | None = None
    """The same over all cases."""
    STEP: ClassVar[int] = 28
    FROM: ClassVar[int] = 152
    TO: ClassVar[int] = 356

    @property
    def height(self) -> int:
        """How high the drawing is."""
        return self.STEP * len(self.bars) + 34

    def px(self, value: float) -> float:
        """Return where a value lies from left to right."""
        return round(self.FROM + self.axis.share(value) * (self.TO - self.FROM), 1)


@dataclass(frozen=True, kw_only=True)
class Cell:
    """How often one thing was told for another."""

    row: int
    column: int
    count: int
    strength: float
    """How dark it is, from 0 to 1."""
    right: bool
    told: str


@dataclass(frozen=True, kw_only=True)
class Matrix(Plot):
    """A grid of what was expected, a row each, and what was told, a column each."""

    kind: ClassVar[str] = "matrix"
    labels: Sequence[str]
    cells: Sequence[Cell]
    FROM: ClassVar[int] = 164
    HEAD: ClassVar[int] = 46
    linked: bool = field(default=True)
    """Whether a cell leads to its cases."""

    @property
    def numbered(self) -> bool:
        """Whether columns have numbers instead of names."""
        return len(self.labels) > 3

    @property
    def step(self) -> float:
        """How wide a cell is."""
        return round(min((WIDTH - 8 - self.FROM) / len(self.labels), 88), 2)

    @property
    def tall(self) -> float:
        """How high a cell is."""
        return min(max(self.step, 25), 44)

    @property
    def height(self) -> float:
        """How high the drawing is."""
        return self.HEAD + self.tall * len(self.labels) + 8


def shares(label: str) -> Axis:
    """Return an axis from 0 to 100 %."""
    return Axis(label=label, ticks=[Tick(each / 4, f"{25 * each}{SPACE}%") for each in range(5)])


def rising(label: str, high: float, text: Callable[[float], str]) -> Axis:
    """Return an axis from 0 to a little above a value, with round steps."""
    step = round_step(high)
    top = max(1, math.ceil(high / step - 1e-9))
    ticks = [Tick(step * each, text(step * each)) for each in range(top + 1)]
    return Axis(label=label, high=step * top, ticks=ticks)


def round_step(high: float) -> float:
    """Return a round step of which four to six make up a value."""
    rough = max(high, 1e-9) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= rough * (1 - 1e-9)))


def growing(label: str, low: float, high: float, text: Callable[[float], str]) -> Axis:
    """Return an axis on which equal steps are equal factors, with round values."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [step * 10.0**power for power in powers for step in (1, 2, 5)]
    inside = [each for each in found if low <= each <= high]
    while len(inside) > 5:
        inside = inside[::2] if len(inside) < 11 else inside[::3]
    return Axis(
        label=label, low=low, high=high, log=True, ticks=[Tick(each, text(each)) for each in inside or [low]]
    )
