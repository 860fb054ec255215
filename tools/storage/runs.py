"""Runs: accepted work, the claim that fences stale attempts, and the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, insert, select, update

from policies.errors import Fenced, NotFound
from policies.types import JSON
from tools.storage import tables
from tools.storage.store import Tx

Status = Literal["queued", "running", "waiting", "finished"]
UNFINISHED = ("queued", "running", "waiting")
_r = tables.run.c


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution of a graph for one input."""

    id: str
    conversation_id: str
    graph: str
    assistant_version: str
    conversation_version: int
    """The conversation's version right after the run's own message."""
    status: Status
    outcome: str | None
    intent: str | None
    epoch: int
    attempts: int
    """Claims of the present segment."""
    released: bool
    """Whether a sentence of it has been sent."""
    last_event: int
    input: JSON
    resume: JSON | None
    trace_id: str
    principal: str
    created_at: str
    finished_at: str | None


@dataclass(frozen=True)
class Pending:
    """A run that an engine has yet to work on."""

    workspace_id: str
    run_id: str
    conversation_id: str


def create(tx: Tx, *, run_id: str, values: JSON) -> Run:
    """Insert a run; the row itself is the job that the engine picks up."""
    row = {
        "id": run_id,
        "graph": "support",
        "status": "queued",
        "outcome": None,
        "intent": None,
        "epoch": 0,
        "attempts": 0,
        "released": False,
        "last_event": 0,
        "resume": None,
        "created_at": tx.now(),
        "finished_at": None,
        **values,
    }
    tx.run(insert(tables.run), [{"workspace_id": tx.workspace_id, **row}])
    return Run(**row)


def get(tx: Tx, run_id: str) -> Run:
    """Return a run; raises ``NotFound``."""
    row = tx.one(select(tables.run).where(_r.workspace_id == tx.workspace_id, _r.id == run_id))
    if row is None:
        raise NotFound(f"There is no run {run_id!r}.", remedy="Take the id from the answer to the message.")
    return _run(row)


def unfinished(tx: Tx, conversation_id: str) -> list[Run]:
    """Return a conversation's runs that have not ended, oldest first."""
    rows = tx.all(
        select(tables.run)
        .where(_r.workspace_id == tx.workspace_id, _r.conversation_id == conversation_id)
        .where(_r.status.in_(UNFINISHED))
        .order_by(_r.created_at)
    )
    return [_run(row) for row in rows]


def claim(tx: Tx, run_id: str) -> Run:
    """Take a run to work on it: raises its epoch, so that whoever had it before can't write any more.

    Raises ``Fenced`` when there is nothing left to do.
    """
    row = tx.one(
        update(tables.run)
        .where(_r.workspace_id == tx.workspace_id, _r.id == run_id, _r.status.in_(("queued", "running")))
        .values(status="running", epoch=_r.epoch + 1, attempts=_r.attempts + 1)
        .returning(tables.run)
    )
    if row is None:
        raise Fenced(f"The run {run_id} has ended or waits.")
    return _run(row)


def follow_version(tx: Tx, run_id: str, version: int) -> None:
    """Let a run go on although the conversation's version has risen: what came waits its turn."""
    tx.run(
        update(tables.run)
        .where(_r.workspace_id == tx.workspace_id, _r.id == run_id)
        .values(conversation_version=version)
    )


def update_claimed(tx: Tx, run_id: str, epoch: int, **values: Any) -> None:
    """Change a run that this attempt still owns; raises ``Fenced`` when it does not."""
    changed = tx.run(
        update(tables.run)
        .where(_r.workspace_id == tx.workspace_id, _r.id == run_id, _r.epoch == epoch, _r.status == "running")
        .values(**values)
    )
    if not changed:
        raise Fenced(f"Another attempt owns the run {run_id}.")


def end(tx: Tx, run_id: str, outcome: str) -> bool:
    """End a run from outside (superseded, cancelled, stale); whoever works on it is fenced off."""
    changed = tx.run(
        update(tables.run)
        .where(_r.workspace_id == tx.workspace_id, _r.id == run_id, _r.status.in_(UNFINISHED))
        .values(status="finished", outcome=outcome, epoch=_r.epoch + 1, finished_at=tx.now())
    )
    return bool(changed)


def resume(tx: Tx, run_id: str, answer: JSON) -> bool:
    """Queue a waiting run again with the answer to its question; a new segment counts its own attempts."""
    changed = tx.run(
        update(tables.run)
        .where(_r.workspace_id == tx.workspace_id, _r.id == run_id, _r.status == "waiting")
        .values(status="queued", resume=answer, attempts=0)
    )
    return bool(changed)


def last_intent(tx: Tx, conversation_id: str) -> str | None:
    """Return what the conversation's latest routed run was about."""
    row = tx.one(
        select(_r.intent)
        .where(_r.workspace_id == tx.workspace_id, _r.conversation_id == conversation_id, _r.intent.is_not(None))
        .order_by(_r.created_at.desc())
        .limit(1)
    )
    return row["intent"] if row else None


def pending(connection: Connection) -> list[Pending]:
    """Return all runs, of all workspaces, that were accepted and have not ended, oldest first."""
    rows = connection.execute(
        select(_r.workspace_id, _r.id, _r.conversation_id)
        .where(_r.status.in_(("queued", "running")))
        .order_by(_r.created_at)
    )
    return [Pending(*row) for row in rows]


def _run(row: Any) -> Run:
    return Run(**{key: value for key, value in row.items() if key != "workspace_id"})
