"""Reviews, suggestions and handoffs: where people come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from policies.errors import Conflict, NotFound
from policies.types import JSON
from tools.storage import tables
from tools.storage.store import Tx

APPROVE_REPLY, APPROVE_ACTION = "approve_reply", "approve_action"
"""Kinds of reviews of a customer's turn: of an answer before it is sent, of an action before it is done."""
_w = tables.review.c
_LATEST_OF_RUN = (
    select(tables.review)
    .where(_w.workspace_id == bindparam("ws"), _w.run_id == bindparam("run"))
    .order_by(_w.created_at.desc(), _w.id.desc())
    .limit(1)
)


@dataclass(frozen=True, kw_only=True)
class Review:
    """A question to a person, with a response schema and a due time."""

    id: str
    run_id: str
    conversation_id: str
    kind: str
    queue: str
    status: str
    """``open``, ``decided``, ``expired`` or ``stale``."""
    draft: list[JSON]
    """What is to be approved: the sentences of an answer, or one action with what it is told."""
    response_schema: JSON
    reasons: list[JSON]
    due_at: str
    answer: JSON | None
    decided_by: str | None
    decided_at: str | None
    created_at: str
    priority: str = "normal"


def create(tx: Tx, values: JSON) -> Review:
    """Ask a person."""
    row = {
        "status": "open",
        "priority": "normal",
        "answer": None,
        "decided_by": None,
        "decided_at": None,
        "created_at": tx.now(),
        **values,
    }
    tx.insert(insert(tables.review), [row])
    return Review(**row)


def get(tx: Tx, review_id: str) -> Review:
    """Return a review; raises ``NotFound``."""
    row = tx.one(select(tables.review).where(_w.workspace_id == tx.workspace_id, _w.id == review_id))
    if row is None:
        raise NotFound(f"There is no review {review_id!r}.", remedy="List them at /v1/reviews.")
    return _review(row)


def listed(tx: Tx, *, status: str | None, limit: int) -> list[Review]:
    """Return reviews, those due first first."""
    statement = select(tables.review).where(_w.workspace_id == tx.workspace_id)
    if status:
        statement = statement.where(_w.status == status)
    return [_review(row) for row in tx.all(statement.order_by(_w.due_at, _w.id).limit(limit))]


def close(tx: Tx, review_id: str, *, status: str, answer: JSON | None, by: str) -> Review:
    """Answer a review, once; raises ``Conflict`` carrying the first answer when it is closed already."""
    changed = tx.change(
        update(tables.review)
        .where(_w.workspace_id == tx.workspace_id, _w.id == review_id, _w.status == "open")
        .values(status=status, answer=answer, decided_by=by, decided_at=tx.now())
    )
    review = get(tx, review_id)
    if not changed:
        raise Conflict(
            f"The review {review_id} is {review.status} already.",
            remedy="Look at `first`.",
            code="review.closed",
            first={"status": review.status, "answer": review.answer, "decided_at": review.decided_at},
        )
    return review


def raise_priority(tx: Tx, review_id: str, *, missed: str, priority: str, due_at: str) -> bool:
    """Give an open review that nobody answered by ``missed`` a higher priority and more time, once.

    Returns False when it is closed or has been raised already.
    """
    changed = tx.change(
        update(tables.review)
        .where(_w.workspace_id == tx.workspace_id, _w.id == review_id, _w.status == "open", _w.due_at == missed)
        .values(priority=priority, due_at=due_at)
    )
    return bool(changed)


def open_of_run(tx: Tx, run_id: str) -> Review | None:
    """Return the open review that a run waits for, or None."""
    row = tx.one(
        select(tables.review).where(_w.workspace_id == tx.workspace_id, _w.run_id == run_id, _w.status == "open")
    )
    return _review(row) if row else None


def latest_of_run(tx: Tx, run_id: str) -> Review | None:
    """Return the review that a run asked for last, open or not, or None."""
    row = tx.one(_LATEST_OF_RUN, run=run_id)
    return _review(row) if row else None


def expired(connection: Connection, now: str) -> list[tuple[str, str]]:
    """Return workspace and id of open reviews, of all workspaces, whose time has run out."""
    rows = connection.execute(select(_w.workspace_id, _w.id).where(_w.status == "open", _w.due_at < now))
    return [(row[0], row[1]) for row in rows]


def suggest(tx: Tx, conversation_id: str, run_id: str, sentences: list[JSON], outcome: str | None) -> str:
    """Keep a draft for support agents; returns its id."""
    row = {
        "id": tx.ids.new("sug"),
        "conversation_id": conversation_id,
        "run_id": run_id,
        "sentences": sentences,
        "outcome": outcome,
        "created_at": tx.now(),
        "decided_at": None,
    }
    tx.insert(insert(tables.suggestion), [row])
    return str(row["id"])


def hand_off(tx: Tx, values: JSON) -> str:
    """Record a handoff, one per run; returns its id."""
    row = {"id": tx.ids.new("hnd"), "created_at": tx.now(), **values}
    tx.insert(insert(tables.handoff), [row])
    return str(row["id"])


def handoffs(tx: Tx, conversation_id: str) -> list[JSON]:
    """Return a conversation's handoffs, oldest first."""
    handoff = tables.handoff
    rows = tx.all(
        select(handoff)
        .where(handoff.c.workspace_id == tx.workspace_id, handoff.c.conversation_id == conversation_id)
        .order_by(handoff.c.created_at)
    )
    return [{str(key): value for key, value in row.items() if key != "workspace_id"} for row in rows]


def _review(row: Any) -> Review:
    return Review(**{key: value for key, value in row.items() if key != "workspace_id"})
