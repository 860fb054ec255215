"""A change of consent: one transaction with its decision, which takes back at once what rested on the consent."""

from __future__ import annotations

from collections.abc import Mapping

from policies.consent import changed
from policies.errors import InputError
from policies.types import JSON, Principal
from tools.storage import conversations, datasets, events, ledger
from tools.storage.conversations import Conversation
from tools.storage.events import NewEvent
from tools.storage.ledger import Decision
from tools.storage.store import Tx

CHANGED = "consent.changed"
_MAY = frozenset({"customer", "staff", "admin"})


def change(tx: Tx, principal: Principal, conversation_id: str, given: Mapping[str, bool | None]) -> Conversation:
    """Note what the customer of a conversation agrees to; where ``given`` is silent, nothing changes.

    Without ``train_eval`` the examples taken from the conversation go in the same transaction. What was said
    before stays as it is: nothing is written, and nothing is decided, where nothing changes.
    """
    if principal.role not in _MAY:
        raise InputError(
            f"A {principal.role} may not change what a customer agreed to.",
            remedy="It is for the customer and for staff.",
            code="forbidden",
        )
    conversation = conversations.lock(tx, conversation_id)
    before, after = conversation.consent, changed(conversation.consent, given)
    if after == before:
        return conversation
    conversations.set_consent(tx, conversation_id, after)
    removed = 0 if after["train_eval"] else datasets.remove_of_conversations(tx, [conversation_id])
    grounds: JSON = {"before": before, "after": after, "removed": removed}
    told = NewEvent(type=CHANGED, data={**grounds, "by": principal.id}, audience="staff")
    events.append(tx, conversation_id, [told])
    body = {
        "actor": actor_of(principal),
        "outcome": _outcome(before, after),
        "reasons": [],
        "rules": [],
        **grounds,
    }
    ledger.append(tx, conversation_id, None, [Decision(node="privacy", kind=CHANGED, body=body)])
    return conversations.get(tx, conversation_id)


def actor_of(principal: Principal) -> JSON:
    """Return who decides, as the ledger has it: of a customer only that it was one, because nothing goes there."""
    return {"type": principal.role, "id": "" if principal.role == "customer" else principal.id}


def _outcome(before: Mapping[str, bool], after: Mapping[str, bool]) -> str:
    lost = any(before.get(scope) and not agreed for scope, agreed in after.items())
    return "withdrawn" if lost else "given"
