"""Events: numbered without gaps, stored before they are sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_, update

from policies.errors import Fenced
from policies.types import JSON, Audience
from tools.storage import tables
from tools.storage.runs import UNFINISHED
from tools.storage.store import StoredEvent, Tx

_c = tables.conversation.c
_e = tables.event.c
_r = tables.run.c
PAGE = 500
TRIM = 2000

_INSERT = insert(tables.event)
_COUNT_UP = (
    update(tables.conversation)
    .where(_c.workspace_id == bindparam("ws"), _c.id == bindparam("conversation"))
    .values(last_event=_c.last_event + bindparam("count"))
    .returning(_c.last_event)
)
_COUNT_RUN_UP = (
    update(tables.run)
    .where(_r.workspace_id == bindparam("ws"), _r.id == bindparam("run"))
    .values(last_event=_r.last_event + bindparam("count"))
    .returning(_r.last_event)
)
_COUNT_CLAIMED_UP = _COUNT_RUN_UP.where(_r.epoch == bindparam("claimed"), _r.status == "running")
_OF_CONVERSATION = (
    select(tables.event)
    .where(_e.workspace_id == bindparam("ws"), _e.conversation_id == bindparam("conversation"))
    .where(_e.seq > bindparam("after"))
    .order_by(_e.seq)
    .limit(PAGE)
)
_OF_RUN = (
    select(tables.event)
    .where(_e.workspace_id == bindparam("ws"), _e.run_id == bindparam("run"))
    .where(_e.run_seq > bindparam("after"))
    .order_by(_e.run_seq)
    .limit(PAGE)
)
_OF_TYPES = (
    select(_e.type, _e.data)
    .where(_e.workspace_id == bindparam("ws"), _e.run_id == bindparam("run"))
    .where(_e.type.in_(bindparam("types", expanding=True)))
    .order_by(_e.run_seq)
)
_old = tables.event.alias("old").c
_UNDER_WAY = (
    select(_r.id)
    .where(_r.workspace_id == _old.workspace_id, _r.conversation_id == _old.conversation_id)
    .where(_r.status.in_(UNFINISHED))
    .exists()
)
_OLDEST = (
    select(_old.workspace_id, _old.conversation_id, _old.seq)
    .where(_old.at < bindparam("before"), ~_UNDER_WAY)
    .order_by(_old.at)
    .limit(bindparam("most"))
)
_OF_ASSISTANT = (
    select(_c.id)
    .where(_c.workspace_id == _old.workspace_id, _c.id == _old.conversation_id)
    .where(_c.assistant == bindparam("assistant"))
    .exists()
)
_KEY = tuple_(_e.workspace_id, _e.conversation_id, _e.seq)
_TRIM = delete(tables.event).where(_KEY.in_(_OLDEST))
_TRIM_ONLY = delete(tables.event).where(_KEY.in_(_OLDEST.where(_OF_ASSISTANT)))
_TRIM_EXCEPT = delete(tables.event).where(_KEY.in_(_OLDEST.where(~_OF_ASSISTANT)))


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
    alone = conversation_id == run_id
    last = 0 if alone else tx.value(_COUNT_UP, conversation=conversation_id, count=len(new))
    run_last = _raise_run(tx, run_id, epoch, len(new)) if run_id else None
    if alone and run_last is not None:
        # A run that belongs to no conversation is its own stream.
        last = run_last
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
    tx.insert(_INSERT, [vars(each) for each in stored])
    tx.appended += stored


def _raise_run(tx: Tx, run_id: str, epoch: int | None, count: int) -> int:
    if epoch is None:
        last = tx.value(_COUNT_RUN_UP, run=run_id, count=count)
    else:
        last = tx.value(_COUNT_CLAIMED_UP, run=run_id, count=count, claimed=epoch)
    if last is None:
        raise Fenced(f"Another attempt owns the run {run_id}.")
    return int(last)


def of_conversation(tx: Tx, conversation_id: str, *, after: int) -> list[StoredEvent]:
    """Return the next events of a conversation, a page at most."""
    return [_event(row) for row in tx.all(_OF_CONVERSATION, conversation=conversation_id, after=after)]


def of_run(tx: Tx, run_id: str, *, after: int) -> list[StoredEvent]:
    """Return the next events of a run, a page at most; ``after`` counts the run's own numbers."""
    return [_event(row) for row in tx.all(_OF_RUN, run=run_id, after=after)]


def of_types(tx: Tx, run_id: str, types: Sequence[str]) -> list[NewEvent]:
    """Return all events of a run that have one of these types, without their numbers."""
    rows = tx.all(_OF_TYPES, run=run_id, types=list(types))
    return [NewEvent(type=row["type"], data=row["data"]) for row in rows]


def trim(
    connection: Connection,
    *,
    before: str,
    limit: int = TRIM,
    only_of: str | None = None,
    except_of: str | None = None,
) -> int:
    """Delete the oldest events, of all workspaces, that are older than ``before``; return how many.

    Those of all assistants, or ``only_of`` one, or of all ``except_of`` one.

    At most ``limit`` go at once, so that nobody waits for long: call it until it returns less. A conversation
    with a run that has not ended keeps all its events, because the run's end goes by them. Numbers are never
    given out again.
    """
    values = {"before": before, "most": limit}
    if only_of is None and except_of is None:
        return connection.execute(_TRIM, values).rowcount
    statement = _TRIM_EXCEPT if only_of is None else _TRIM_ONLY
    return connection.execute(statement, {**values, "assistant": only_of or except_of}).rowcount


def _event(row: Any) -> StoredEvent:
    return StoredEvent(**{key: value for key, value in row.items() if key != "workspace_id"})
