"""The points of the plots, on data small enough to check by hand."""

from __future__ import annotations

import pytest

from evals.page import curves, wording
from evals.page.curves import Point
from evals.page.drawing import growing, rising
from evals.rows import Label
from tests.evals.page.stubs import retriever_row


def test_a_perfect_score_has_an_area_of_one() -> None:
    found = curves.roc([0.9, 0.8, 0.2, 0.1], [1, 1, 0, 0])
    assert found is not None
    assert found.area == 1.0
    assert found.at(0.0) == 1.0
    assert curves.roc([0.9, 0.8], [1, 1]) is None


def test_bins_tell_what_was_stated_and_what_came_true() -> None:
    found = curves.calibration([0.05, 0.85, 0.85, 1.0], [0, 1, 0, 1])
    assert [(each.low, each.confidence, each.right, each.count) for each in found] == [
        (0.0, 0.05, 0.0, 1),
        (0.8, 0.85, 0.5, 2),
        (0.9, 1.0, 1.0, 1),
    ]
    assert all(low <= each.right <= high for each in found for low, high in [each.interval])


def test_risk_rises_as_the_less_sure_are_covered() -> None:
    assert curves.risk_coverage([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1]) == [
        Point(0.25, 0.0),
        Point(0.5, 0.0),
        Point(0.75, 1 / 3),
        Point(1.0, 0.25),
    ]
    best = curves.best_risk(0.25)
    assert (best[1], best[-1]) == (Point(0.75, 0.0), Point(1.0, 0.25))


def test_the_labels_that_are_confused_most_are_shown() -> None:
    labels = [Label(f"right {number}", f"right {number}") for number in range(30)]
    labels += [Label("x", "y")] * 3 + [Label("x", None)]
    found = curves.confusion(labels)
    assert found is not None
    assert found.pairs == [(Label("x", "y"), 3), (Label("x", None), 1)]
    assert len(found.labels) == curves.SHOWN_LABELS
    assert found.labels[-1] is None
    row = found.counts[found.labels.index("x")]
    assert (row[found.labels.index("y")], row[-1], sum(row)) == (3, 1, 4)


def test_recall_grows_with_depth() -> None:
    found = curves.recall_by_depth([retriever_row(place) for place in (0, 1, 2)])
    own = [point.y for point in found[""]]
    assert own[:5] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1 / 3, 2 / 3])
    assert found["lexical"][0] == Point(1, 1.0)


def test_latencies_are_counted_once() -> None:
    values = [1.0, 1.5, 2.0, 900.0, 0.0]
    assert sum(each.count for each in curves.latencies(values)) == 4
    assert [each.count for each in curves.latencies([3.0] * 5)] == [5]
    assert curves.latencies([]) == []


def test_axes_end_at_round_values() -> None:
    assert [tick.text for tick in rising("", 43, str).ticks] == ["0.0", "10.0", "20.0", "30.0", "40.0", "50.0"]
    assert [tick.at for tick in growing("", 3, 400, str).ticks] == [5, 20, 100]
    assert growing("", 3, 3, str).share(3) == 0.5


@pytest.mark.parametrize(
    ("metric", "number", "unit", "text"),
    [
        ("accuracy", 0.8155, "", "81.5\xa0%"),
        ("oos_auroc", 0.8155, "", "0.816"),
        ("recall@fpr:0.01", 0.5, "", "50.0\xa0%"),
        ("ndcg@10", 0.5, "", "0.500"),
        ("accuracy - baseline_accuracy", -0.021, "", "-2.1\xa0pt"),
        ("auroc - lexical_auroc", 0.021, "", "+0.021"),
        ("latency_p50", 1234.5, "ms", "1,234\xa0ms"),
        ("cost", 0.00123, "$", "$0.0012"),
        ("accuracy", None, "", "–"),
    ],
)
def test_values_are_written_as_a_person_would(metric: str, number: float | None, unit: str, text: str) -> None:
    assert wording.value(metric, number, unit) == text


def test_metrics_have_meanings() -> None:
    assert wording.meaning("recall@5") == "of the documents that should be found, how many are among the first 5"
    assert wording.meaning("dense_recall@5") == "the same, by similarity of vectors alone"
    assert wording.meaning("auroc - lexical_auroc") == "the difference, case by case"
    assert wording.meaning("of_somebody_else") == ""
