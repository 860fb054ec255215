"""Anchors: what an export knows, which a database must still say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, Integer, String, bindparam, select, tuple_

from tools.storage import tables
from tools.storage.audit import reading
from tools.storage.audit.chain import Head
from tools.storage.audit.findings import SIGNED, Findings
from tools.storage.audit.records import SignedHeads

_d = tables.decision.c
_AT = select(_d.stream, _d.seq, _d.hash).where(
    _d.workspace_id == bindparam("ws"),
    tuple_(_d.stream, _d.seq, types=(String, Integer)).in_(bindparam("positions", expanding=True)),
)


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """Heads and signed records that were exported, read anew at each call."""

    heads: Callable[[], Iterator[Head]]
    records: Callable[[], Iterator[SignedHeads]]


def check_anchor(connection: Connection, workspace_id: str, anchor: Anchor, findings: Findings) -> None:
    """Compare what was exported with what is stored now, which may have gone on since."""
    heads = anchor.heads()
    while page := list(islice(heads, reading.PAGE)):
        _check_heads(connection, workspace_id, page, findings)
    stored = reading.records(connection, workspace_id)
    present = next(stored, None)
    for record in anchor.records():
        while present is not None and present.number < record.number:
            present = next(stored, None)
        if present is None or present.number != record.number:
            findings.add(SIGNED, record.number, "anchor.record", record.hash, None)
        elif present.hash != record.hash:
            findings.add(SIGNED, record.number, "anchor.record", record.hash, present.hash)


def _check_heads(connection: Connection, workspace_id: str, exported: Sequence[Head], findings: Findings) -> None:
    values = {"ws": workspace_id, "positions": [(head.stream, head.count) for head in exported]}
    stored = {(row.stream, row.seq): row.hash for row in connection.execute(_AT, values)}
    now = reading.heads(connection, workspace_id, [head.stream for head in exported])
    for head in exported:
        found = stored.get((head.stream, head.count))
        if found is None:
            present = now.get(head.stream)
            findings.add(head.stream, head.count, "anchor.cut", head.count, present.count if present else 0)
        elif found != head.hash:
            findings.add(head.stream, head.count, "anchor.hash", head.hash, found)
