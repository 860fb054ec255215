"""From rows to metrics: what each metric's name means, and which rows tell of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from evals import measures, ranking, spans
from evals.figures import Figure, Sample, unknown
from evals.rows import Label, Row
from evals.suite import AGREEMENT, JUDGED

SHARES = frozenset(
    {
        "abstained",
        "accuracy",
        "answered",
        "as_expected",
        "baseline_accuracy",
        "correct",
        "false_alarms",
        "judged",
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
_LEVELS: Mapping[str, measures.Level] = {
    "": "nominal",
    "nominal": "nominal",
    "ordinal": "ordinal",
    "interval": "interval",
}
CUT, REJECTED, ALPHA, TIMES = "recall@fpr:", "accuracy@oos_recall:", "krippendorff_alpha", "pass^"
_OF_MARKS = (f"{ALPHA}:ordinal", f"{ALPHA}:interval")
"""Of kinds that are numbers, or truths."""
DIFFERENCE = " - "


class Curve(NamedTuple):
    """Two scores of a row that belong together: how sure the product was, and whether that was right."""

    score: str
    truth: str


CURVES: Mapping[str, Mapping[str, Curve]] = {
    "router": {
        "roc": Curve("in_scope", "known"),
        "calibration": Curve("confidence", "accuracy"),
        "risk_coverage": Curve("in_scope", "right"),
    },
    "drafter": {
        "roc": Curve("confidence", "answerable"),
        "calibration": Curve("confidence", "answerable"),
        "risk_coverage": Curve("confidence", "answerable"),
    },
    "checker": {
        "roc": Curve("score", "positive"),
        "calibration": Curve("score", "positive"),
        "risk_coverage": Curve("score", "positive"),
    },
    "guard": {"roc": Curve("score", "positive"), "calibration": Curve("score", "positive")},
}
"""What can be drawn of each target's rows."""
_WITH_TRUTH: Mapping[str, str] = {"ece": "calibration", "risk_coverage": "risk_coverage"}


def curves_of(target: str) -> Mapping[str, Curve]:
    """Return what can be drawn of a target's rows."""
    return CURVES.get(target.partition(":")[0], {})


def figure(metric: str, rows: Sequence[Row]) -> Figure:
    """Measure one metric over the rows that tell of it; where none does, nothing is known."""
    found = sample(metric, rows)
    return found.figure() if found else unknown()


def sample(metric: str, rows: Sequence[Row]) -> Sample | None:
    """Return what a metric is measured of, or None if no row tells of it."""
    told = telling(metric, rows)
    if not told:
        return None
    found = _difference(metric, told) if DIFFERENCE in metric else _build(metric, told)
    return found if found.count else None


def telling(metric: str, rows: Sequence[Row]) -> list[Row]:
    """Return the rows that a metric is measured of, in their order."""
    for part in metric.split(DIFFERENCE):
        rows = [row for row in rows if _tells(part, row)]
    if _needs_both(metric) and len({_truth(row) for row in rows}) < 2:
        return []
    return list(rows)


def _difference(metric: str, rows: Sequence[Row]) -> Sample:
    """Return one metric less another, case by case where they are means."""
    first, second = (_build(part, rows) for part in metric.split(DIFFERENCE))
    if first.values is not None and second.values is not None:
        return measures.mean((first.values - second.values).tolist(), _keys(rows))
    return Sample(
        statistic=lambda chosen: first.statistic(chosen) - second.statistic(chosen),
        strata=first.strata,
        count=first.count,
    )


def _tells(metric: str, row: Row) -> bool:
    if metric.startswith(("latency_p", TIMES)):
        return True
    if metric == "cost":
        return row.cost is not None
    if metric == "macro_f1":
        return _classes(row) is not None
    if metric == AGREEMENT:
        return _judges(row) is not None
    if metric == "quadratic_kappa" or metric in _OF_MARKS:
        return row.label is not None and all(isinstance(each, int | float) for each in row.label)
    if metric in LABELLED or metric.startswith(ALPHA):
        return row.label is not None
    if spans.is_metric(metric):
        return "found" in row.output
    if curve := _WITH_TRUTH.get(metric):
        return any({*each[curve]} <= row.scores.keys() for each in CURVES.values() if curve in each)
    if metric in AREAS:
        return AREAS[metric] in row.scores and _truth(row) is not None
    if metric.startswith(CUT):
        return "score" in row.scores
    if metric.startswith(REJECTED):
        return "in_scope" in row.scores
    return _score(metric, row) is not None


def _build(metric: str, rows: Sequence[Row]) -> Sample:
    keys = _keys(rows)
    if metric.startswith("latency_p"):
        return measures.percentile([row.latency_ms for row in rows], float(metric.removeprefix("latency_p")), keys)
    if metric == "cost":
        return measures.mean([row.cost or 0.0 for row in rows], keys, unit="$")
    if metric.startswith(TIMES):
        times = int(metric.removeprefix(TIMES))
        return measures.pass_all([row.wrong is None for row in rows], times, [row.key for row in rows])
    if spans.is_metric(metric):
        return spans.sample(metric, _span_pairs(rows), keys)
    if metric == "macro_f1":
        classes = [each for row in rows if (each := _classes(row))]
        return measures.macro_f1([each.expected for each in classes], [each.told for each in classes], keys)
    if metric == AGREEMENT:
        judges = [each for row in rows if (each := _judges(row))]
        return measures.kappa([each.told for each in judges], [each.expected for each in judges], keys)
    if metric in LABELLED or metric.startswith(ALPHA):
        return _of_labels(metric, [row.label for row in rows if row.label], keys)
    if metric in _WITH_TRUTH or metric in AREAS or metric.startswith((CUT, REJECTED)):
        return _of_scores(metric, rows, keys)
    return measures.mean([_score(metric, row) or 0.0 for row in rows], keys, share=_is_share(metric))


def _of_scores(metric: str, rows: Sequence[Row], keys: measures.Keys) -> Sample:
    if curve := _WITH_TRUTH.get(metric):
        pair = next(
            each[curve] for each in CURVES.values() if curve in each and {*each[curve]} <= {*rows[0].scores}
        )
        scores, right = ([row.scores[name] for row in rows] for name in pair)
        if metric == "ece":
            return measures.calibration_error(scores, [bool(each) for each in right], keys=keys)
        return measures.risk_coverage(scores, [bool(each) for each in right], keys)
    truth = [bool(_truth(row)) for row in rows]
    if metric.startswith(CUT):
        return measures.recall_at(
            [row.scores["score"] for row in rows], truth, float(metric.removeprefix(CUT)), keys
        )
    if metric.startswith(REJECTED):
        right = [row.scores["right"] for row in rows]
        share = float(metric.removeprefix(REJECTED))
        return measures.accuracy_at(
            [row.scores["in_scope"] for row in rows], truth, [bool(each) for each in right], share, keys
        )
    return measures.auroc([row.scores[AREAS[metric]] for row in rows], truth, keys)


def _of_labels(metric: str, labels: Sequence[Label], keys: measures.Keys) -> Sample:
    expected, told = [each.expected for each in labels], [each.told for each in labels]
    if metric.startswith(ALPHA):
        judges: list[list[measures.Label]] = [expected, told]
        if metric not in _OF_MARKS:  # null is a kind like any other, and not one that a judge has left out
            judges = [[repr(each) for each in labels] for labels in judges]
        return measures.alpha(judges, _LEVELS[metric.partition(":")[2]], keys)
    return LABELLED[metric](told, expected, keys)


def _quadratic(told: Sequence[measures.Label], expected: Sequence[measures.Label], keys: measures.Keys) -> Sample:
    marks = [[float(each or 0) for each in row] for row in (told, expected)]
    return measures.quadratic_kappa(marks[0], marks[1], keys)


LABELLED: Mapping[str, Callable[[Sequence[measures.Label], Sequence[measures.Label], measures.Keys], Sample]] = {
    "balanced_accuracy": measures.balanced_accuracy,
    "kappa": measures.kappa,
    "quadratic_kappa": _quadratic,
}


def by_tag(metric: str, rows: Sequence[Row]) -> dict[str, Figure]:
    """Measure a metric for each tag, if it is an average over cases and the tag is not on all of them.

    What is told of spans is measured for each of their types instead.
    """
    if spans.is_metric(metric):
        return spans.by_type(metric, _span_pairs([row for row in rows if _tells(metric, row)]))
    return {tag: found.figure() for tag, found in tag_samples(metric, rows).items()}


def tag_samples(metric: str, rows: Sequence[Row]) -> dict[str, Sample]:
    """Return what ``by_tag`` measures, for metrics that are averages."""
    if metric.startswith(("latency", TIMES)):
        return {}
    samples = {}
    for tag in sorted({tag for row in rows for tag in row.tags}):
        tagged = [row for row in rows if tag in row.tags]
        found = sample(metric, tagged) if len(tagged) < len(rows) else None
        if found is not None and found.values is not None:
            samples[tag] = found
    return samples


def _span_pairs(rows: Sequence[Row]) -> list[spans.Pair]:
    return [
        spans.Pair(
            expected=[spans.Span(each["type"], each["start"], each["end"]) for each in row.expected["spans"]],
            found=[spans.Span(*each) for each in row.output["found"]],
        )
        for row in rows
    ]


def _keys(rows: Sequence[Row]) -> list[tuple[str, str]] | None:
    """Return the cases of rows if some were repeated."""
    keys = [row.key for row in rows]
    return keys if any(row.repeat for row in rows) else None


def _classes(row: Row) -> Label | None:
    """Return the class of a row that has one, and the best guess; a router's as if nothing could be rejected."""
    if "best" in row.output:
        intent = row.expected["intent"]
        return None if intent is None else Label(intent, row.output["best"])
    return row.label


def _judges(row: Row) -> Label | None:
    """Return what a person found and what the judge did, where both have judged."""
    human = row.expected.get(JUDGED) if isinstance(row.expected, Mapping) else None
    return Label(bool(human), bool(row.scores[JUDGED])) if human is not None and JUDGED in row.scores else None


def _truth(row: Row) -> float | None:
    return next((row.scores[name] for name in TRUTHS if name in row.scores), None)


def _needs_both(metric: str) -> bool:
    parts = metric.split(DIFFERENCE)
    return any(each in AREAS or each.startswith((CUT, REJECTED)) for each in parts)


def _ranked(metric: str, row: Row) -> float | None:
    """Return a metric of a ranked list that the target was not asked for, from the list that it kept."""
    found = ranking.split(metric)
    if found is None or "documents" not in row.output or not isinstance(row.expected, Mapping):
        return None
    signal, name = found
    ranked = row.output.get("alone", {}).get(signal) if signal else row.output["documents"]
    wanted = row.expected.get("documents")
    return None if ranked is None or not wanted else ranking.score(name, ranked, wanted)


def _score(metric: str, row: Row) -> float | None:
    if metric in row.scores:
        return row.scores[metric]
    if metric == "accuracy" and row.label and "known" not in row.scores:
        return float(row.label.expected == row.label.told)
    return _ranked(metric, row)


def _is_share(metric: str) -> bool:
    return metric in SHARES or re.search(r"(^|_)hit@|^passed:", metric) is not None
