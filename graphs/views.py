"""What readers are shown: staff-only things left out, personal data put back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphs.replay import last_number
from policies.personal_data import PLACEHOLDER, reveal
from policies.types import JSON, Principal
from tools.storage import conversations, events, ledger, reviews, runs, vault
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


# Members of events that only staff may read.
_STAFF_ONLY = {"owner.changed": {"by", "from", "note"}}


class Reader:
    """Shows events to one principal: leaves out what is for staff, puts personal data back."""

    def __init__(self, principal: Principal) -> None:
        self._principal = principal

    async def show_all(self, workspace: Workspace, batch: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Return those of a conversation's events that this reader may see, personal data put back."""
        staff = self._principal.role != "customer"
        visible = list(batch) if staff else [_public(event) for event in batch if event.audience == "customer"]
        wanted = _placeholders([event.data for event in visible])
        if not wanted:
            return visible
        values = await workspace.read(lambda tx: vault.values(tx, visible[0].conversation_id, wanted))
        return [replace(event, data=_reveal_all(event.data, values)) for event in visible]


def _public(event: StoredEvent) -> StoredEvent:
    hidden = _STAFF_ONLY.get(event.type)
    if hidden is None:
        return event
    return replace(event, data={name: it for name, it in event.data.items() if name not in hidden})


def _placeholders(value: Any) -> set[str]:
    if isinstance(value, dict):
        return _placeholders(list(value.values()))
    if isinstance(value, list):
        return set().union(*map(_placeholders, value))
    return set(PLACEHOLDER.findall(value)) if isinstance(value, str) else set()


def revealed(tx: Tx, conversation_id: str, value: Any) -> Any:
    """Return plain data with personal data put back into its texts; only what occurs in it is decrypted."""
    wanted = _placeholders(value)
    return _reveal_all(value, vault.values(tx, conversation_id, wanted)) if wanted else value


def _reveal_all(value: Any, values: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _reveal_all(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_reveal_all(item, values) for item in value]
    return reveal(value, values) if isinstance(value, str) else value


def conversation_view(tx: Tx, conversation_id: str, *, staff: bool) -> ConversationView:
    """Return a conversation with its messages and, for staff, its handoffs and who has it."""
    messages = conversations.messages(tx, conversation_id)
    texts = revealed(tx, conversation_id, [each.text for each in messages])
    found = conversations.get(tx, conversation_id)
    return ConversationView(
        conversation=found if staff else replace(found, owner_id=None),
        messages=[replace(each, text=text) for each, text in zip(messages, texts, strict=True)],
        handoffs=revealed(tx, conversation_id, reviews.handoffs(tx, conversation_id)) if staff else [],
    )


def review_view(tx: Tx, review: Review) -> Review:
    """Return a review with personal data put back into its draft and its answer."""
    draft, answer = revealed(tx, review.conversation_id, [review.draft, review.answer])
    return replace(review, draft=draft, answer=answer)


def before_next(tx: Tx, run_id: str, after: int) -> int:
    """Return the conversation's number right before the run's next event after its own number ``after``."""
    # Read first: what is committed between the two reads comes after it.
    last = last_number(tx, runs.get(tx, run_id).conversation_id)
    page = events.of_run(tx, run_id, after=after)
    return page[0].seq - 1 if page else last


def run_view(tx: Tx, run_id: str) -> RunView:
    """Return how a run stands and what it said; it reads nothing that is trimmed by age."""
    run = runs.get(tx, run_id)
    said = conversations.said_by(tx, run.conversation_id, run_id)
    review = reviews.open_of_run(tx, run_id)
    return RunView(
        run_id=run.id,
        conversation_id=run.conversation_id,
        status=run.status,
        outcome="review" if run.status == "waiting" else run.outcome,
        text=revealed(tx, run.conversation_id, said.text) if said else "",
        citations=said.citations if said else [],
        route=_route(tx, run_id),
        review_id=review.id if review else None,
        trace_id=run.trace_id,
    )


def _route(tx: Tx, run_id: str) -> JSON | None:
    """Return where the latest attempt at a run sent its message, or None if none came so far."""
    routed = [each for each in ledger.of_run(tx, run_id) if each["kind"] == "route"]
    if not routed or "route" in routed[-1]:
        return routed[-1]["route"] if routed else None
    # Version 0.1 wrote the whole route into the step's event alone.
    steps = events.of_types(tx, run_id, ("step.finished",))
    return next((each.data["route"] for each in reversed(steps) if "route" in each.data), None)
