"""How metrics and their values are put into words on the page."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from evals.page.drawing import SPACE
from evals.scoring import DIFFERENCE

MEANINGS: Mapping[str, str] = {
    "abstained": "of what can't be answered, how much was left unanswered",
    "accuracy": "how often the best guess is the right one",
    "answer_auroc": "how well the drafter's confidence parts what can be answered from what can't",
    "answered": "of what can be answered, how much was answered",
    "as_expected": "cases that went as their author expects",
    "auroc": "how often a case of one kind scores above one of the other; 0.5 is guessing",
    "balanced_accuracy": "share told right, averaged over the kinds",
    "correct": "answered without a person, with the right document and facts",
    "cost": "what models charged for a case",
    "ece": "how far stated confidence is from the share that was right; 0 is best",
    "false_alarms": "of what is harmless, how much was stopped",
    "judged": "cases that the language model judges good",
    "kappa": "agreement beyond chance; 1 is perfect",
    "krippendorff_alpha": "agreement beyond chance; 1 is perfect",
    "latency_p50": "half of the cases took no longer",
    "latency_p95": "95 % of the cases took no longer",
    "macro_f1": "F1 averaged over the labels, rare ones count as much as frequent ones",
    "mrr": "one divided by the place of the first right document, averaged",
    "not_answered": "of what belongs to a person, how much reached one",
    "oos_auroc": "how well messages with an intent are parted from those without",
    "oos_recall": "of messages out of scope, how many were rejected",
    "precision": "of what was stopped, how much should have been",
    "quadratic_kappa": "agreement beyond chance, in which a wide miss weighs more; 1 is perfect",
    "recall": "of what should be stopped, how much was",
    "risk_coverage": "mistakes among the surest cases, averaged over all depths; 0 is best",
    "routed_accuracy": "right intent, where a rejected message counts as wrong",
    "similarity_auroc": "what the similarity of vectors knows by itself",
    "span_f2": "personal data found, where what is missed weighs four times",
    "span_precision": "of what was found, how much is personal data",
    "span_recall": "of all personal data, how much was found",
    "typed_f2": "as span_f2, where type and both ends must be right",
}
SIGNALS: Mapping[str, str] = {
    "baseline_": "logistic regression on the same examples",
    "lexical_": "shared words alone",
    "dense_": "similarity of vectors alone",
    "similarity_": "similarity alone",
}
"""The simple methods beside ours, by what the names of their metrics begin with."""
RANKED: Mapping[str, str] = {
    "recall": "of the documents that should be found, how many are among the first {}",
    "pass": "of the documents that should be found, how many are among the first {}",
    "hit": "questions with any of their documents among the first {}",
    "ndcg": "how well the first {} are ordered; 1 is perfect",
}
LOWER_IS_BETTER = frozenset({"cost", "ece", "false_alarms", "risk_coverage"})
_BARE = re.compile(r".*(auroc|kappa|krippendorff_alpha|ece|risk_coverage|mrr|ndcg).*")


def meaning(metric: str) -> str:
    """Say in a few words what a metric tells; nothing of one that explains itself or is not ours."""
    if DIFFERENCE in metric:
        return "the difference, case by case"
    for begin, what in SIGNALS.items():
        if metric.startswith(begin) and metric not in MEANINGS:
            return f"the same, by {what}"
    if metric.startswith("recall@fpr:"):
        return f"caught at the threshold at which {_percent(float(metric.partition(':')[2]))} of the others is"
    if metric.startswith("accuracy@oos_recall:"):
        share = _percent(float(metric.partition(":")[2]))
        return f"right intent, at the threshold at which {share} of messages out of scope are rejected"
    name, _, cut = metric.partition("@")
    if cut and name in RANKED:
        return RANKED[name].format(cut)
    if metric.startswith("pass^"):
        return f"cases that go well {metric.removeprefix('pass^')} times in a row"
    return MEANINGS.get(metric.partition(":")[0], "")


def beside(metric: str) -> bool:
    """Return whether a metric is of a simple method beside ours, or of the machine."""
    return metric.startswith((*SIGNALS, "latency")) or DIFFERENCE in metric


def value(metric: str, number: float | None, unit: str = "") -> str:
    """Return a value as a person writes it: shares in percent, areas and agreement as they are."""
    if number is None or math.isnan(number):
        return "–"
    if unit == "ms":
        return milliseconds(number)
    if unit == "$":
        return f"${number:.4f}"
    if DIFFERENCE in metric:
        return signed(metric, number)
    return f"{number:.3f}" if _BARE.fullmatch(metric) else _percent(number)


def signed(metric: str, number: float) -> str:
    """Return a difference with its sign: of shares in points, of other values as they are."""
    if metric.startswith("latency"):
        return f"{number:+.1f}{SPACE}ms"
    if metric == "cost":
        return f"{number:+.4f}{SPACE}$"
    return f"{number:+.3f}" if _BARE.fullmatch(metric) else f"{100 * number:+.1f}{SPACE}pt"


def percent(share: float) -> str:
    """Return a share in percent."""
    return _percent(share)


def milliseconds(number: float) -> str:
    """Return a time in a unit that suits it."""
    if number >= 10_000:
        return f"{number / 1000:.1f}{SPACE}s"
    digits = f"{number:,.0f}" if number >= 100 else f"{number:.1f}" if number >= 1 else f"{number:.2g}"
    return f"{digits}{SPACE}ms"


def short_milliseconds(number: float) -> str:
    """Return a round time as short as it can be."""
    return f"{number / 1000:g}{SPACE}s" if number >= 1000 else f"{number:g}{SPACE}ms"


def duration(seconds: float) -> str:
    """Return how long something took."""
    minutes, left = divmod(round(seconds), 60)
    return f"{minutes}{SPACE}min {left}{SPACE}s" if minutes else f"{seconds:.1f}{SPACE}s"


def cut(text: str, most: int) -> str:
    """Return a text on one line, cut to so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}{SPACE}%"
