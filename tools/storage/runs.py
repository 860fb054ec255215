"""Runs: accepted work, the claim that fences stale attempts, and the end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from sqlalchemy import Connection, Update, bindparam, insert, select, update

from policies.errors import Fenced, NotFound
from policies.types import JSON
from tools.storage import tables
from tools.storage.store import Ring, Tx

Status = Literal["queued", "running", "waiting", "finished"]
UNFINISHED = ("queued", "running", "waiting")
_r = tables.run.c
_HERE = (_r.workspace_id == bindparam("ws"), _r.id == bindparam("run"))
_OF_CONVERSATION = (_r.workspace_id == bindparam("ws"), _r.conversation_id == bindparam("conversation"))

_INSERT = insert(tables.run)
_GET = select(tables.run).where(*_HERE)
_LOCKED = _GET.with_for_update()
_UNFINISHED = select(tables.run).where(*_OF_CONVERSATION, _r.status.in_(UNFINISHED)).order_by(_r.created_at)
_CLAIM = (
    update(tables.run)
    .where(*_HERE, _r.status.in_(("queued", "running")))
    .values(status="running", epoch=_r.epoch + 1, attempts=_r.attempts + 1)
    .returning(tables.run)
)
_FOLLOW_VERSION = update(tables.run).where(*_HERE).values(conversation_version=bindparam("new_version"))
_TAKE_BACK = (
    update(tables.run).where(*_HERE).values(released=False, conversation_version=_r.conversation_version + 1)
)
_END = (
    update(tables.run)
    .where(*_HERE, _r.status.in_(UNFINISHED))
    .values(status="finished", outcome=bindparam("new_outcome"), epoch=_r.epoch + 1, finished_at=bindparam("now"))
)
_RESUME = (
    update(tables.run)
    .where(*_HERE, _r.status == "waiting")
    .values(status="queued", resume=bindparam("answer", type_=_r.resume.type), attempts=0)
)
_LAST_INTENT = (
    select(_r.intent)
    .where(*_OF_CONVERSATION, _r.intent.is_not(None), _r.created_at >= bindparam("since"))
    .order_by(_r.created_at.desc())
    .limit(1)
)


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

    @property
    def alone(self) -> bool:
        """Whether it belongs to no conversation, and is its own stream of events and decisions: a workflow's."""
        return self.conversation_id == self.id


@dataclass(frozen=True)
class Pending:
    """A run that is yet to be worked on."""

    workspace_id: str
    run_id: str
    conversation_id: str

    @property
    def alone(self) -> bool:
        """Whether the run belongs to no conversation."""
        return self.conversation_id == self.run_id


def create(tx: Tx, *, run_id: str, values: JSON) -> Run:
    """Insert a run; the job that works on it is promised beside it."""
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
    tx.insert(_INSERT, [row])
    return Run(**row)


def get(tx: Tx, run_id: str) -> Run:
    """Return a run; raises ``NotFound``."""
    row = tx.one(_GET, run=run_id)
    if row is None:
        raise NotFound(f"There is no run {run_id!r}.", remedy="Take the id from the answer to the message.")
    return _run(row)


def unfinished(tx: Tx, conversation_id: str) -> list[Run]:
    """Return a conversation's runs that have not ended, oldest first."""
    return [_run(row) for row in tx.all(_UNFINISHED, conversation=conversation_id)]


def lock(tx: Tx, run_id: str) -> Run:
    """Return a run that nobody else changes until this transaction ends; raises ``NotFound``.

    For runs that belong to no conversation: those of one are changed under the conversation's lock.
    """
    row = tx.one(_LOCKED, run=run_id)
    if row is None:
        raise NotFound(f"There is no run {run_id!r}.", remedy="Take the id from the answer to the request.")
    return _run(row)


def claim(tx: Tx, run_id: str) -> Run:
    """Take a run to work on it: raises its epoch, so that whoever had it before can't write any more.

    Raises ``Fenced`` when there is nothing left to do.
    """
    row = tx.one(_CLAIM, run=run_id)
    if row is None:
        raise Fenced(f"The run {run_id} has ended or waits.")
    return _run(row)


def follow_version(tx: Tx, run_id: str, version: int) -> None:
    """Let a run go on although the conversation's version has risen: what came waits its turn."""
    tx.change(_FOLLOW_VERSION, run=run_id, new_version=version)


def take_back(tx: Tx, run_id: str) -> None:
    """Note that nothing of a run is shown any more; the message that keeps what was shown raised the version."""
    tx.change(_TAKE_BACK, run=run_id)


def update_claimed(tx: Tx, run_id: str, epoch: int, **values: Any) -> None:
    """Change a run that this attempt still owns; raises ``Fenced`` when it does not."""
    named = {f"new_{name}": value for name, value in values.items()}
    changed = tx.change(_update_of(tuple(values)), run=run_id, claimed=epoch, **named)
    if not changed:
        raise Fenced(f"Another attempt owns the run {run_id}.")


def require_claim(tx: Tx, claimed: Run) -> None:
    """Make sure that an attempt still owns its run; raises ``Fenced``."""
    run = get(tx, claimed.id)
    if run.epoch != claimed.epoch or run.status != "running":
        raise Fenced(f"Another attempt owns the run {claimed.id}.")


@cache
def _update_of(names: tuple[str, ...]) -> Update:
    return (
        update(tables.run)
        .where(*_HERE, _r.epoch == bindparam("claimed"), _r.status == "running")
        .values({name: bindparam(f"new_{name}", type_=_r[name].type) for name in names})
    )


def end(tx: Tx, run_id: str, outcome: str) -> bool:
    """End a run from outside (superseded, cancelled, stale); whoever works on it is fenced off."""
    changed = tx.change(_END, run=run_id, new_outcome=outcome, now=tx.now())
    if changed:
        tx.rings.append(Ring("stop", run_id))
    return bool(changed)


def resume(tx: Tx, run_id: str, answer: JSON) -> bool:
    """Queue a waiting run again with the answer to its question; a new segment counts its own attempts."""
    changed = tx.change(_RESUME, run=run_id, answer=answer)
    return bool(changed)


def last_intent(tx: Tx, conversation_id: str, *, since: str) -> str | None:
    """Return what the conversation's latest routed run was about, if one was accepted at that time or later."""
    intent: str | None = tx.value(_LAST_INTENT, conversation=conversation_id, since=since)
    return intent


def unfinished_ids(connection: Connection) -> set[str]:
    """Return the ids of runs, of all workspaces, that have not ended."""
    return set(connection.execute(select(_r.id).where(_r.status.in_(UNFINISHED))).scalars())


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
