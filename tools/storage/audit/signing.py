"""Signing: a record a day over all heads of a workspace."""

from __future__ import annotations

from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update

from policies.errors import HandrailError
from tools.storage import tables
from tools.storage.audit import reading
from tools.storage.audit.keys import LedgerKey
from tools.storage.audit.records import HeadsDigest, SignedHeads, signed
from tools.storage.installation import require_ledger_key
from tools.storage.ledger import GENESIS
from tools.storage.store import Tx

_h = tables.chain_head.c
_INSERT = insert(tables.signed_heads)
_CUT = (
    select(_h.stream)
    .where(
        _h.workspace_id == bindparam("ws"),
        or_(_h.signed_count > _h.count, and_(_h.signed_count == _h.count, _h.signed_hash != _h.hash)),
    )
    .order_by(_h.stream)
    .limit(1)
)
_SIGN = (
    update(tables.chain_head)
    .where(
        _h.workspace_id == bindparam("ws"),
        or_(_h.signed_count.is_(None), _h.signed_count != _h.count),
    )
    .values(signed_count=_h.count, signed_hash=_h.hash)
)
_WORKSPACES = select(_h.workspace_id).distinct().order_by(_h.workspace_id)


def sign(tx: Tx, key: LedgerKey) -> SignedHeads:
    """Sign all heads as they are now, and note in each that it is signed so far.

    Raises ``ConfigError`` when the database's records are signed with another key, and ``HandrailError`` when a
    stream is not what was signed of it any more: that is evidence, and must not be signed over.
    """
    require_ledger_key(tx.connection, key.public)
    if cut := tx.value(_CUT):
        raise HandrailError(
            f"The stream {cut} is not what was signed of it any more.",
            remedy="Run `handrail ledger verify`, and keep the database as it is.",
            code="ledger.cut",
        )
    tx.change(_SIGN)
    digest = HeadsDigest()
    for position in reading.signed_positions(tx.connection, tx.workspace_id):
        digest.add(*position)
    last, now = reading.last_record(tx.connection, tx.workspace_id), tx.now()
    values = {
        "workspace_id": tx.workspace_id,
        "number": last.number + 1 if last else 1,
        "day": now[:10],
        "at": now,
        "heads_count": digest.count,
        "heads_digest": digest.hexdigest(),
        "previous": last.hash if last else GENESIS,
    }
    record = signed(values, key)
    tx.insert(_INSERT, [vars(record)])
    return record


def sign_daily(tx: Tx, key: LedgerKey) -> SignedHeads | None:
    """Sign all heads unless that was done today (UTC); the first record of a day covers all days before it."""
    last = reading.last_record(tx.connection, tx.workspace_id)
    return None if last is not None and last.day >= tx.now()[:10] else sign(tx, key)


def workspaces(connection: Connection) -> list[str]:
    """Return the workspaces that have decisions."""
    return list(connection.execute(_WORKSPACES).scalars())
