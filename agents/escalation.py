"""Escalation: the brief that lets a person take over without reading everything again."""

from __future__ import annotations

from dataclasses import dataclass

from policies.types import Brief, Passage, Reason, Route, Sentence, Turn
from tools.models.mandate import Mandate

FOUND = 3


@dataclass(frozen=True, kw_only=True)
class EscalationRequest:
    """What is known at the moment of handing over."""

    question: str
    history: tuple[Turn, ...]
    route: Route | None
    passages: tuple[Passage, ...]
    sentences: tuple[Sentence, ...]
    reasons: tuple[Reason, ...]
    queue: str
    priority: str
    customer_message: str
    done: tuple[str, ...] = ()
    """Actions that were carried out."""
    mandate: Mandate | None = None


class LocalEscalation:
    """Writes the brief from facts alone; nothing in it is made up."""

    async def __call__(self, request: EscalationRequest) -> Brief:
        """Write one brief."""
        return Brief(
            asked=_asked(request),
            why=request.reasons,
            tried=tuple(_tried(request)),
            found=tuple(_found(request)),
            next_step=_next_step(request),
            queue=request.queue,
            priority=request.priority,
            customer_message=request.customer_message,
        )


def _asked(request: EscalationRequest) -> str:
    earlier = [turn.text for turn in request.history if turn.author == "customer"]
    return f"{request.question} (before that: {earlier[-1]})" if earlier else request.question


def _tried(request: EscalationRequest) -> list[str]:
    tried = []
    if request.route:
        subject = request.route.intent or "none of the known subjects"
        tried.append(f"Routed to {subject} with a confidence of {request.route.confidence:.0%}.")
    if request.passages:
        titles = dict.fromkeys(passage.title for passage in request.passages)
        tried.append(f"Searched the articles; looked at {', '.join(list(titles)[:FOUND])}.")
    if request.done:
        tried.append(f"Did {', '.join(request.done)}.")
    if request.sentences:
        tried.append("Drafted: " + " ".join(sentence.text for sentence in request.sentences))
    return tried


def _found(request: EscalationRequest) -> list[str]:
    return [f"{passage.title} ({passage.document}): {passage.heading}" for passage in request.passages[:FOUND]]


def _next_step(request: EscalationRequest) -> str:
    if any(reason.code == "act.unknown" for reason in request.reasons):
        return "Find out first whether what was begun has been done; nothing will try it again. Then answer."
    if request.sentences:
        return "Check the draft against what was asked; send, change or dismiss it."
    if request.route and request.route.intent:
        return f"Answer the customer on {request.route.intent.replace('_', ' ')}; no draft was made."
    return "Read the message and decide who should answer; its subject is not one that the assistant knows."
