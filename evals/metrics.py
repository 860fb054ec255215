"""Figures with their 95 % intervals: Wilson's for shares, a seeded bootstrap for everything else."""

from __future__ import annotations

import math
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


def recall_at(scores: Sequence[float], positive: Sequence[bool], false_alarms: float) -> Figure:
    """Return the share of positives above the threshold at which that share of the negatives is.

    The threshold is found anew in each round of the bootstrap, so the interval holds its doubt too.
    """
    held, truth = np.asarray(scores, np.float64), np.asarray(positive, bool)
    first, others = np.flatnonzero(truth), np.flatnonzero(~truth)
    allowed = int(false_alarms * len(others))

    def recalled(rows: Rows) -> float:
        negatives = np.sort(held[rows[len(first) :]])
        return float((held[rows[: len(first)]] > negatives[-1 - allowed]).mean())

    return _figure(recalled, [first, others])


def balanced_accuracy(told: Sequence[bool], truth: Sequence[bool]) -> Figure:
    """Return the mean of the shares of positives and of negatives that were told right."""
    right, wanted = np.asarray(told, bool) == np.asarray(truth, bool), np.asarray(truth, bool)
    first, others = np.flatnonzero(wanted), np.flatnonzero(~wanted)

    def score(rows: Rows) -> float:
        return float(right[rows[: len(first)]].mean() + right[rows[len(first) :]].mean()) / 2

    return _figure(score, [first, others])


def calibration_error(scores: Sequence[float], positive: Sequence[bool], bins: int = 10) -> Figure:
    """Return the expected calibration error: how far probabilities are from shares, over bins of equal width.

    After Naeini, Cooper and Hauskrecht, AAAI 2015. It is biased upward where cases are few.
    """
    held, truth = np.asarray(scores, np.float64), np.asarray(positive, np.float64)
    places = np.minimum((held * bins).astype(np.intp), bins - 1)

    def error(rows: Rows) -> float:
        told = np.bincount(places[rows], held[rows], bins)
        found = np.bincount(places[rows], truth[rows], bins)
        return float(np.abs(told - found).sum() / len(rows))

    return _figure(error, [np.arange(len(held))])


def of_sums(statistic: Callable[[Numbers], float], counts: NDArray[np.float64], count: int) -> Figure:
    """Return a figure of sums over texts, one row of ``counts`` each; ``count`` is how many things it rests on.

    Texts are drawn, not the things in them, which are not independent of each other.
    """
    figure = _figure(lambda rows: statistic(counts[rows].sum(axis=0)), [np.arange(len(counts))])
    return Figure(value=figure.value, low=figure.low, high=figure.high, count=count)


def unknown() -> Figure:
    """Return the figure of what no case tells; no gate holds for it."""
    return Figure(value=math.nan, low=math.nan, high=math.nan, count=0)


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
