"""What can be measured of cases, by the formulas of scikit-learn, SciPy and krippendorff.

Each function returns a ``Sample``, which knows its figure with the interval and can be drawn from when two runs
are compared. ``keys`` names the case of each row, where cases were repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evals.figures import CALLED_ROUNDS, Numbers, Rows, Sample, strata_of, units_of

_EFFORT = 100_000_000
Keys = Sequence[Hashable] | None
Label = str | float | bool | None
Level = Literal["nominal", "ordinal", "interval"]


def mean(values: Sequence[float], keys: Keys = None, *, unit: str = "", share: bool = False) -> Sample:
    """Return a mean; ``share`` says that the values are noughts and ones."""
    held = np.asarray(values, np.float64)
    return Sample(
        statistic=lambda rows: float(held[rows].mean()),
        strata=[units_of(keys, range(len(held)))],
        unit=unit,
        count=len(held),
        values=held,
        share=share,
    )


def percentile(values: Sequence[float], percent: float, keys: Keys = None, *, unit: str = "ms") -> Sample:
    """Return a percentile, of latencies in milliseconds unless told otherwise."""
    held = np.asarray(values, np.float64)
    return _whole(lambda rows: float(np.percentile(held[rows], percent)), len(held), keys, unit)


def auroc(scores: Sequence[float], positive: Sequence[bool], keys: Keys = None) -> Sample:
    """Return the area under the ROC curve: how often a positive case scores above a negative one."""
    held, truth = np.asarray(scores, np.float64), np.asarray(positive, bool)

    def area(rows: Rows) -> float:
        from sklearn.metrics import roc_auc_score

        with _unchecked():
            return float(roc_auc_score(truth[rows], held[rows]))

    return _parted(area, truth, keys)


def recall_at(scores: Sequence[float], positive: Sequence[bool], false_alarms: float, keys: Keys = None) -> Sample:
    """Return the share of positives above the threshold at which that share of the negatives is.

    The threshold is found anew in each round of the bootstrap, so the interval holds its doubt too.
    """
    held, truth = np.asarray(scores, np.float64), np.asarray(positive, bool)

    def recalled(rows: Rows) -> float:
        alarms, recalls, _ = _roc(truth[rows], held[rows])
        return float(recalls[alarms <= false_alarms].max())

    return _parted(recalled, truth, keys)


def accuracy_at(
    scores: Sequence[float], known: Sequence[bool], right: Sequence[bool], rejected: float, keys: Keys = None
) -> Sample:
    """Return the accuracy on cases in scope at the threshold at which that share of the others is rejected.

    A case in scope that is rejected too counts as wrong.
    """
    held, truth, hits = (np.asarray(each, kind) for each, kind in ((scores, float), (known, bool), (right, bool)))

    def accuracy(rows: Rows) -> float:
        accepted, _, thresholds = _roc(truth[rows], held[rows])
        threshold = thresholds[accepted <= 1 - rejected].min()
        inside = rows[truth[rows]]
        return float((hits[inside] & (held[inside] >= threshold)).mean())

    return _parted(accuracy, truth, keys)


def balanced_accuracy(told: Sequence[Label], truth: Sequence[Label], keys: Keys = None) -> Sample:
    """Return the mean of the shares of each label that were told right."""
    given, wanted, _ = _numbered(told, truth)

    def score(rows: Rows) -> float:
        from sklearn.metrics import recall_score

        labels = np.unique(wanted[rows])
        with _unchecked():
            return float(recall_score(wanted[rows], given[rows], labels=labels, average="macro", zero_division=0))

    if len(np.unique(wanted)) == 2:
        return _parted(score, wanted == wanted.max(), keys)
    return _whole(score, len(wanted), keys)


def macro_f1(truth: Sequence[Label], told: Sequence[Label], keys: Keys = None) -> Sample:
    """Return F1 averaged over the labels that occur in ``truth``."""
    given, wanted, _ = _numbered(told, truth)

    def score(rows: Rows) -> float:
        from sklearn.metrics import f1_score

        labels = np.unique(wanted[rows])
        with _unchecked():
            return float(f1_score(wanted[rows], given[rows], labels=labels, average="macro", zero_division=0))

    return _whole(score, len(wanted), keys)


def calibration_error(scores: Sequence[float], right: Sequence[bool], bins: int = 10, keys: Keys = None) -> Sample:
    """Return the expected calibration error: how far probabilities are from shares, over bins of equal width.

    After Naeini, Cooper and Hauskrecht, AAAI 2015. It is biased upward where cases are few.
    """
    held, truth = np.asarray(scores, np.float64), np.asarray(right, np.float64)

    def error(rows: Rows) -> float:
        from scipy.stats import binned_statistic

        apart = binned_statistic(held[rows], held[rows] - truth[rows], "sum", bins=bins, range=(0, 1)).statistic
        return float(np.abs(apart).sum() / len(rows))

    return _whole(error, len(held), keys)


def risk_coverage(scores: Sequence[float], right: Sequence[bool], keys: Keys = None) -> Sample:
    """Return the area under the risk-coverage curve: the share of mistakes among the surest cases, at all depths.

    After Geifman and El-Yaniv, NIPS 2017; 0 is best.
    """
    held, wrong = np.asarray(scores, np.float64), 1 - np.asarray(right, np.float64)

    def area(rows: Rows) -> float:
        from sklearn.metrics import auc

        if len(rows) < 2:
            return float(wrong[rows].mean())
        surest = rows[np.argsort(-held[rows], kind="stable")]
        depth = np.arange(1, len(rows) + 1)
        risks = np.cumsum(wrong[surest]) / depth
        return float(auc(np.append(0, depth / len(rows)), np.append(risks[0], risks)))

    return _whole(area, len(held), keys)


def kappa(first: Sequence[Label], second: Sequence[Label], keys: Keys = None) -> Sample:
    """Return Cohen's kappa of two judges; 1 where both say one and the same thing of all cases."""
    ours, theirs, _ = _numbered(first, second)
    return _whole(lambda rows: _kappa(ours[rows], theirs[rows], None, None), len(ours), keys)


def quadratic_kappa(first: Sequence[float], second: Sequence[float], keys: Keys = None) -> Sample:
    """Return the kappa that weighs a disagreement by its square, of marks rounded to whole ones."""
    ours, theirs = (np.rint(np.asarray(each, np.float64)).astype(np.intp) for each in (first, second))
    # Every mark between counts as a step, whether anybody gave it or not.
    marks = np.arange(min(ours.min(), theirs.min()), max(ours.max(), theirs.max()) + 1)
    return _whole(lambda rows: _kappa(ours[rows], theirs[rows], marks, "quadratic"), len(ours), keys)


def alpha(judges: Sequence[Sequence[Label]], level: Level, keys: Keys = None) -> Sample:
    """Return Krippendorff's alpha of two or more judges, who may each leave cases out (None)."""
    held = _matrix(judges, level)

    def agreement(rows: Rows) -> float:
        from krippendorff import alpha as krippendorff_alpha

        drawn = held[:, rows]
        if len(np.unique(drawn[~np.isnan(drawn)])) < 2:
            return 1.0
        return float(krippendorff_alpha(reliability_data=drawn, level_of_measurement=level))

    # The library compares every pair of labels of every unit.
    effort = held.shape[1] * len(np.unique(held[~np.isnan(held)])) ** 2
    return replace(_whole(agreement, held.shape[1], keys), rounds=max(20, min(CALLED_ROUNDS, _EFFORT // effort)))


def pass_all(passed: Sequence[bool], times: int, keys: Sequence[Hashable]) -> Sample:
    """Return pass^k: how likely a case goes well every time when it is tried ``times`` times.

    For each case the share of choices of so many of its repeats without a failure (Yao et al., tau-bench, 2024).
    """
    from scipy.special import comb

    tries: dict[Hashable, list[bool]] = {}
    for key, each in zip(keys, passed, strict=True):
        tries.setdefault(key, []).append(each)
    found = [
        float(comb(sum(each), times) / comb(len(each), times)) for each in tries.values() if len(each) >= times
    ]
    return mean(found, share=set(found) <= {0.0, 1.0})


def of_sums(statistic: Callable[[Numbers], float], counts: Numbers, count: int, keys: Keys = None) -> Sample:
    """Return what is measured of sums over texts, one row of ``counts`` each.

    ``count`` is how many things it rests on. Texts are drawn, not the things in them, which are not independent
    of each other.
    """
    strata = [units_of(keys, range(len(counts)))]
    return Sample(statistic=lambda rows: statistic(counts[rows].sum(axis=0)), strata=strata, count=count)


def _whole(statistic: Callable[[Rows], float], count: int, keys: Keys, unit: str = "") -> Sample:
    return Sample(statistic=statistic, strata=[units_of(keys, range(count))], count=count, unit=unit)


def _parted(statistic: Callable[[Rows], float], truth: NDArray[np.bool_], keys: Keys) -> Sample:
    return Sample(statistic=statistic, strata=strata_of(keys, truth), count=len(truth))


@contextmanager
def _unchecked() -> Iterator[None]:
    """Let scikit-learn take our arrays as they are; its checks cost more than the figures."""
    from sklearn import config_context

    with config_context(assume_finite=True, skip_parameter_validation=True):
        yield


def _roc(truth: NDArray[Any], scores: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    from sklearn.metrics import roc_curve

    with _unchecked():
        alarms, recalls, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    return alarms, recalls, thresholds


def _kappa(ours: Rows, theirs: Rows, labels: Rows | None, weights: str | None) -> float:
    from sklearn.metrics import cohen_kappa_score

    if len(np.unique(np.concatenate([ours, theirs]))) < 2:
        return 1.0
    with _unchecked():
        return float(cohen_kappa_score(ours, theirs, labels=labels, weights=weights))


def _numbered(first: Sequence[Label], second: Sequence[Label]) -> tuple[Rows, Rows, list[str]]:
    """Number labels by name; None is a label like any other."""
    names = [[repr(each) for each in labels] for labels in (first, second)]
    known, numbers = np.unique(names[0] + names[1], return_inverse=True)
    return numbers[: len(first)], numbers[len(first) :], known.tolist()


def _matrix(judges: Sequence[Sequence[Label]], level: str) -> Numbers:
    if level != "nominal":
        return np.asarray(
            [[np.nan if each is None else float(each) for each in row] for row in judges], np.float64
        )
    names = sorted({repr(each) for row in judges for each in row if each is not None})
    numbers = {name: number for number, name in enumerate(names)}
    rows = [[np.nan if each is None else numbers[repr(each)] for each in row] for row in judges]
    return np.asarray(rows, np.float64)
