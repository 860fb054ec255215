"""Erasing a conversation: all that was said in it goes; the ledger keeps what was decided, and that it went.

Its decisions hold salted digests of what was said, and the salt goes too: the chain stays valid and nothing can be
guessed.
"""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, delete, select

from policies.types import JSON
from tools.storage import conversations, ledger, tables
from tools.storage.ledger import Decision
from tools.storage.runs import UNFINISHED
from tools.storage.store import Tx

LIMIT = 200
_c = tables.conversation.c
_r = tables.run.c
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
_PARTS = (
    tables.message,
    tables.event,
    tables.review,
    tables.suggestion,
    tables.handoff,
    tables.receipt,
    tables.run,
    tables.vault,
    tables.content_salt,
)
_DELETE = [
    delete(part).where(part.c.workspace_id == bindparam("ws"), part.c.conversation_id == bindparam("conversation"))
    for part in _PARTS
]
_DELETE_ITSELF = delete(tables.conversation).where(
    _c.workspace_id == bindparam("ws"), _c.id == bindparam("conversation")
)


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
    for statement in _DELETE:
        tx.change(statement, conversation=conversation_id)
    tx.change(_DELETE_ITSELF, conversation=conversation_id)
    body = {"actor": actor, "outcome": "erased", "before": before}
    ledger.append(tx, conversation_id, None, [Decision(node="house", kind="conversation.erased", body=body)])
    return True
