"""How well a ranked list finds the documents it should, for one question."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import numpy as np

PATTERN = r"((recall|pass|hit|ndcg)@[1-9]\d?|mrr)"
_SIGNAL = re.compile(rf"(?:(?P<signal>[a-z]+)_)?(?P<metric>{PATTERN})")


def split(metric: str) -> tuple[str, str] | None:
    """Return the signal and the metric that a name such as ``dense_recall@10`` means; None for another metric."""
    found = _SIGNAL.fullmatch(metric)
    return (found["signal"] or "", found["metric"]) if found else None


def score(metric: str, ranked: Sequence[str], wanted: Collection[str]) -> float:
    """Measure one list, in which a document may stand several times, once for each of its passages."""
    if metric == "mrr":
        place = next((place for place, name in enumerate(ranked, start=1) if name in wanted), None)
        return 1 / place if place else 0.0
    what, cutoff = metric.split("@")
    if what == "ndcg":
        return _ndcg(ranked, wanted, int(cutoff))
    found = set(wanted).intersection(ranked[: int(cutoff)])
    # ``pass`` is the codebase set's own name for recall.
    return float(bool(found)) if what == "hit" else len(found) / len(set(wanted))


def _ndcg(ranked: Sequence[str], wanted: Collection[str], cutoff: int) -> float:
    """Return nDCG with a gain of 1 for the first passage of each document that is wanted."""
    from sklearn.metrics import ndcg_score

    firsts = {name: ranked.index(name) for name in wanted if name in ranked}
    gains = [0.0] * max(len(ranked), cutoff)
    for place in firsts.values():
        gains[place] = 1.0
    # What was not found at all ranks below the cut.
    gains += [1.0] * (len(set(wanted)) - len(firsts)) + [0.0]
    return float(ndcg_score(np.asarray([gains]), np.asarray([range(len(gains), 0, -1)]), k=cutoff))
