"""Figures of plain lists of values; ``evals.measures`` has the samples that they are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from evals import measures
from evals.figures import Figure, Numbers, unknown

__all__ = ["Figure", "Numbers", "auroc", "calibration_error", "of_sums", "share", "unknown"]


def share(hits: int, count: int) -> Figure:
    """Return a proportion with Wilson's score interval (Wilson, JASA 22, 1927)."""
    return measures.mean(np.arange(count) < hits, share=True).figure()  # type: ignore[arg-type]  # numbers enough


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> Figure:
    """Return the area under the ROC curve; needs at least one positive and one negative."""
    return measures.auroc(scores, positive).figure()


def calibration_error(scores: Sequence[float], positive: Sequence[bool], bins: int = 10) -> Figure:
    """Return the expected calibration error."""
    return measures.calibration_error(scores, positive, bins).figure()


def of_sums(statistic: Callable[[Numbers], float], counts: Numbers, count: int) -> Figure:
    """Return a figure of sums over texts."""
    return measures.of_sums(statistic, counts, count).figure()
