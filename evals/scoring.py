"""From the scores of cases to metrics: which figure each metric is, and over which cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals import spans
from evals.cases import Case
from evals.metrics import (
    Figure,
    auroc,
    balanced_accuracy,
    calibration_error,
    macro_f1,
    mean,
    percentile,
    recall_at,
    share,
    unknown,
)
from evals.targets.base import Observation

SHARES = frozenset(
    {
        "abstained",
        "accuracy",
        "answered",
        "baseline_accuracy",
        "correct",
        "false_alarms",
        "not_answered",
        "oos_recall",
        "precision",
        "recall",
        "routed_accuracy",
    }
)
AREAS: Mapping[str, str] = {
    "auroc": "score",
    "oos_auroc": "in_scope",
    "baseline_oos_auroc": "baseline_in_scope",
    "answer_auroc": "confidence",
    "similarity_auroc": "similarity",
    "lexical_auroc": "lexical",
}
"""The score that should be high where the truth is 1."""
TRUTHS = ("known", "answerable", "positive")
"""What a target calls the score that is 1 where the others should be high; each target has one of them."""
CUT = "recall@fpr:"


@dataclass(frozen=True, kw_only=True)
class Result:
    """One case with what came out and how long that took."""

    case: Case[Any]
    seen: Observation
    seconds: float


def figure(metric: str, results: Sequence[Result]) -> Figure:
    """Measure one metric over the cases that it applies to; where there is none, nothing is known."""
    if metric.startswith("latency_p"):
        return percentile([1000 * each.seconds for each in results], float(metric.removeprefix("latency_p")))
    if metric == "macro_f1":
        known = [each for each in results if each.case.data.expected.intent is not None]
        return macro_f1(
            [each.case.data.expected.intent for each in known], [each.seen.output["best"] for each in known]
        )
    if metric in spans.METRICS:
        return spans.figure(metric, _span_pairs(results))
    if metric in AREAS or metric.startswith(CUT) or metric in ("ece", "balanced_accuracy"):
        return _of_scores(metric, results)
    values = _values(metric, results)
    if not values:
        return unknown()
    return share(round(sum(values)), len(values)) if _is_share(metric) else mean(values)


def _of_scores(metric: str, results: Sequence[Result]) -> Figure:
    scores = [each.seen.scores for each in results]
    truth = [bool(each[next(name for name in TRUTHS if name in each)]) for each in scores]
    if metric == "balanced_accuracy":
        return balanced_accuracy([bool(each["told"]) for each in scores], truth)
    if metric == "ece":
        return calibration_error([each["score"] for each in scores], truth)
    if metric.startswith(CUT):
        return recall_at([each["score"] for each in scores], truth, float(metric.removeprefix(CUT)))
    return auroc([each[AREAS[metric]] for each in scores], truth)


def by_tag(metric: str, results: Sequence[Result]) -> dict[str, Figure]:
    """Measure a metric for each tag, if it is an average over cases and the tag is not on all of them.

    What is told of spans is measured for each of their types instead.
    """
    if metric in spans.METRICS:
        return spans.by_type(metric, _span_pairs(results))
    tags = sorted({tag for each in results for tag in each.case.data.tags})
    figures = {}
    for tag in tags:
        tagged = [each for each in results if tag in each.case.data.tags]
        if len(tagged) < len(results) and _values(metric, tagged):
            figures[tag] = figure(metric, tagged)
    return figures


def _span_pairs(results: Sequence[Result]) -> list[spans.Pair]:
    return [
        spans.Pair(
            expected=[spans.Span(each.type, each.start, each.end) for each in result.case.data.expected.spans],
            found=[spans.Span(*each) for each in result.seen.output["found"]],
        )
        for result in results
    ]


def _values(metric: str, results: Sequence[Result]) -> list[float]:
    return [each.seen.scores[metric] for each in results if metric in each.seen.scores]


def _is_share(metric: str) -> bool:
    return metric in SHARES or "hit@" in metric
