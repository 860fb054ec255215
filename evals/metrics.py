"""Figures with their 95 % intervals: Wilson's for shares, a seeded bootstrap for everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Rows = NDArray[np.intp]

ROUNDS = 1000
_Z = 1.959963984540054
_SEED = 20_251


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value with its 95 % interval."""

    value: float
    low: float
    high: float
    count: int
    """How many cases it rests on."""
    unit: str = ""
    """``ms``, or nothing for a number from 0 to 1."""


def share(hits: int, count: int) -> Figure:
    """Return a proportion with Wilson's score interval (Wilson, JASA 22, 1927)."""
    value = hits / count
    spread = _Z**2 / count
    middle = (value + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * float(np.sqrt(value * (1 - value) / count + spread / (4 * count)))
    return Figure(value=value, low=max(0.0, middle - half), high=min(1.0, middle + half), count=count)


def mean(values: Sequence[float]) -> Figure:
    """Return a mean."""
    held = np.asarray(values, np.float64)
    return _figure(lambda rows: float(held[rows].mean()), [np.arange(len(held))])


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> Figure:
    """Return the area under the ROC curve: how often a positive case scores above a negative one.

    Ties count half. Positives and negatives are drawn apart in the bootstrap; needs at least one of each.
    """
    from scipy.stats import rankdata

    held, truth = np.asarray(scores, np.float64), np.asarray(positive, bool)
    first, others = np.flatnonzero(truth), np.flatnonzero(~truth)

    def area(rows: Rows) -> float:
        above = rankdata(held[rows])[: len(first)].sum() - len(first) * (len(first) + 1) / 2
        return float(above / (len(first) * len(others)))

    return _figure(area, [first, others])


def macro_f1(truth: Sequence[str], told: Sequence[str]) -> Figure:
    """Return F1 averaged over the labels that occur in ``truth``."""
    labels, numbers = np.unique([*truth, *told], return_inverse=True)
    wanted, given = numbers[: len(truth)], numbers[len(truth) :]

    def score(rows: Rows) -> float:
        support = np.bincount(wanted[rows], minlength=len(labels))
        guessed = np.bincount(given[rows], minlength=len(labels))
        hits = np.bincount(wanted[rows][wanted[rows] == given[rows]], minlength=len(labels))
        held = support > 0
        return float(np.mean(2 * hits[held] / (support[held] + guessed[held])))

    return _figure(score, [np.arange(len(truth))])


def percentile(values: Sequence[float], percent: float) -> Figure:
    """Return a percentile of latencies in milliseconds."""
    held = np.asarray(values, np.float64)
    return _figure(lambda rows: float(np.percentile(held[rows], percent)), [np.arange(len(held))], unit="ms")


def _figure(statistic: Callable[[Rows], float], strata: Sequence[Rows], *, unit: str = "") -> Figure:
    """Measure ``statistic`` and bootstrap its interval, drawing with replacement inside each stratum."""
    value = statistic(np.concatenate(strata))
    draw = np.random.default_rng(_SEED)
    drawn = [
        statistic(np.concatenate([rows[draw.integers(0, len(rows), len(rows))] for rows in strata]))
        for _ in range(ROUNDS)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    # A skewed statistic can lie outside its own percentiles; the interval always holds the value.
    low, high = min(float(low), value), max(float(high), value)
    return Figure(value=value, low=low, high=high, count=sum(map(len, strata)), unit=unit)
