"""Taking work in for a workflow: one input, or a batch of them, in one transaction with their runs and jobs."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from graphs.work import segment_job
from policies.types import JSON, Principal
from tools.jobs.ports import Jobs
from tools.storage import idempotency, runs, subjects, workflows
from tools.storage.runs import Pending
from tools.storage.store import Tx
from tools.tracing import trace_id

RUNS_ROUTE = "POST /v1/workflows/{name}/runs"
BATCH_ROUTE = "POST /v1/workflows/{name}/runs:batch"


@dataclass(frozen=True, kw_only=True)
class Given:
    """One input that was checked."""

    body: JSON
    """What an Idempotency-Key is bound to: what the client sent."""
    sealed: bytes
    subject: str | None = None
    """The id of the person whom it is about."""
    item_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Order:
    """Work for a workflow, as it arrives."""

    principal: Principal
    assistant: str
    version: str
    workflow: str
    key: str | None
    trace_id: str = field(default_factory=trace_id)
    """Of the request: a transaction runs in another thread, which knows nothing of it."""
    traceparent: str | None = None
    """The span of the request, where spans are recorded."""


@dataclass(frozen=True, kw_only=True)
class Started:
    """A run that is on disk."""

    run_id: str
    trace_id: str
    replayed: bool = False
    """Whether this is the stored result of an earlier request with the same key."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A batch that is on disk."""

    batch_id: str
    count: int
    replayed: bool = False


def start(tx: Tx, order: Order, given: Given, jobs: Jobs) -> Started:
    """Take one input in."""
    body = {"workflow": order.workflow, **given.body}
    if stored := _recalled(tx, order, RUNS_ROUTE, body):
        return Started(run_id=stored["run_id"], trace_id=stored["trace_id"], replayed=True)
    started = _create(tx, order, [given], jobs)[0]
    result = {"run_id": started.run_id, "trace_id": started.trace_id, "conversation_id": started.run_id}
    _remember(tx, order, RUNS_ROUTE, body, result)
    return started


def start_batch(tx: Tx, order: Order, items: Sequence[Given], jobs: Jobs) -> Batch:
    """Take several inputs in, all or none."""
    body = {"workflow": order.workflow, "items": [each.body for each in items]}
    if stored := _recalled(tx, order, BATCH_ROUTE, body):
        return Batch(batch_id=stored["batch_id"], count=stored["count"], replayed=True)
    batch = Batch(batch_id=tx.ids.new("bat"), count=len(items))
    _create(tx, order, items, jobs, batch.batch_id)
    _remember(tx, order, BATCH_ROUTE, body, {"batch_id": batch.batch_id, "count": batch.count})
    return batch


def _create(
    tx: Tx, order: Order, items: Sequence[Given], jobs: Jobs, batch_id: str | None = None
) -> list[Started]:
    made: list[Started] = []
    rows: list[JSON] = []
    for position, given in enumerate(items):
        # The runs of a batch have traces of their own.
        trace = order.trace_id if batch_id is None else secrets.token_hex(16)
        started = Started(run_id=tx.ids.new("run"), trace_id=trace)
        values = {
            # It belongs to no conversation, and is its own stream.
            "conversation_id": started.run_id,
            "conversation_version": 0,
            "graph": order.workflow,
            "assistant_version": order.version,
            "input": {},
            "trace_id": started.trace_id,
            "principal": order.principal.id,
        }
        runs.create(tx, run_id=started.run_id, values=values)
        subject = subjects.digest(tx.sealer, tx.workspace_id, given.subject) if given.subject else subjects.NOBODY
        row = {"run_id": started.run_id, "assistant": order.assistant, "subject": subject, "input": given.sealed}
        placed = {} if batch_id is None else {"batch_id": batch_id, "position": position, "item_id": given.item_id}
        rows.append({"batch_id": None, "position": None, "item_id": None, **row, **placed})
        made.append(started)
    workflows.create(tx, rows)
    for started in made:
        jobs.enqueue(tx, segment_job(Pending(tx.workspace_id, started.run_id, started.run_id), order.traceparent))
    return made


def _recalled(tx: Tx, order: Order, route: str, body: JSON) -> JSON | None:
    if order.key is None:
        return None
    return idempotency.recall(tx, principal=order.principal.id, route=route, key=order.key, body=body)


def _remember(tx: Tx, order: Order, route: str, body: JSON, result: JSON) -> None:
    if order.key is not None:
        idempotency.remember(
            tx, principal=order.principal.id, route=route, key=order.key, body=body, result=result
        )
