"""What travels through the support graph: plain JSON, so that no class name ever enters a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from policies.types import (
    JSON,
    Passage,
    Reason,
    Sentence,
    Turn,
    passage_from_json,
    sentence_from_json,
    to_json,
)


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
    consent: JSON
    """What the customer agreed to when the run was claimed."""
    language: str
    suspect: bool
    """Whether a guard wants a person to look at the answer, whatever the route says."""
    route: JSON
    autonomy: str
    """The route's autonomy, tightened by rules."""
    asked: str
    """The question as it was searched for: with the one it follows up, and in the documents' words."""
    passages: list[JSON]
    actions: list[JSON]
    """What was done for the intent: name, status and result of each action, with placeholders."""
    arguments: JSON
    """What each action is told, by its name: values from the conversation, and the names of all others."""
    todo: list[str]
    """Actions that change something, or wait for a person, and are not done yet."""
    pending: JSON
    """The action that a person is asked about, with what it is told."""
    approved: JSON
    """Actions that a person has approved, each with what it may be told."""
    sentences: list[JSON]
    """Sentences that passed the gate, in order."""
    rejected: list[str]
    """Texts that the gate refused; a revision must do without them."""
    asides: list[str]
    """Texts that passed in drafts whose first sentence did not."""
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


def escalated(state: State, reasons: Sequence[Reason], *, say: str | None = None, **more: Any) -> State:
    """Return the change that leads to a person, for these reasons besides those known.

    ``say`` is what the customer reads.
    """
    kept = [*state.get("reasons", []), *(to_json(reason) for reason in reasons)]
    step: State = {"next": "escalate", "reasons": kept, **more}  # type: ignore[typeddict-item]
    if say:
        step["say"] = say
    return step


def history_of(state: State) -> tuple[Turn, ...]:
    """Return the earlier turns."""
    return tuple(Turn(**said) for said in state.get("history", []))


def passages_of(state: State) -> tuple[Passage, ...]:
    """Return the passages that were found."""
    return tuple(passage_from_json(data) for data in state.get("passages", []))


def sentences_of(state: State) -> tuple[Sentence, ...]:
    """Return the sentences that passed the gate."""
    return tuple(sentence_from_json(data) for data in state.get("sentences", []))
