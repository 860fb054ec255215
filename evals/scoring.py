"""From the scores of cases to metrics: which figure each metric is, over which cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evals.cases import Case
from evals.metrics import Figure, auroc, macro_f1, mean, percentile, share
from evals.targets.base import Observation

OUT_OF_SCOPE = "(out of scope)"
SHARES = frozenset(
    "accuracy best_accuracy baseline_accuracy oos_recall correct not_answered answered abstained pass".split()
)
AREAS = {
    "oos_auroc": ("in_scope", "known"),
    "baseline_oos_auroc": ("baseline_in_scope", "known"),
    "answer_auroc": ("confidence", "answerable"),
    "similarity_auroc": ("similarity", "answerable"),
}
"""Score that separates, and the score that is 1 for the cases that should score high."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """One case with what came out and how long that took."""

    case: Case[object]  # type: ignore[type-var]
    seen: Observation
    seconds: float


def figure(metric: str, results: Sequence[Result]) -> Figure | None:
    """Measure one metric over the cases that it applies to; None if there are none."""
    if metric.startswith("latency_p"):
        return percentile([1000 * each.seconds for each in results], float(metric.removeprefix("latency_p")))
    if metric == "macro_f1":
        return _macro_f1(results)
    if metric in AREAS:
        return _area(metric, results)
    values = [each.seen.scores[metric] for each in results if metric in each.seen.scores]
    if not values:
        return None
    name = metric.split("@")[0].removeprefix("lexical_").removeprefix("dense_")
    return share(round(sum(values)), len(values)) if name in SHARES else mean(values)
