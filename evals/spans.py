"""Spans of text: those that should be found against those that were, leniently and strictly.

Lenient: a span is found if any found one shares a character with it, whatever the types. Strict: start, end and
type are the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evals.figures import Figure, Numbers, Sample, unknown
from evals.measures import Keys, of_sums

PATTERN = r"(span|typed)_(precision|recall|f(0\.\d+|[1-9]\d?))"
"""F2 is F-beta with a beta of 2, in which what is missed weighs more than what is found for nothing."""


def is_metric(name: str) -> bool:
    """Whether a metric is one of spans."""
    return re.fullmatch(PATTERN, name) is not None


def is_overall(name: str) -> bool:
    """Whether it weighs precision and recall in one number."""
    return is_metric(name) and "_f" in name


class Span(NamedTuple):
    """A type and where it stands, in characters."""

    type: str
    start: int
    end: int


class Counts(NamedTuple):
    """How many spans there are in one text, or in all."""

    expected: float
    met: float
    """Of those expected, how many were found."""
    found: float
    right: float
    """Of those found, how many were expected."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What should be found in one text, and what was."""

    expected: Sequence[Span]
    found: Sequence[Span]


def figure(metric: str, pairs: Sequence[Pair]) -> Figure:
    """Measure one metric over all spans of all texts."""
    return _measure(metric, pairs, None)


def sample(metric: str, pairs: Sequence[Pair], keys: Keys = None) -> Sample:
    """Return what one metric is measured of; its count is 0 where there is no span that it speaks of."""
    return _sample(metric, pairs, None, keys)


def by_type(metric: str, pairs: Sequence[Pair]) -> dict[str, Figure]:
    """Measure one metric for each type: recall over the expected spans of it, precision over the found ones."""
    types = sorted({span.type for pair in pairs for span in (*pair.expected, *pair.found)})
    found = {each: _measure(metric, pairs, each) for each in types}
    return {each: figure for each, figure in found.items() if figure.count}


def met(span: Span, others: Sequence[Span]) -> bool:
    """Whether any of the others shares a character with it."""
    return any(span.start < each.end and each.start < span.end for each in others)


def _measure(metric: str, pairs: Sequence[Pair], kind: str | None) -> Figure:
    found = _sample(metric, pairs, kind, None)
    return found.figure() if found.count else unknown()


def _sample(metric: str, pairs: Sequence[Pair], kind: str | None, keys: Keys) -> Sample:
    way, _, what = metric.partition("_")
    counts = np.asarray([_counts(pair, kind, way == "typed") for pair in pairs], np.float64)
    rests_on = {"precision": counts[:, 2], "recall": counts[:, 0]}.get(what, counts[:, 0] + counts[:, 2])
    return of_sums(lambda sums: _ratio(what, sums), counts, int(rests_on.sum()), keys)


def _counts(pair: Pair, kind: str | None, strict: bool) -> Counts:
    expected = [each for each in pair.expected if kind in (None, each.type)]
    found = [each for each in pair.found if kind in (None, each.type)]
    if strict:
        hits = len(set(expected) & set(found))
        return Counts(len(expected), hits, len(found), hits)
    missed = sum(not met(each, pair.found) for each in expected)
    wrong = sum(not met(each, pair.expected) for each in found)
    return Counts(len(expected), len(expected) - missed, len(found), len(found) - wrong)


def _ratio(what: str, sums: Numbers) -> float:
    counts = Counts(*sums.tolist())
    recall = counts.met / counts.expected if counts.expected else 1.0
    precision = counts.right / counts.found if counts.found else 1.0
    if what == "recall":
        return recall
    if what == "precision":
        return precision
    beta = float(what.removeprefix("f"))
    weighed = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / weighed if weighed else 0.0
