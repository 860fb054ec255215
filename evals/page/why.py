"""Why a case counts as wrong, and how sure the product was of it, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from evals.page.plots import SEARCHES, family
from evals.page.wording import percent
from evals.rows import Row


def sureness(row: Row) -> float | None:
    """Return how probable the product held what it told, where it has said so."""
    scores = row.scores
    if row.label is None:
        return None
    if "in_scope" in scores:
        return 1 - scores["in_scope"] if row.label.told is None else scores.get("confidence")
    stated = scores.get("score", scores.get("confidence"))
    if stated is None or not 0 <= stated <= 1:
        return None
    return stated if row.label.told else 1 - stated


def badness(row: Row) -> float:
    """Return how bad a wrong case is: surest first, and without a probability those of which least went well."""
    sure = sureness(row)
    if sure is not None:
        return sure
    ranked = [value for name, value in row.scores.items() if "_" not in name and 0 <= value <= 1]
    return 1 - sum(ranked) / len(ranked) if ranked else 0.0


def explain(row: Row, target: str) -> str:
    """Say why a wrong case is wrong; what was found wrong itself is told beside it."""
    tell = _TELLERS.get(family(target))
    return tell(row) if tell is not None else ""


def _router(row: Row) -> str:
    scope, sure = (row.scores.get(name) for name in ("in_scope", "confidence"))
    if row.label is None or scope is None or sure is None:
        return ""
    best = row.output.get("best")
    if row.label.told is None:
        right = "which would have been right" if best == row.label.expected else "which is wrong too"
        return f"It was rejected: in scope with {percent(scope)} only. The best guess was {best}, {right}."
    rival = row.output.get("baseline")
    beside = ""
    if isinstance(rival, Mapping):
        beside = f" Logistic regression says {rival.get('intent')}, {percent(float(rival.get('probability', 0)))}."
    return f"It was {percent(sure)} sure of {best}, and {percent(scope)} that the message is in scope.{beside}"


def _guard(row: Row) -> str:
    score = row.scores.get("score")
    if score is None or row.label is None:
        return ""
    reason = str(row.output.get("reason") or "")
    what = "reached the threshold" if row.label.told else "stayed below the threshold"
    return f"Its score of {score:.2f} {what}.{' It says: ' + reason if reason else ''}"


def _checker(row: Row) -> str:
    score, shared, near = (row.scores.get(name) for name in ("score", "lexical", "similarity"))
    if score is None:
        return ""
    told = f"The sources were held to support the reply with {percent(score)}."
    if shared is not None:
        told += f" {percent(shared)} of its words stand in them"
        told += f"; the nearest has a similarity of {near:.2f}." if near is not None else "."
    return told


def _drafter(row: Row) -> str:
    sure, near = (row.scores.get(name) for name in ("confidence", "similarity"))
    if sure is None:
        return ""
    told = f"The drafter was {percent(sure)} sure that the passage holds the answer"
    return f"{told}; question and passage have a similarity of {near:.2f}." if near is not None else f"{told}."


def _retriever(row: Row) -> str:
    wanted = row.expected.get("documents", []) if isinstance(row.expected, Mapping) else []
    lists: Mapping[str, Sequence[str]] = row.output.get("alone") or {}
    told = [
        f"{SEARCHES.get(signal, signal)} finds {name} at place {list(ranked).index(name) + 1}"
        for name in wanted
        if name not in row.output.get("documents", [])
        for signal, ranked in lists.items()
        if name in ranked
    ]
    return f"{'; '.join(told[:4])}." if told else "No signal alone finds what is missing either."


def _conversation(row: Row) -> str:
    route = row.output.get("route")
    if not isinstance(route, Mapping) or "confidence" not in route:
        return ""
    intent = route.get("intent") or "no intent"
    return f"The last message was routed to {intent} with {percent(float(route['confidence']))}."


_TELLERS: Mapping[str, Callable[[Row], str]] = {
    "router": _router,
    "guard": _guard,
    "checker": _checker,
    "drafter": _drafter,
    "retriever": _retriever,
    "conversation": _conversation,
}
