"""Figures agree with reference implementations, and their intervals are the ones from the books."""

from __future__ import annotations

import numpy as np
import pytest

from evals.metrics import Figure, auroc, macro_f1, mean, percentile, share


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


def test_equal_values_leave_no_doubt() -> None:
    assert mean([0.5, 0.5, 0.5]) == Figure(value=0.5, low=0.5, high=0.5, count=3)


def test_latencies_are_in_milliseconds() -> None:
    figure = percentile([10.0, 20.0, 30.0], 50)
    assert (figure.value, figure.unit) == (20.0, "ms")
    assert 10 <= figure.low <= 20 <= figure.high <= 30


def test_the_same_values_give_the_same_interval() -> None:
    values = [0.1, 0.9, 0.4, 0.7]
    assert mean(values) == mean(values)
