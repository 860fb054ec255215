"""Decisions for those who audit: in pages, by what one looks for, and single ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import orjson
from sqlalchemy import Integer, RowMapping, Select, String, bindparam, select, tuple_

from policies.types import JSON
from tools.storage import tables
from tools.storage.audit.records import SignedHeads
from tools.storage.ledger import Decision
from tools.storage.store import Tx

REVERSAL = "reversal"
_d = tables.decision.c
_g = tables.signed_heads.c
_LISTED = (
    select(_d.body, _d.hash).where(_d.workspace_id == bindparam("ws")).limit(bindparam("most", type_=Integer))
)
_ONE = select(_d.body, _d.hash).where(
    _d.workspace_id == bindparam("ws"), _d.stream == bindparam("stream"), _d.seq == bindparam("seq")
)
_REVERSED = select(_d.body, _d.hash).where(
    _d.workspace_id == bindparam("ws"),
    _d.stream == bindparam("stream"),
    _d.kind == REVERSAL,
    _d.step == bindparam("seq"),
)
_RECORDS = (
    select(tables.signed_heads)
    .where(_g.workspace_id == bindparam("ws"), _g.number < bindparam("before"))
    .order_by(_g.number.desc())
    .limit(bindparam("most", type_=Integer))
)


class Place(NamedTuple):
    """Where a page ended."""

    at: str
    stream: str
    seq: int


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is looked for; None is anything."""

    stream: str | None = None
    run: str | None = None
    kind: str | None = None
    since: str | None = None
    after: Place | None = None


def listed(tx: Tx, wanted: Wanted, *, most: int) -> list[JSON]:
    """Return decisions with their hashes: of one stream in its order, else in the order of time."""
    given = {"stream": wanted.stream, "run": wanted.run, "kind": wanted.kind, "since": wanted.since}
    statement, values = _statement(wanted), {name: value for name, value in given.items() if value is not None}
    after = wanted.after._asdict() if wanted.after else {}
    values |= {f"after_{name}": value for name, value in after.items()}
    return [_decision(row) for row in tx.all(statement, most=most, **values)]


def _statement(wanted: Wanted) -> Select[tuple[str, str]]:
    statement = _LISTED
    if wanted.stream is not None:
        statement = statement.where(_d.stream == bindparam("stream")).order_by(_d.seq)
    else:
        statement = statement.order_by(_d.at, _d.stream, _d.seq)
    if wanted.run is not None:
        statement = statement.where(_d.run_id == bindparam("run"))
    if wanted.kind is not None:
        statement = statement.where(_d.kind == bindparam("kind"))
    if wanted.since is not None:
        statement = statement.where(_d.at >= bindparam("since"))
    if wanted.after is None:
        return statement
    seq = bindparam("after_seq", type_=Integer)
    if wanted.stream is not None:
        return statement.where(_d.seq > seq)
    at, stream = bindparam("after_at", type_=String), bindparam("after_stream", type_=String)
    return statement.where(tuple_(_d.at, _d.stream, _d.seq) > tuple_(at, stream, seq))


def one(tx: Tx, stream: str, seq: int) -> JSON | None:
    """Return one decision with its hash, or None."""
    row = tx.one(_ONE, stream=stream, seq=seq)
    return _decision(row) if row else None


def reversal_of(tx: Tx, stream: str, seq: int) -> JSON | None:
    """Return the decision that reverses another one, or None."""
    row = tx.one(_REVERSED, stream=stream, seq=seq)
    return _decision(row) if row else None


def reversal(decision: JSON, body: JSON) -> Decision:
    """Return the decision that reverses another: its step is the other's number, so there is one at most."""
    named = {name: decision[name] for name in ("stream", "seq", "hash", "kind", "outcome") if name in decision}
    return Decision(node=REVERSAL, kind=REVERSAL, step=decision["seq"], body={**body, "reverses": named})


def signed_records(tx: Tx, *, before: int, most: int) -> list[SignedHeads]:
    """Return signed records with smaller numbers, the latest first."""
    return [SignedHeads(**row) for row in tx.all(_RECORDS, before=before, most=most)]


def _decision(row: RowMapping) -> JSON:
    return {**orjson.loads(row["body"]), "hash": row["hash"]}
