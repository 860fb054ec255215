"""Events: numbered without gaps, stored before they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from policies.errors import Fenced
from policies.types import JSON, Audience
from tools.storage import tables
from tools.storage.store import StoredEvent, Tx

_c = tables.conversation.c
_e = tables.event.c
_r = tables.run.c
PAGE = 500


@dataclass(frozen=True, kw_only=True)
class NewEvent:
    """An event that has no number yet."""

    type: str
    data: JSON
    audience: Audience = "customer"


def append(
    tx: Tx, conversation_id: str, new: Sequence[NewEvent], *, run_id: str | None = None, epoch: int | None = None
) -> None:
    """Number and store events.

    With ``epoch`` the append is fenced: it raises ``Fenced`` when another attempt owns the run by now.
    """
    if not new:
        return
    last = tx.connection.execute(
        update(tables.conversation)
        .where(_c.workspace_id == tx.workspace_id, _c.id == conversation_id)
        .values(last_event=_c.last_event + len(new))
        .returning(_c.last_event)
    ).scalar_one()
    run_last = _raise_run(tx, run_id, epoch, len(new)) if run_id else None
    stored = [
        StoredEvent(
            conversation_id=conversation_id,
            seq=last - len(new) + index,
            run_id=run_id,
            run_seq=None if run_last is None else run_last - len(new) + index,
            type=item.type,
            audience=item.audience,
            data=item.data,
            at=tx.now(),
        )
        for index, item in enumerate(new, start=1)
    ]
    tx.run(insert(tables.event), [{"workspace_id": tx.workspace_id, **vars(each)} for each in stored])
    tx.appended += stored


def _raise_run(tx: Tx, run_id: str, epoch: int | None, count: int) -> int:
    statement = update(tables.run).where(_r.workspace_id == tx.workspace_id, _r.id == run_id)
    if epoch is not None:
        statement = statement.where(_r.epoch == epoch)
    last = tx.connection.execute(
        statement.values(last_event=_r.last_event + count).returning(_r.last_event)
    ).scalar_one_or_none()
    if last is None:
        raise Fenced(f"Another attempt owns the run {run_id}.")
    return int(last)


def of_conversation(tx: Tx, conversation_id: str, *, after: int) -> list[StoredEvent]:
    """Return the next events of a conversation, a page at most."""
    rows = tx.all(
        select(tables.event)
        .where(_e.workspace_id == tx.workspace_id, _e.conversation_id == conversation_id, _e.seq > after)
        .order_by(_e.seq)
        .limit(PAGE)
    )
    return [_event(row) for row in rows]


def of_run(tx: Tx, run_id: str, *, after: int) -> list[StoredEvent]:
    """Return the next events of a run, a page at most; ``after`` counts the run's own numbers."""
    rows = tx.all(
        select(tables.event)
        .where(_e.workspace_id == tx.workspace_id, _e.run_id == run_id, _e.run_seq > after)
        .order_by(_e.run_seq)
        .limit(PAGE)
    )
    return [_event(row) for row in rows]


def _event(row: Any) -> StoredEvent:
    return StoredEvent(**{key: value for key, value in row.items() if key != "workspace_id"})
