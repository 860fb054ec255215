"""Idempotency keys: the first result of a request, kept 24 hours."""

from __future__ import annotations

from datetime import datetime, timedelta

import rfc8785
from sqlalchemy import Connection, delete, insert, select

from policies.errors import IdempotencyMismatch
from policies.types import JSON
from tools.storage import tables
from tools.storage.store import Tx, stamp

KEPT = timedelta(hours=24)
_i = tables.idempotency.c


def _digest(tx: Tx, body: JSON) -> str:
    """Return a keyed digest of a body in canonical JSON (RFC 8785): a short message can't be guessed from it."""
    return tx.sealer.digest(rfc8785.dumps(body).decode())


def recall(tx: Tx, *, principal: str, route: str, key: str, body: JSON) -> JSON | None:
    """Return the result of the first request with this key, or None.

    Raises ``IdempotencyMismatch`` when that request had another body.
    """
    row = tx.one(
        select(_i.digest, _i.result).where(
            _i.workspace_id == tx.workspace_id,
            _i.principal == principal,
            _i.route == route,
            # Keys of an earlier version stand in the open, for the day that they are kept.
            _i.key.in_([tx.sealer.digest(key), key]),
        )
    )
    if row is None:
        return None
    if row["digest"] != _digest(tx, body):
        raise IdempotencyMismatch(
            "This Idempotency-Key was used with another body.", remedy="Use a new key for a new request."
        )
    result: JSON = row["result"]
    return result


def remember(tx: Tx, *, principal: str, route: str, key: str, body: JSON, result: JSON) -> None:
    """Keep the result of an accepted request."""
    row = {
        "principal": principal,
        "route": route,
        # An app may make it of anything, the customer's address too.
        "key": tx.sealer.digest(key),
        "digest": _digest(tx, body),
        "result": result,
        "created_at": tx.now(),
    }
    tx.insert(insert(tables.idempotency), [row])


def forget_old(connection: Connection, now: datetime) -> int:
    """Delete keys, of all workspaces, that are past their time; return how many."""
    limit = stamp(now - KEPT)
    return connection.execute(delete(tables.idempotency).where(_i.created_at < limit)).rowcount
