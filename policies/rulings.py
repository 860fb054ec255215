"""What policy makes of a route: the facts that rules see, the doubts that call a person, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from policies.personal_data import PLACEHOLDER
from policies.rules import ALONE, RuleOutcome, amounts, strictest
from policies.types import JSON, Autonomy, Outcome, Reason, Route, Sentence


class Lines(Protocol):
    """Where a route is sure enough; the thresholds of policy.yaml."""

    @property
    def route_confidence(self) -> float:
        """Below it the subject is unclear."""
        ...

    @property
    def in_scope(self) -> float:
        """Below it the message is about nothing that is known."""
        ...


def route_facts(text: str, found: Route, *, customer: JSON, language: str = "", turns: int = 0) -> JSON:
    """Return the facts that rules on the route see; ``customer`` has ``locale`` and ``attributes``."""
    attributes = customer.get("attributes") or {}
    return {
        "text": text.lower(),
        "intent": found.intent or "",
        "queue": found.queue,
        "confidence": found.confidence,
        "in_scope": found.in_scope,
        "autonomy": str(found.autonomy),
        "priority": found.priority,
        "language": language,
        "locale": customer.get("locale") or "",
        "attributes": {name: _plain(value) for name, value in attributes.items()},
        "amounts": amounts(text),
        "personal_data": sorted({kind[1:].split("_")[0].lower() for kind in PLACEHOLDER.findall(text)}),
        "turns": turns,
    }


def _plain(value: object) -> object:
    # A whole number is a number like any other: 3 and 3.5 are both doubles to a rule.
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def action_facts(name: str, arguments: JSON, facts: JSON | None = None) -> JSON:
    """Return the facts that rules on an action see besides those of the route.

    Without ``facts`` of the action's own, a rule that asks for any can't be computed, and counts as fired.
    """
    found: JSON = {"action": name, "arguments": _doubles(arguments)}
    return found if facts is None else {**found, "facts": _doubles(facts)}


def _doubles(value: object) -> object:
    if isinstance(value, dict):
        return {key: _doubles(item) for key, item in value.items()}
    return [_doubles(item) for item in value] if isinstance(value, list) else _plain(value)


def answer_facts(sentences: Sequence[Sentence], support: float) -> JSON:
    """Return the facts that rules on the answer see besides."""
    reply = " ".join(sentence.text for sentence in sentences)
    sources = {citation.document for sentence in sentences for citation in sentence.citations}
    return {
        "reply": reply,
        "reply_amounts": amounts(reply),
        "sources": sorted(sources),
        "support": support,
    }


def doubts(found: Route, lines: Lines) -> list[Reason]:
    """Return why a route alone sends the message to a person, if it does."""
    if found.intent is None or found.in_scope < lines.in_scope:
        return [
            Reason(code="route.out_of_scope", text="The message is about nothing that this assistant answers.")
        ]
    if found.confidence < lines.route_confidence:
        text = f"The subject is not clear enough ({found.confidence:.0%} for {found.intent})."
        return [Reason(code="route.unsure", text=text)]
    if found.autonomy is Autonomy.HUMAN:
        return [Reason(code="route.human", text=f"Policy leaves {found.intent} to people.")]
    return []


def after_route(autonomy: Autonomy, ruling: RuleOutcome, doubted: bool) -> tuple[Outcome, Autonomy]:
    """Return what follows a route and the autonomy that its answer then has: the strictest of all that was said.

    ``pass``, ``say`` and ``review`` go on to an answer, the others to a person.
    """
    if doubted:
        return strictest([Outcome.ESCALATE, ruling.outcome]), autonomy
    held = ruling.outcome is Outcome.REVIEW and autonomy is Autonomy.AUTO
    return ruling.outcome, Autonomy.REVIEW if held else autonomy


def after_check(autonomy: Autonomy, *asked: Outcome) -> Outcome:
    """Return what becomes of an answer, by its autonomy and by what the checks and rules ask: the strictest.

    A whole answer is not revised, so a person sees to what a check would have it revised for.
    """
    whole = [Outcome.REVIEW if each is Outcome.REVISE else each for each in asked]
    return strictest([ALONE[autonomy], *whole])
