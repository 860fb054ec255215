"""Receipts: what was promised of an outside effect, written before it is tried and settled after.

``begin`` and ``settle`` belong to the attempt that owns the run: both compare its epoch in their transaction, so a
stale attempt can neither begin an effect nor say how one ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import bindparam, insert, select, update

from policies.errors import Fenced
from tools.storage import runs, tables
from tools.storage.runs import Run
from tools.storage.store import Tx

Status = Literal["pending", "done", "refused", "unknown"]
_t = tables.receipt.c
_HERE = (_t.workspace_id == bindparam("ws"), _t.key == bindparam("receipt_key"))
_OF_RUN = (_t.workspace_id == bindparam("ws"), _t.run_id == bindparam("run"))

_INSERT = insert(tables.receipt)
_GET = select(tables.receipt).where(*_HERE)
_ALL = select(tables.receipt).where(*_OF_RUN).order_by(_t.created_at, _t.key)
_ANY = select(_t.key).where(*_OF_RUN).limit(1)
_SETTLE = (
    update(tables.receipt)
    .where(*_HERE, _t.status == "pending")
    .values(
        status=bindparam("new_status"),
        result=bindparam("new_result", type_=_t.result.type),
        finished_at=bindparam("now"),
    )
    .returning(tables.receipt)
)
_ABANDON = (
    update(tables.receipt)
    .where(*_OF_RUN, _t.status == "pending")
    .values(status="unknown", finished_at=bindparam("now"))
    .returning(tables.receipt)
)


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What is known of one effect."""

    key: str
    run_id: str
    conversation_id: str
    action: str
    idempotent: bool
    """Whether the action said, when it was begun, that it may be called again with the same key."""
    status: Status
    result: Any
    created_at: str
    finished_at: str | None


@dataclass(frozen=True)
class Begun:
    """A receipt, and whether this attempt wrote it or an earlier one had."""

    receipt: Receipt
    fresh: bool


def key_of(run_id: str, action: str) -> str:
    """Return the key of an action's receipt, which is also what the outside system is given."""
    return f"{run_id}:act:{action}"


def begin(tx: Tx, run: Run, action: str, *, idempotent: bool) -> Begun:
    """Promise an effect, or find what was promised before; raises ``Fenced`` when another attempt owns the run."""
    _fence(tx, run)
    key = key_of(run.id, action)
    found = tx.one(_GET, receipt_key=key)
    if found is not None:
        return Begun(_receipt(found), fresh=False)
    row = {
        "key": key,
        "run_id": run.id,
        "conversation_id": run.conversation_id,
        "action": action,
        "idempotent": idempotent,
        "status": "pending",
        "result": None,
        "created_at": tx.now(),
        "finished_at": None,
    }
    tx.insert(_INSERT, [row])
    return Begun(_receipt(row), fresh=True)


def settle(tx: Tx, run: Run, key: str, status: Status, result: Any = None) -> Receipt:
    """Say how an effect ended; raises ``Fenced`` when another attempt owns the run or has said so already."""
    _fence(tx, run)
    row = tx.one(_SETTLE, receipt_key=key, new_status=status, new_result=result, now=tx.now())
    if row is None:
        raise Fenced(f"The receipt {key} is settled already.")
    return _receipt(row)


def abandon(tx: Tx, run_id: str) -> list[Receipt]:
    """Settle what a run that ends has left open, as unknown; returns those receipts.

    It is not fenced: it belongs into the transaction that ends the run, whoever ends it.
    """
    return [_receipt(row) for row in tx.all(_ABANDON, run=run_id, now=tx.now())]


def of_run(tx: Tx, run_id: str) -> list[Receipt]:
    """Return all receipts of a run, in the order they were begun."""
    return [_receipt(row) for row in tx.all(_ALL, run=run_id)]


def has_any(tx: Tx, run_id: str) -> bool:
    """Whether a run has begun an effect, so that another run must not begin it again."""
    return tx.value(_ANY, run=run_id) is not None


def _fence(tx: Tx, run: Run) -> None:
    # It changes nothing, and holds the run's row until the transaction ends.
    runs.update_claimed(tx, run.id, run.epoch, status="running")


def _receipt(row: Any) -> Receipt:
    return Receipt(**{key: value for key, value in row.items() if key != "workspace_id"})
