"""Figures agree with reference implementations, and their intervals are the ones from the books."""

from __future__ import annotations

import numpy as np
import pytest

from evals.metrics import (
    Figure,
    auroc,
    balanced_accuracy,
    calibration_error,
    macro_f1,
    mean,
    of_sums,
    percentile,
    recall_at,
    share,
)


def test_a_share_has_wilsons_interval() -> None:
    figure = share(8, 10)
    assert (figure.value, figure.count, figure.unit) == (0.8, 10, "")
    # Scipy's binomtest(8, 10).proportion_ci(method="wilson").
    assert (figure.low, figure.high) == pytest.approx((0.49016, 0.94331), abs=1e-4)


@pytest.mark.parametrize("hits", [0, 5])
def test_the_interval_of_a_share_stays_inside_nought_and_one(hits: int) -> None:
    figure = share(hits, 5)
    assert 0 <= figure.low <= figure.value <= figure.high <= 1
    assert figure.low < figure.high


def test_the_area_under_the_curve_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    draw = np.random.default_rng(1)
    truth = draw.random(60) < 0.4
    scores = np.round(draw.random(60) + 0.3 * truth, 1)
    figure = auroc(scores.tolist(), truth.tolist())
    assert figure.value == pytest.approx(roc_auc_score(truth, scores))
    assert 0 < figure.low < figure.value < figure.high < 1


def test_macro_f1_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    truth = ["a", "a", "b", "b", "c", "c", "c"]
    told = ["a", "b", "b", "b", "c", "a", "d"]
    wanted = f1_score(truth, told, average="macro", labels=["a", "b", "c"], zero_division=0)
    assert macro_f1(truth, told).value == pytest.approx(wanted)


def test_recall_at_a_share_of_false_alarms_is_that_of_the_curve_of_scikit_learn() -> None:
    from sklearn.metrics import roc_curve

    draw = np.random.default_rng(2)
    truth = draw.random(300) < 0.3
    scores = np.round(draw.random(300) + 0.5 * truth, 2)
    false_alarms, recalls, _ = roc_curve(truth, scores, drop_intermediate=False)
    for limit in (0.01, 0.1):
        figure = recall_at(scores.tolist(), truth.tolist(), limit)
        assert figure.value == pytest.approx(recalls[false_alarms <= limit].max())
        assert figure.low < figure.value < figure.high


def test_balanced_accuracy_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score

    draw = np.random.default_rng(3)
    truth, told = draw.random(80) < 0.2, draw.random(80) < 0.5
    figure = balanced_accuracy(told.tolist(), truth.tolist())
    assert figure.value == pytest.approx(balanced_accuracy_score(truth, told))


def test_calibration_is_perfect_where_shares_are_as_told() -> None:
    assert calibration_error([0.25] * 4, [True, False, False, False]).value == pytest.approx(0)
    assert calibration_error([1.0, 0.0], [False, True]).value == 1.0


def test_sums_are_drawn_by_text() -> None:
    counts = np.asarray([[1, 2], [3, 4]], np.float64)
    figure = of_sums(lambda sums: float(sums[0] / sums[1]), counts, 6)
    assert figure.value == pytest.approx(4 / 6)
    assert (figure.low, figure.high, figure.count) == (0.5, 0.75, 6)


def test_equal_values_leave_no_doubt() -> None:
    assert mean([0.5, 0.5, 0.5]) == Figure(value=0.5, low=0.5, high=0.5, count=3)


def test_latencies_are_in_milliseconds() -> None:
    figure = percentile([10.0, 20.0, 30.0], 50)
    assert (figure.value, figure.unit) == (20.0, "ms")
    assert 10 <= figure.low <= 20 <= figure.high <= 30


def test_the_same_values_give_the_same_interval() -> None:
    values = [0.1, 0.9, 0.4, 0.7]
    assert mean(values) == mean(values)
