"""From the scores of cases to metrics: which figure each metric is, and over which cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.cases import Case
from evals.metrics import Figure, auroc, macro_f1, mean, percentile, share
from evals.targets.base import Observation

SHARES = frozenset(
    {
        "abstained",
        "accuracy",
        "answered",
        "baseline_accuracy",
        "correct",
        "not_answered",
        "oos_recall",
        "routed_accuracy",
    }
)
AREAS: Mapping[str, tuple[str, str]] = {
    "oos_auroc": ("in_scope", "known"),
    "baseline_oos_auroc": ("baseline_in_scope", "known"),
    "answer_auroc": ("confidence", "answerable"),
    "similarity_auroc": ("similarity", "answerable"),
}
"""The score that should be high, and the score that is 1 where it should."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One case with what came out and how long that took."""

    case: Case[Any]
    seen: Observation
    seconds: float


def figure(metric: str, results: Sequence[Result]) -> Figure:
    """Measure one metric over the cases that it applies to, of which there must be one."""
    if metric.startswith("latency_p"):
        return percentile([1000 * each.seconds for each in results], float(metric.removeprefix("latency_p")))
    if metric == "macro_f1":
        known = [each for each in results if each.case.data.expected.intent is not None]
        return macro_f1(
            [each.case.data.expected.intent for each in known], [each.seen.output["best"] for each in known]
        )
    if metric in AREAS:
        score, positive = AREAS[metric]
        scores = [each.seen.scores for each in results]
        return auroc([each[score] for each in scores], [bool(each[positive]) for each in scores])
    values = _values(metric, results)
    return share(round(sum(values)), len(values)) if _is_share(metric) else mean(values)


def by_tag(metric: str, results: Sequence[Result]) -> dict[str, Figure]:
    """Measure a metric for each tag, if it is an average over cases and the tag is not on all of them."""
    tags = sorted({tag for each in results for tag in each.case.data.tags})
    figures = {}
    for tag in tags:
        tagged = [each for each in results if tag in each.case.data.tags]
        if len(tagged) < len(results) and _values(metric, tagged):
            figures[tag] = figure(metric, tagged)
    return figures


def _values(metric: str, results: Sequence[Result]) -> list[float]:
    return [each.seen.scores[metric] for each in results if metric in each.seen.scores]


def _is_share(metric: str) -> bool:
    return metric in SHARES or "hit@" in metric
