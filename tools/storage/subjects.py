"""Subjects: the people whom conversations are with, found by a digest and sealed like the values of the vault.

What an app says of its customer is stored sealed, as a text in the JSON column ``customer``; ``subject`` holds a
keyed digest of the customer's id, by which all that is theirs is found, or nothing for a conversation without one.
A row of an earlier version holds plain JSON and no ``subject`` until ``seal_old`` has been there.
"""

from __future__ import annotations

from typing import Any

import orjson
from sqlalchemy import Connection, RowMapping, Select, Table, bindparam, select, update

from policies.types import JSON
from tools.storage import tables
from tools.storage.sealing import Sealer
from tools.storage.store import Tx

NOBODY = ""
LIMIT = 500
_c = tables.conversation.c
_OF_SUBJECT = (
    select(_c.id)
    .where(_c.workspace_id == bindparam("ws"), _c.subject == bindparam("digest"))
    .order_by(_c.created_at, _c.id)
)
_LOCKED = _OF_SUBJECT.order_by(None).order_by(_c.id).limit(bindparam("most")).with_for_update()
_OLD = (
    select(_c.id, _c.customer)
    .where(_c.workspace_id == bindparam("ws"), _c.subject.is_(None))
    .order_by(_c.id)
    .limit(LIMIT)
    .with_for_update()
)
_SEAL = (
    update(tables.conversation)
    .where(_c.workspace_id == bindparam("of_ws"), _c.id == bindparam("conversation"))
    .values(customer=bindparam("sealed", type_=_c.customer.type), subject=bindparam("digest"))
)
_OF_RUNS = select(tables.run.c.id).where(
    tables.run.c.workspace_id == bindparam("ws"), tables.run.c.conversation_id == bindparam("conversation")
)


def _part(table: Table, names: str, *, by_run: bool = False) -> Select[Any]:
    """Return the statement that reads these columns of a conversation's rows, by the index that there is."""
    columns = table.c
    theirs = columns.run_id.in_(_OF_RUNS) if by_run else columns.conversation_id == bindparam("conversation")
    wanted = select(*(columns[name] for name in names.split()))
    return wanted.where(columns.workspace_id == bindparam("ws"), theirs).order_by(columns.created_at)


_PARTS = {
    "runs": _part(
        tables.run,
        "id graph assistant_version status outcome intent input resume trace_id principal created_at finished_at",
    ),
    "reviews": _part(
        tables.review,
        "id run_id kind queue priority status draft reasons due_at answer decided_by decided_at created_at",
        by_run=True,
    ),
    "suggestions": _part(tables.suggestion, "id run_id sentences outcome created_at decided_at"),
    "handoffs": _part(tables.handoff, "id run_id queue priority brief due_at created_at"),
    "actions": _part(tables.receipt, "key run_id action status result created_at finished_at", by_run=True),
    "dataset_items": _part(tables.dataset_item, "id run_id kind source version content created_at"),
}
_WITH_OLD = select(_c.workspace_id).where(_c.subject.is_(None)).distinct()


def digest(sealer: Sealer, workspace_id: str, subject: str) -> str:
    """Return the keyed digest that stands for a subject; another workspace has another for the same id."""
    return sealer.digest(f"subject\n{workspace_id}\n{subject}")


def sealed(tx: Tx, customer: JSON) -> JSON:
    """Return the columns that keep what an app says of a customer."""
    subject = customer.get("id")
    return {
        "customer": tx.sealer.seal(orjson.dumps(customer).decode()).decode() if customer else {},
        "subject": digest(tx.sealer, tx.workspace_id, subject) if subject else NOBODY,
    }


def opened(tx: Tx, customer: Any) -> JSON:
    """Return what ``sealed`` kept, or what an earlier version kept as it was."""
    found: JSON = orjson.loads(tx.sealer.open(customer.encode())) if isinstance(customer, str) else customer
    return found


def conversations_of(tx: Tx, subject: str) -> list[str]:
    """Return the ids of a subject's conversations, oldest first; ``subject`` is the digest."""
    return [row["id"] for row in tx.all(_OF_SUBJECT, digest=subject)]


def locked(tx: Tx, subject: str, *, most: int) -> list[str]:
    """Return ids of a subject's conversations, which nobody else changes until this transaction ends."""
    return [row["id"] for row in tx.all(_LOCKED, digest=subject, most=most)]


def parts_of(tx: Tx, conversation_id: str) -> dict[str, list[JSON]]:
    """Return what is kept of a conversation beside its messages, by kind, oldest first."""
    return {
        name: [_plain(row) for row in tx.all(statement, conversation=conversation_id)]
        for name, statement in _PARTS.items()
    }


def _plain(row: RowMapping) -> JSON:
    return {str(name): value for name, value in row.items()}


def with_old(connection: Connection) -> list[str]:
    """Return the workspaces with rows of an earlier version."""
    return list(connection.execute(_WITH_OLD).scalars())


def seal_old(tx: Tx) -> int:
    """Seal what an earlier version stored in the open, at most ``LIMIT`` rows; return how many there were."""
    rows = tx.all(_OLD)
    if rows:
        changed = [
            {"of_ws": tx.workspace_id, "conversation": row["id"], **_resealed(tx, row["customer"])} for row in rows
        ]
        tx.connection.execute(_SEAL, changed)
    return len(rows)


def _resealed(tx: Tx, customer: Any) -> JSON:
    columns = sealed(tx, opened(tx, customer))
    return {"sealed": columns["customer"], "digest": columns["subject"]}
