"""Figures agree with reference implementations, and their intervals are the ones from the books."""

from __future__ import annotations

import numpy as np
import pytest

from evals.figures import Figure
from evals.measures import (
    accuracy_at,
    alpha,
    auroc,
    balanced_accuracy,
    calibration_error,
    kappa,
    macro_f1,
    mean,
    of_sums,
    pass_all,
    percentile,
    quadratic_kappa,
    recall_at,
    risk_coverage,
)
from evals.metrics import share


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
    figure = auroc(scores.tolist(), truth.tolist()).figure()
    assert figure.value == pytest.approx(roc_auc_score(truth, scores))
    assert 0 < figure.low < figure.value < figure.high < 1


def test_macro_f1_is_averaged_over_the_labels_that_occur() -> None:
    # a: precision 1/2, recall 1/2; b: 2/3, 1; c: 1, 1/3; nobody is d.
    truth = ["a", "a", "b", "b", "c", "c", "c"]
    told = ["a", "b", "b", "b", "c", "a", "d"]
    assert macro_f1(truth, told).value == pytest.approx((1 / 2 + 4 / 5 + 1 / 2) / 3)


def test_recall_at_a_share_of_false_alarms_is_on_the_curve() -> None:
    scores, truth = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], [True, True, False, True, False, False]
    assert recall_at(scores, truth, 0.0).value == pytest.approx(2 / 3)
    assert recall_at(scores, truth, 0.4).value == 1.0


def test_accuracy_at_a_share_of_rejections_counts_what_is_rejected_as_wrong() -> None:
    scores, known = [0.9, 0.8, 0.3, 0.5, 0.2], [True, True, True, False, False]
    right = [True, False, True, False, False]
    # To reject both strangers the threshold must lie above 0.5, which rejects one that is known.
    assert accuracy_at(scores, known, right, 1.0).value == pytest.approx(1 / 3)
    assert accuracy_at(scores, known, right, 0.5).value == pytest.approx(2 / 3)


def test_balanced_accuracy_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score

    draw = np.random.default_rng(3)
    truth, told = draw.random(80) < 0.2, draw.random(80) < 0.5
    figure = balanced_accuracy(told.tolist(), truth.tolist())
    assert figure.value == pytest.approx(balanced_accuracy_score(truth, told))


def test_calibration_is_perfect_where_shares_are_as_told() -> None:
    assert calibration_error([0.25] * 4, [True, False, False, False]).value == pytest.approx(0)
    assert calibration_error([1.0, 0.0], [False, True]).value == 1.0


def test_risk_falls_when_the_surest_cases_are_right() -> None:
    sure, unsure = [0.9, 0.8, 0.2, 0.1], [0.1, 0.2, 0.8, 0.9]
    right = [True, True, False, False]
    assert risk_coverage(sure, right).value < 0.3 < 0.7 < risk_coverage(unsure, right).value
    assert risk_coverage(sure, [True] * 4).value == 0


def test_kappa_is_agreement_beyond_chance() -> None:
    # 6 of 8 agree where chance alone would make 4 agree.
    ours = [True, True, True, True, False, False, False, False]
    theirs = [True, True, True, False, True, False, False, False]
    assert kappa(ours, theirs).value == pytest.approx((6 / 8 - 1 / 2) / (1 - 1 / 2))
    assert kappa(["a", "a"], ["a", "a"]).value == 1.0
    assert kappa(["a", None, "a"], ["a", None, "a"]).value == 1.0


def test_quadratic_kappa_forgives_neighbours_and_not_opposites() -> None:
    near, far = quadratic_kappa([1, 2, 3, 5], [2, 3, 3, 5]), quadratic_kappa([1, 2, 3, 5], [5, 2, 3, 1])
    assert far.value < 0 < near.value < 1
    # A mark that nobody gave is a step all the same: 1 and 5 are four apart.
    assert quadratic_kappa([1, 5, 1, 5], [1, 5, 5, 5]).value == pytest.approx(0.5)


def test_alpha_is_that_of_krippendorffs_own_example() -> None:
    # Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), example C: four observers, twelve units.
    gaps = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    assert alpha(gaps, "nominal").value == pytest.approx(0.743, abs=5e-4)
    assert alpha(gaps, "ordinal").value == pytest.approx(0.815, abs=5e-4)
    assert alpha(gaps, "interval").value == pytest.approx(0.849, abs=5e-4)
    assert alpha([["a", "a"], ["a", "a"]], "nominal").value == 1.0


def test_a_case_must_go_well_every_time() -> None:
    keys = ["one"] * 4 + ["two"] * 4 + ["three"] * 4
    passed = [True] * 4 + [True, True, False, False] + [False] * 4
    assert pass_all(passed, 1, keys).value == pytest.approx((1 + 1 / 2 + 0) / 3)
    # Of the six pairs of tries of the second case one holds no failure.
    assert pass_all(passed, 2, keys).value == pytest.approx((1 + 1 / 6 + 0) / 3)
    assert pass_all(passed, 4, keys).value == pytest.approx(1 / 3)


def test_repeats_of_a_case_are_drawn_together() -> None:
    values = [1.0, 1.0, 0.0, 0.0] * 10
    alone, together = mean(values), mean(values, [number // 2 for number in range(40)])
    assert alone.value == together.value == 0.5
    assert alone.figure().high - alone.figure().low < together.figure().high - together.figure().low
    perfect = mean([1.0] * 40, [number // 2 for number in range(40)], share=True).figure()
    assert perfect.low == pytest.approx(share(20, 20).low)
    assert (perfect.high, perfect.count) == (1.0, 40)
    shared = mean(values, [number // 2 for number in range(40)], share=True).figure()
    assert (shared.low, shared.high) == (together.figure().low, together.figure().high)


def test_sums_are_drawn_by_text() -> None:
    counts = np.asarray([[1, 2], [3, 4]], np.float64)
    figure = of_sums(lambda sums: float(sums[0] / sums[1]), counts, 6).figure()
    assert figure.value == pytest.approx(4 / 6)
    assert (figure.low, figure.high, figure.count) == (0.5, 0.75, 6)


def test_equal_values_leave_no_doubt() -> None:
    assert mean([0.5, 0.5, 0.5]).figure() == Figure(value=0.5, low=0.5, high=0.5, count=3)


def test_latencies_are_in_milliseconds() -> None:
    figure = percentile([10.0, 20.0, 30.0], 50).figure()
    assert (figure.value, figure.unit) == (20.0, "ms")
    assert 10 <= figure.low <= 20 <= figure.high <= 30


def test_the_same_values_give_the_same_interval() -> None:
    values = [0.1, 0.9, 0.4, 0.7]
    assert mean(values).figure() == mean(values).figure()


def test_the_interval_of_a_mean_holds_it_as_often_as_it_says() -> None:
    draw = np.random.default_rng(5)
    figures = [mean(draw.exponential(1.0, 60).tolist()).figure() for _ in range(100)]
    assert 85 <= sum(each.low <= 1 <= each.high for each in figures) <= 100
