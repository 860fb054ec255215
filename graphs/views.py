"""What readers are shown: staff-only things left out, personal data put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from policies.personal_data import PLACEHOLDER, reveal
from policies.types import JSON, Principal
from tools.storage import conversations, events, reviews, runs, vault
from tools.storage.conversations import Conversation, Message
from tools.storage.reviews import Review
from tools.storage.store import StoredEvent, Tx, Workspace


@dataclass(frozen=True, kw_only=True)
class RunView:
    """A run as its readers see it, personal data put back."""

    run_id: str
    conversation_id: str
    status: str
    outcome: str | None
    """``answered``, ``reviewed``, ``said``, ``handed_over``, ``degraded``, ``superseded``, ``cancelled``,
    ``stale`` or, once it waits for a person, ``review``."""
    text: str
    citations: list[JSON]
    route: JSON | None
    review_id: str | None
    trace_id: str


@dataclass(frozen=True, kw_only=True)
class ConversationView:
    """A conversation with its messages, personal data put back; handoffs are for staff."""

    conversation: Conversation
    messages: list[Message]
    handoffs: list[JSON]


class Reader:
    """Shows events to one principal: leaves out what is for staff, puts personal data back."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def show_all(self, workspace: Workspace, batch: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Return those of a conversation's events that this reader may see, personal data put back."""
        staff = self._principal.role != "customer"
        visible = [event for event in batch if staff or event.audience == "customer"]
        if not any(_has_placeholder(event.data) for event in visible):
            return visible
        values = await workspace.read(lambda tx: vault.values(tx, visible[0].conversation_id))
        return [replace(event, data=reveal_all(event.data, values)) for event in visible]


def _has_placeholder(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_placeholder(item) for item in value.values())
    if isinstance(value, list):
        return any(_has_placeholder(item) for item in value)
    return isinstance(value, str) and PLACEHOLDER.search(value) is not None


def reveal_all(value: Any, values: dict[str, str]) -> Any:
    """Return plain data with personal data put back into its texts."""
    if isinstance(value, dict):
        return {key: reveal_all(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal_all(item, values) for item in value]
    return reveal(value, values) if isinstance(value, str) else value


def message_view(message: Message, values: dict[str, str]) -> Message:
    """Return a message with personal data put back."""
    return replace(message, text=reveal(message.text, values))


def review_view(tx: Tx, review: Review) -> Review:
    """Return a review with personal data put back into its draft and its answer."""
    values = vault.values(tx, review.conversation_id)
    return replace(review, draft=reveal_all(review.draft, values), answer=reveal_all(review.answer, values))


def before_next(tx: Tx, run_id: str, after: int) -> int:
    """Return the conversation's number right before the run's next event after its own number ``after``."""
    page = events.of_run(tx, run_id, after=after)
    return page[0].seq - 1 if page else conversations.get(tx, runs.get(tx, run_id).conversation_id).last_event


def run_view(tx: Tx, run_id: str) -> RunView:
    """Return how a run stands and what it said."""
    run = runs.get(tx, run_id)
    said, citations, route = "", [], None
    for event in events.of_run(tx, run_id, after=0):
        if event.type == "message.completed":
            said, citations = event.data["text"], event.data["citations"]
        elif event.type == "step.finished" and event.data["name"] == "route":
            route = event.data.get("route")
    review = reviews.open_of_run(tx, run_id)
    return RunView(
        run_id=run.id,
        conversation_id=run.conversation_id,
        status=run.status,
        outcome="review" if run.status == "waiting" else run.outcome,
        text=reveal(said, vault.values(tx, run.conversation_id)),
        citations=citations,
        route=route,
        review_id=review.id if review else None,
        trace_id=run.trace_id,
    )
