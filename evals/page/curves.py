"""What the plots of a run are made of: points of curves, counts of confusions and of times."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evals import ranking
from evals.figures import Numbers
from evals.rows import Label, Plain, Row

POINTS = 200
"""As many points as a curve needs to look smooth."""
BINS = 10
DEPTH = 20
SHOWN_LABELS = 12
COLUMNS = 24


class Point(NamedTuple):
    """A point of a curve."""

    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Roc:
    """How many of each kind lie above a threshold, at all thresholds."""

    points: list[Point]
    area: float

    def at(self, x: float) -> float:
        """Return the highest share of positives for at most this share of the others."""
        return max((point.y for point in self.points if point.x <= x), default=0.0)


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Cases with about the same confidence."""

    low: float
    confidence: float
    """The mean of them."""
    right: float
    """The share that was right."""
    interval: tuple[float, float]
    count: int


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How often each label was told for each other one, over the labels that are confused most."""

    labels: list[Plain]
    counts: list[list[int]]
    """A row for what was expected, a column for what was told."""
    pairs: list[tuple[Label, int]]
    """All confusions, the most frequent first."""
    expected: Mapping[Plain, int]
    """How often each label was expected."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """How many values lie in a range."""

    low: float
    high: float
    count: int


def roc(scores: Sequence[float], truth: Sequence[float]) -> Roc | None:
    """Return the curve, or None where all cases are of one kind."""
    from sklearn.metrics import auc, roc_curve

    if len({bool(each) for each in truth}) < 2:
        return None
    x, y, _ = roc_curve(np.asarray(truth, bool), np.asarray(scores, float))
    area = float(auc(x, y))
    # Both rise, so their sum parts the curve into steps of about equal length.
    kept = np.unique(np.searchsorted(x + y, np.linspace(0, 2, POINTS + 1)).clip(0, len(x) - 1))
    return Roc(points=_points(x[kept], y[kept]), area=area)


def calibration(scores: Sequence[float], truth: Sequence[float]) -> list[Bin]:
    """Put cases into bins of equal width; empty bins are left out."""
    from scipy.stats import binomtest

    held, right = np.asarray(scores, float), np.asarray(truth, float)
    places = np.minimum((held * BINS).astype(int), BINS - 1)
    found = []
    for place in range(BINS):
        chosen = places == place
        count, hits = int(chosen.sum()), round(float(right[chosen].sum()))
        if count:
            low, high = binomtest(hits, count).proportion_ci(method="wilson")
            mean, interval = float(held[chosen].mean()), (float(low), float(high))
            found.append(
                Bin(low=place / BINS, confidence=mean, right=hits / count, interval=interval, count=count)
            )
    return found


def risk_coverage(scores: Sequence[float], right: Sequence[float]) -> list[Point]:
    """Return the share of mistakes among the surest cases, by how many of all these are."""
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    wrong = 1 - np.asarray(right, float)[order]
    depth = np.arange(1, len(wrong) + 1)
    kept = np.unique(np.linspace(0, len(wrong) - 1, POINTS).round().astype(int))
    return _points((depth / len(wrong))[kept], (np.cumsum(wrong) / depth)[kept])


def best_risk(wrong: float) -> list[Point]:
    """Return the curve of one who is always less sure of a mistake than of anything right."""
    right = 1 - wrong
    xs = np.linspace(right, 1, 20) if wrong else np.asarray([1.0])
    ys = (xs - right) / xs
    return [Point(0.0, 0.0), *_points(xs, ys)] if right else [Point(0.0, 1.0), Point(1.0, 1.0)]


def confusion(labels: Sequence[Label]) -> Confusion | None:
    """Count what was told for what; None where nothing has a label."""
    counts = Counter(labels)
    if not counts:
        return None
    pairs = [(label, count) for label, count in counts.most_common() if label.expected != label.told]
    expected = Counter(label.expected for label in labels)
    told = Counter(label.told for label in labels)
    ranked = [name for label, _ in pairs for name in label] + [name for name, _ in (expected + told).most_common()]
    chosen = list(dict.fromkeys(ranked))[:SHOWN_LABELS]
    # In the order of names, except that of two kinds the one to be found stands first.
    names: list[Plain] = sorted(chosen, key=lambda name: (name is None, name is False, str(name)))
    table = [[counts[Label(row, column)] for column in names] for row in names]
    return Confusion(labels=names, counts=table, pairs=pairs, expected=expected)


def recall_by_depth(rows: Sequence[Row]) -> dict[str, list[Point]]:
    """Return recall among the first 1, 2, 3 and more, of the search itself ("") and of each signal alone."""
    told = [row for row in rows if "documents" in row.output and _wanted(row)]
    if not told:
        return {}
    signals = ["", *(name for name in told[0].output.get("alone", {}))]
    return {signal: _recalls([_ranked(row, signal) for row in told], told) for signal in signals}


def latencies(values: Sequence[float]) -> list[Column]:
    """Count times in columns that grow by the same factor, because a few cases take far longer than most."""
    held = np.asarray([each for each in values if each > 0], float)
    if not len(held):
        return []
    low, high = float(held.min()), float(held.max())
    if high / low < 1.05:
        return [Column(low=low * 0.9, high=high * 1.1, count=len(held))]
    edges = np.geomspace(low, high, min(COLUMNS, max(4, math.isqrt(len(held)) + 1)) + 1)
    edges[-1] = high * (1 + 1e-9)
    counts, _ = np.histogram(held, edges)
    return [
        Column(low=float(a), high=float(b), count=int(n))
        for a, b, n in zip(edges, edges[1:], counts, strict=False)
    ]


def _points(xs: Numbers, ys: Numbers) -> list[Point]:
    return [Point(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]


def _wanted(row: Row) -> list[str]:
    found = row.expected.get("documents") if isinstance(row.expected, Mapping) else None
    return list(found or ())


def _ranked(row: Row, signal: str) -> list[str]:
    found = row.output["alone"].get(signal, ()) if signal else row.output["documents"]
    return [str(each) for each in found]


def _recalls(ranked: Sequence[list[str]], rows: Sequence[Row]) -> list[Point]:
    deepest = min(DEPTH, max(map(len, ranked), default=0))
    wanted = [_wanted(row) for row in rows]
    return [
        Point(
            depth,
            float(np.mean([ranking.score(f"recall@{depth}", *pair) for pair in zip(ranked, wanted, strict=True)])),
        )
        for depth in range(1, deepest + 1)
    ]
