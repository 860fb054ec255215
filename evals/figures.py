"""Figures with their 95 % intervals: Wilson's for shares, a seeded bootstrap of cases for everything else."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Rows = NDArray[np.intp]
Units = NDArray[np.intp]
"""What is drawn at once, a line each: the rows of one case, padded with -1 where another case has more."""

ROUNDS = 1000
CALLED_ROUNDS = 400
"""Where every round is a call of scikit-learn, which takes a millisecond."""
SEED = 20_251
_HELD = 200_000


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value with its 95 % interval."""

    value: float
    low: float
    high: float
    count: int
    """How many cases it rests on."""
    unit: str = ""
    """``ms``, ``$``, or nothing for a bare number."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a figure is made of: rows, how they are drawn, and what is measured of those drawn.

    Repeats of a case are drawn together, because they are not independent of each other; where a statistic
    parts two kinds of cases, each kind is drawn by itself.
    """

    statistic: Callable[[Rows], float]
    strata: Sequence[Units]
    unit: str = ""
    count: int
    values: Numbers | None = None
    """The value of each row, where the statistic is their mean."""
    share: bool = False
    """Whether the values are noughts and ones."""
    rounds: int = CALLED_ROUNDS
    """Of the bootstrap, where each is a call of the statistic."""

    @property
    def value(self) -> float:
        """What is measured of all rows."""
        return self.statistic(self.rows)

    @property
    def rows(self) -> Rows:
        """All rows."""
        return _rows(self.strata)

    @property
    def repeated(self) -> bool:
        """Whether a case has more than one row."""
        return any(units.shape[1] > 1 for units in self.strata)

    def figure(self) -> Figure:
        """Measure, with the interval."""
        if self.share and (not self.repeated or self.value in (0, 1)):
            return _wilson(self)
        if self.values is not None:
            return self._told(*interval_of_mean(self.unit_means()))
        return self._told(*_interval(self))

    def unit_means(self) -> Numbers:
        """Return the mean of each case over its repeats; only of a sample with values."""
        assert self.values is not None
        held = [self.values[units[units >= 0]].mean() for stratum in self.strata for units in stratum]
        return np.asarray(held, np.float64)

    def _told(self, low: float, high: float) -> Figure:
        value = self.value
        # A skewed statistic can lie outside its own percentiles; the interval always holds the value.
        low, high = min(low, value), max(high, value)
        return Figure(value=value, low=low, high=high, count=self.count, unit=self.unit)


def unknown() -> Figure:
    """Return the figure of what no case tells; no gate holds for it."""
    return Figure(value=math.nan, low=math.nan, high=math.nan, count=0)


def units_of(keys: Sequence[Hashable] | None, rows: Sequence[int] | Rows) -> Units:
    """Group rows by the key of their case; without keys each row is a case of its own."""
    if keys is None:
        return np.asarray(rows, np.intp).reshape(-1, 1)
    groups: dict[Hashable, list[int]] = {}
    for row in rows:
        groups.setdefault(keys[row], []).append(int(row))
    width = max(map(len, groups.values()), default=1)
    return np.asarray([group + [-1] * (width - len(group)) for group in groups.values()], np.intp)


def strata_of(keys: Sequence[Hashable] | None, truth: NDArray[Any]) -> list[Units]:
    """Return the cases in which ``truth`` holds, then the others."""
    return [units_of(keys, np.flatnonzero(held)) for held in (truth, ~truth)]


def _rows(strata: Sequence[Units]) -> Rows:
    rows = np.concatenate([units.ravel() for units in strata])
    return rows[rows >= 0]


def _wilson(sample: Sample) -> Figure:
    from scipy.stats import binomtest

    assert sample.values is not None
    # Of repeats that all went alike no more is known than of as many cases.
    means = sample.unit_means()
    low, high = binomtest(round(float(means.sum())), len(means)).proportion_ci(method="wilson")
    return Figure(value=sample.value, low=float(low), high=float(high), count=sample.count)


def batch_of(count: int) -> int:
    """Return how many rounds to draw at once, so that many cases do not fill the memory."""
    return max(1, _HELD // max(1, count))


def interval_of_mean(values: Numbers) -> tuple[float, float]:
    """Bootstrap the interval of the mean of values that are independent of each other."""
    from scipy.stats import bootstrap

    if len(values) < 2 or np.ptp(values) == 0:
        return float(values.mean()), float(values.mean())
    draw = np.random.default_rng(SEED)
    found = bootstrap(
        (values,), np.mean, n_resamples=ROUNDS, batch=batch_of(len(values)), method="percentile", rng=draw
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _interval(sample: Sample) -> tuple[float, float]:
    from scipy.stats import bootstrap

    if min(map(len, sample.strata)) < 2:
        return sample.value, sample.value

    def measure(*drawn: Rows) -> float:
        chosen = [units[places] for units, places in zip(sample.strata, drawn, strict=True)]
        return sample.statistic(_rows(chosen))

    found = bootstrap(
        tuple(np.arange(len(units)) for units in sample.strata),
        measure,
        vectorized=False,
        n_resamples=sample.rounds,
        batch=batch_of(len(sample.rows)),
        method="percentile",
        rng=np.random.default_rng(SEED),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
