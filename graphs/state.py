"""What travels through the support graph: plain JSON, so that no class name ever enters a checkpoint."""

from __future__ import annotations

from typing import TypedDict

from policies.types import JSON


class State(TypedDict, total=False):
    """The state of one run."""

    question: str
    """The customer's messages that this run answers, joined, with placeholders."""
    history: list[JSON]
    """Earlier turns, oldest first."""
    previous_intent: str | None
    turns: int
    """How many messages the customer sent before."""
    too_long: bool
    """Whether the messages that the question joins are more than is read."""
    customer: JSON
    """Locale and attributes, personal data masked; never who the customer is."""
    language: str
    route: JSON
    autonomy: str
    """The route's autonomy, tightened by rules."""
    asked: str
    """The question as it was searched for: with the one it follows up, and in the documents' words."""
    passages: list[JSON]
    actions: list[JSON]
    """What was done for the intent: name, status and result of each action, with placeholders."""
    sentences: list[JSON]
    """Sentences that passed the gate, in order."""
    rejected: list[str]
    """Texts that the gate refused; a revision must do without them."""
    confidence: float
    """The drafter's probability that the passages answer the question."""
    revisions: int
    reasons: list[JSON]
    queue: str
    priority: str
    required: JSON
    """Actions that a rule wants approved by a person first, each with the rule's reason."""
    said: str
    """The text that policy answers with instead of a draft."""
    say: str
    """What the customer reads at a handover, unless it is the policy's usual text."""
    answer: JSON
    """What the person decided in the review."""
    next: str
    """The node that comes next."""
