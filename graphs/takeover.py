"""A person takes a conversation over, writes in it and gives it back. Each is one transaction.

What the bot has under way ends here or at its next write, and is said to nobody; its draft becomes a suggestion.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphs.delivery import finished
from graphs.effects import abandon
from graphs.turn import STEPS_PER_ATTEMPT
from graphs.withdrawal import withdraw_shown
from graphs.writing import NO_FINDINGS, Findings, masked_by_staff
from policies.errors import Conflict, InputError
from policies.types import JSON, Owner, Principal, Sentence, to_json
from tools.storage import conversations, events, idempotency, ledger, receipts, reviews, runs
from tools.storage.conversations import Conversation, Message
from tools.storage.events import NewEvent
from tools.storage.ledger import Decision
from tools.storage.reviews import Review
from tools.storage.runs import Run
from tools.storage.store import Tx

REPLIES_ROUTE = "POST /v1/conversations/{id}/replies"
HANDED_OVER = "handed_over"


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A conversation after a person has taken it or given it back."""

    conversation: Conversation
    ended: tuple[str, ...] = ()
    """Runs that this has ended."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a person writes to the customer."""

    principal: Principal
    conversation_id: str
    text: str
    key: str | None

    @property
    def body(self) -> JSON:
        """What an Idempotency-Key is bound to."""
        return {"conversation_id": self.conversation_id, "text": self.text}


@dataclass(frozen=True, kw_only=True)
class Replied:
    """A person's message that is on disk."""

    message: Message
    ended: tuple[str, ...] = ()
    """Runs that this has ended."""
    replayed: bool = False
    """Whether this is the stored result of an earlier request with the same key."""


def require_staff(principal: Principal) -> None:
    """Refuse customers; raises ``InputError`` with the code ``forbidden``."""
    if principal.role == "customer":
        raise InputError(
            "A customer may not do this.", remedy="It is for the people who answer customers.", code="forbidden"
        )


def take(tx: Tx, principal: Principal, conversation_id: str, from_id: str | None = None) -> Moved:
    """Make a person responsible; does nothing for the one who is.

    Raises ``Conflict``, saying who and since when, if another person has it, unless ``from_id`` names that one.
    """
    conversation = conversations.lock(tx, conversation_id)
    if _has(principal, conversation):
        return Moved(conversation=conversation)
    if conversation.owner_id != from_id:
        _require_free(conversation)
    return _take(tx, principal, conversation)


def reply(tx: Tx, request: Reply, found: Findings = NO_FINDINGS) -> Replied:
    """Send a person's message to the customer; who writes takes the conversation, unless another person has it.

    Raises ``Conflict`` in that case, and ``InputError`` for a placeholder that stands for nothing.
    """
    conversation = conversations.lock(tx, request.conversation_id)
    if stored := _recalled(tx, request):
        message = conversations.message(tx, conversation.id, stored["message_id"])
        return Replied(message=message, replayed=True)
    ended: tuple[str, ...] = ()
    if not _has(request.principal, conversation):
        _require_free(conversation)
        ended = _take(tx, request.principal, conversation).ended
    text = masked_by_staff(tx, conversation.id, request.text, found.get(request.text))
    said = conversations.add_message(tx, conversation.id, author="human", text=text, run_id=None)
    events.append(tx, conversation.id, _told(said))
    digests = ledger.digests(tx, conversation.id, output=text)
    _record(tx, conversation.id, "reply", request.principal, outcome="sent", message=said.id, digests=digests)
    _remember(tx, request, said)
    return Replied(message=said, ended=ended)


def hand_back(
    tx: Tx, principal: Principal, conversation_id: str, note: str | None = None, found: Findings = NO_FINDINGS
) -> Moved:
    """Give a conversation back to the bot, which answers what comes from now on and nothing that came before.

    Does nothing when the bot has it. Raises ``Conflict`` when another person does.
    """
    conversation = conversations.lock(tx, conversation_id)
    if conversation.owner is Owner.BOT:
        return Moved(conversation=conversation)
    if not _has(principal, conversation):
        _require_free(conversation)
    left = runs.unfinished(tx, conversation.id)
    for run in left:
        _end(tx, run, principal)
    conversations.set_owner(tx, conversation.id, Owner.BOT)
    data = {"owner": str(Owner.BOT), "by": principal.id}
    masked = masked_by_staff(tx, conversation.id, note, found.get(note)) if note else None
    if masked:
        data["note"] = masked
    events.append(tx, conversation.id, [NewEvent(type="owner.changed", data=data)])
    reasons = [{"code": "takeover.return", "text": masked}] if masked else []
    _record(tx, conversation.id, "return", principal, outcome=str(Owner.BOT), reasons=reasons)
    return Moved(conversation=conversations.get(tx, conversation.id), ended=tuple(run.id for run in left))


def _has(principal: Principal, conversation: Conversation) -> bool:
    return conversation.owner is Owner.HUMAN and conversation.owner_id == principal.id


def _require_free(conversation: Conversation) -> None:
    if conversation.owner is Owner.HUMAN:
        raise Conflict(
            f"The conversation {conversation.id} has been with {conversation.owner_id} "
            f"since {conversation.owner_since}.",
            remedy='To take it from them, post {"from": "..."} with that name to /take.',
            code="conversation.taken",
            first={"owner_id": conversation.owner_id, "owner_since": conversation.owner_since},
        )


def _take(tx: Tx, principal: Principal, conversation: Conversation) -> Moved:
    left = runs.unfinished(tx, conversation.id)
    ended = tuple(run.id for run in left if not _goes_on(tx, run))
    for run in left:
        if run.id in ended:
            _end(tx, run, principal)
        else:
            withdraw_shown(tx, run, HANDED_OVER)
    waiting = left[0].created_at if left else None
    conversations.set_owner(tx, conversation.id, Owner.HUMAN, owner_id=principal.id, waiting_since=waiting)
    data: JSON = {"owner": str(Owner.HUMAN), "by": principal.id}
    if conversation.owner is Owner.HUMAN:
        data["from"] = conversation.owner_id
    events.append(tx, conversation.id, [NewEvent(type="owner.changed", data=data)])
    before = {"owner": str(conversation.owner), "owner_id": conversation.owner_id}
    _record(tx, conversation.id, "take", principal, outcome=str(Owner.HUMAN), before=before)
    return Moved(conversation=conversations.get(tx, conversation.id), ended=ended)


def _goes_on(tx: Tx, run: Run) -> bool:
    """Whether a run is left to find out at its next write that a person came first.

    A draft of which something was shown, one that a person has approved and the result of an effect are worth
    keeping, and only the attempt that works on them has them.
    """
    return run.status != "waiting" and (run.released or run.resume is not None or receipts.has_any(tx, run.id))


def _end(tx: Tx, run: Run, principal: Principal) -> None:
    """End a run at once; what a review asks about, or has approved, becomes a suggestion."""
    review = reviews.latest_of_run(tx, run.id) if run.status == "waiting" or run.resume is not None else None
    if review is not None and review.status == "open":
        reviews.close(tx, review.id, status="stale", answer=None, by=principal.id)
    runs.end(tx, run.id, HANDED_OVER)
    abandon(tx, run)
    withdraw_shown(tx, run, HANDED_OVER)
    told = _suggested(tx, run, review) if review and review.kind == reviews.APPROVE_REPLY else []
    events.append(tx, run.conversation_id, [*told, finished(HANDED_OVER)], run_id=run.id)
    reason = {"code": "takeover.ended", "text": f"{principal.id} has taken the conversation over."}
    body = {**_body(principal, HANDED_OVER), "reasons": [reason], "trace_id": run.trace_id}
    decision = Decision(node="takeover", kind="close", body=body, step=run.epoch * STEPS_PER_ATTEMPT)
    ledger.append(tx, run.conversation_id, run.id, [decision])


def _suggested(tx: Tx, run: Run, review: Review) -> list[NewEvent]:
    edited = (review.answer or {}).get("text")
    sentences = [to_json(Sentence(text=edited))] if edited else review.draft
    reviews.suggest(tx, run.conversation_id, run.id, sentences, None)
    return [NewEvent(type="suggestion", data={"sentences": sentences}, audience="staff")]


def _told(said: Message) -> list[NewEvent]:
    opened = {"message_id": said.id, "author": "human"}
    piece = {"message_id": said.id, "index": 0, "text": said.text, "citations": []}
    return [
        NewEvent(type="message.created", data=opened),
        NewEvent(type="message.delta", data=piece),
        NewEvent(type="message.completed", data={**opened, "text": said.text, "citations": []}),
    ]


def _body(principal: Principal, outcome: str) -> JSON:
    return {"actor": {"type": principal.role, "id": principal.id}, "outcome": outcome, "reasons": [], "rules": []}


def _record(
    tx: Tx, conversation_id: str, kind: str, principal: Principal, *, outcome: str, **grounds: object
) -> None:
    body = {**_body(principal, outcome), **grounds}
    ledger.append(tx, conversation_id, None, [Decision(node="takeover", kind=kind, body=body)])


def _scope(request: Reply) -> dict[str, str]:
    return {"principal": request.principal.id, "route": REPLIES_ROUTE}


def _recalled(tx: Tx, request: Reply) -> JSON | None:
    if request.key is None:
        return None
    return idempotency.recall(tx, **_scope(request), key=request.key, body=request.body)


def _remember(tx: Tx, request: Reply, said: Message) -> None:
    if request.key is not None:
        result = {"message_id": said.id}
        idempotency.remember(tx, **_scope(request), key=request.key, body=request.body, result=result)
