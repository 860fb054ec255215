"""Erasing conversations: all that was said in them goes; the ledger keeps what was decided, and that they went.

Their decisions hold salted digests of what was said, and the salt goes too: the chain stays valid and nothing can
be guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, delete, or_, select, update

from policies.types import JSON
from tools.storage import conversations, ledger, tables
from tools.storage.ledger import Decision
from tools.storage.runs import UNFINISHED
from tools.storage.store import Tx

LIMIT = 200
ERASED = "conversation.erased"
_c = tables.conversation.c
_r = tables.run.c
_m = tables.message.c
_i = tables.idempotency.c
_UNDER_WAY = (
    select(_r.id)
    .where(_r.workspace_id == _c.workspace_id, _r.conversation_id == _c.id, _r.status.in_(UNFINISHED))
    .exists()
)
_IDLE = (
    select(_c.workspace_id, _c.id)
    .where(_c.assistant == bindparam("assistant"), _c.active_at < bindparam("before"), ~_UNDER_WAY)
    .order_by(_c.active_at)
    .limit(LIMIT)
)
_STILL_IDLE = select(_c.id).where(
    _c.workspace_id == bindparam("ws"),
    _c.id == bindparam("conversation"),
    _c.active_at < bindparam("before"),
    ~_UNDER_WAY,
)
_THESE: BindParameter[Any] = bindparam("conversations", expanding=True)
_RUNS = select(_r.id).where(_r.workspace_id == bindparam("ws"), _r.conversation_id.in_(_THESE))
_BUSY = _RUNS.where(_r.status == "running").order_by(_r.id)
_MESSAGES = select(_m.id).where(_m.workspace_id == bindparam("ws"), _m.conversation_id.in_(_THESE))
_FORGET_KEYS = delete(tables.idempotency).where(
    _i.workspace_id == bindparam("ws"),
    or_(_i.result["conversation_id"].as_string().in_(_THESE), _i.result["message_id"].as_string().in_(_MESSAGES)),
)
# Each by the index that it has: what is found by its run goes before the runs.
_OF_RUNS = (tables.review, tables.receipt, tables.workflow_run)
_OF_CONVERSATIONS = (
    tables.message,
    tables.event,
    tables.suggestion,
    tables.handoff,
    tables.run,
    tables.vault,
    tables.content_salt,
    tables.dataset_item,
    # Sums of days and intents name no conversation, and stay.
    tables.spending,
)
_h = tables.spending_hold.c
_DELETE = [
    *(delete(part).where(part.c.workspace_id == bindparam("ws"), part.c.run_id.in_(_RUNS)) for part in _OF_RUNS),
    *(
        delete(part).where(part.c.workspace_id == bindparam("ws"), part.c.conversation_id.in_(_THESE))
        for part in _OF_CONVERSATIONS
    ),
    # What is still set aside counts on, for the day and nobody else.
    update(tables.spending_hold)
    .where(_h.workspace_id == bindparam("ws"), _h.conversation_id.in_(_THESE))
    .values(conversation_id="", run_id=""),
    delete(tables.conversation).where(_c.workspace_id == bindparam("ws"), _c.id.in_(_THESE)),
]


def idle(connection: Connection, assistant: str, before: str) -> list[tuple[str, str]]:
    """Return workspace and id of an assistant's conversations in which nothing happened since; the oldest, at most
    ``LIMIT``. One with a run that has not ended is not among them.
    """
    rows = connection.execute(_IDLE, {"assistant": assistant, "before": before})
    return [(row[0], row[1]) for row in rows]


def erase_idle(tx: Tx, conversation_id: str, *, before: str, actor: JSON) -> bool:
    """Erase a conversation unless something has happened in it since; returns whether it went."""
    conversations.lock(tx, conversation_id)
    if tx.value(_STILL_IDLE, conversation=conversation_id, before=before) is None:
        return False
    # The keys of its requests are older than such keys are kept.
    _erase(tx, [conversation_id], Decision(node="house", kind=ERASED, body=_body(actor, before=before)))
    return True


def at_work(tx: Tx, conversation_ids: Sequence[str]) -> list[str]:
    """Return the ids of runs of these conversations that some process has claimed."""
    return [row["id"] for row in tx.all(_BUSY, conversations=list(conversation_ids))]


def erase(tx: Tx, conversation_ids: Sequence[str], *, actor: JSON, **grounds: object) -> tuple[str, ...]:
    """Erase conversations that are locked and in which no run is under way, with a decision in each one's stream.

    Returns the ids of their runs, whose checkpoints are to go too.
    """
    these = list(conversation_ids)
    runs = tuple(row["id"] for row in tx.all(_RUNS.order_by(_r.id), conversations=these))
    # Before the messages, by which some are found.
    tx.change(_FORGET_KEYS, conversations=these)
    _erase(tx, these, Decision(node="privacy", kind=ERASED, body=_body(actor, **grounds)))
    return runs


def _erase(tx: Tx, these: list[str], decision: Decision) -> None:
    for statement in _DELETE:
        tx.change(statement, conversations=these)
    for conversation_id in these:
        ledger.append(tx, conversation_id, None, [decision])


def _body(actor: JSON, **grounds: object) -> JSON:
    return {"actor": actor, "outcome": "erased", **grounds}
