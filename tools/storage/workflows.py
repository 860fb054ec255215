"""What runs of workflows were given and came to. Both are sealed: they are business data, in whatever shape.

Such a run belongs to no conversation. It is its own stream: its events, its decisions and the values behind its
placeholders are kept under its own id, where those of other runs are kept under their conversation's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, insert, select, update

from policies.types import JSON
from tools.storage import tables
from tools.storage.store import Tx

LIMIT = 200
_w = tables.workflow_run.c
_r = tables.run.c
_HERE = (_w.workspace_id == bindparam("ws"), _w.run_id == bindparam("run"))
_INSERT = insert(tables.workflow_run)
_GET = select(tables.workflow_run).where(*_HERE)
_SET_OUTPUT = update(tables.workflow_run).where(*_HERE).values(output=bindparam("sealed"))
_BATCH = (
    select(_w.run_id, _w.item_id, _w.position, _w.output, _r.graph, _r.status, _r.outcome, _w.created_at)
    .join(tables.run, (_r.workspace_id == _w.workspace_id) & (_r.id == _w.run_id))
    .where(_w.workspace_id == bindparam("ws"), _w.batch_id == bindparam("batch"))
    .order_by(_w.position)
)
_STANDING = (
    select(_r.status, _r.outcome, func.count().label("count"))
    .join(tables.workflow_run, (_r.workspace_id == _w.workspace_id) & (_r.id == _w.run_id))
    .where(_w.workspace_id == bindparam("ws"), _w.batch_id == bindparam("batch"))
    .group_by(_r.status, _r.outcome)
)
_OF_SUBJECT = (
    select(_w.run_id)
    .where(_w.workspace_id == bindparam("ws"), _w.subject == bindparam("digest"))
    .order_by(_w.run_id)
)
_LOCKED = _OF_SUBJECT.limit(bindparam("most")).with_for_update()

_OLD = (
    select(_w.workspace_id, _w.run_id)
    .join(tables.run, (_r.workspace_id == _w.workspace_id) & (_r.id == _w.run_id))
    .where(_w.assistant == bindparam("assistant"), _w.created_at < bindparam("before"))
    .where(_r.status == "finished", _r.finished_at < bindparam("before"))
    .order_by(_w.created_at)
    .limit(LIMIT)
)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What is kept of a workflow's run beside the run itself."""

    run_id: str
    assistant: str
    batch_id: str | None
    position: int | None
    item_id: str | None
    subject: str
    input: bytes
    """Canonical JSON, sealed."""
    output: bytes | None
    created_at: str


@dataclass(frozen=True, kw_only=True)
class Item:
    """One run of a batch, as it stands."""

    run_id: str
    item_id: str | None
    position: int
    output: bytes | None
    graph: str
    status: str
    outcome: str | None
    created_at: str


def create(tx: Tx, rows: Sequence[JSON]) -> None:
    """Keep what runs were given: ``run_id``, ``assistant`` and ``input``, and what else there is."""
    plain: JSON = {"batch_id": None, "position": None, "item_id": None, "subject": "", "output": None}
    tx.insert(_INSERT, [{**plain, "created_at": tx.now(), **row} for row in rows])


def get(tx: Tx, run_id: str) -> Kept | None:
    """Return what is kept of a run; None for a run of another kind."""
    row = tx.one(_GET, run=run_id)
    return None if row is None else Kept(**_plain(row))


def set_output(tx: Tx, run_id: str, sealed: bytes) -> None:
    """Keep what a run came to."""
    tx.change(_SET_OUTPUT, run=run_id, sealed=sealed)


def of_batch(tx: Tx, batch_id: str) -> list[Item]:
    """Return the runs of a batch, in the order of its items; those that were erased are missing."""
    return [Item(**_plain(row)) for row in tx.all(_BATCH, batch=batch_id)]


def standing(tx: Tx, batch_id: str) -> dict[tuple[str, str | None], int]:
    """Return how many runs of a batch have which status and outcome."""
    return {(row["status"], row["outcome"]): row["count"] for row in tx.all(_STANDING, batch=batch_id)}


def of_subject(tx: Tx, subject: str) -> list[str]:
    """Return the ids of the runs that are about a subject, oldest first; ``subject`` is the digest."""
    return [row["run_id"] for row in tx.all(_OF_SUBJECT, digest=subject)]


def locked_of_subject(tx: Tx, subject: str, *, most: int) -> list[str]:
    """Return ids of the runs that are about a subject, which nobody else erases until this transaction ends."""
    return [row["run_id"] for row in tx.all(_LOCKED, digest=subject, most=most)]


def old(connection: Connection, assistant: str, before: str) -> list[tuple[str, str]]:
    """Return workspace and id of an assistant's runs that ended before a time; the oldest, at most ``LIMIT``."""
    rows = connection.execute(_OLD, {"assistant": assistant, "before": before})
    return [(row[0], row[1]) for row in rows]


def _plain(row: RowMapping) -> dict[str, Any]:
    return {str(key): value for key, value in row.items() if key != "workspace_id"}
