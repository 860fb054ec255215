"""The ledger: decisions in hash chains, written in the transaction of what they record.

One chain per stream (a conversation, a run without one, or the workspace). A row's hash is SHA-256 over the
previous hash and the body in canonical JSON (RFC 8785); the stream's head holds count and last hash.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import rfc8785
from sqlalchemy import insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

from policies.types import JSON
from tools.storage import tables
from tools.storage.sealing import salted_digest
from tools.storage.store import Tx

GENESIS = "0" * 64
_d = tables.decision.c
_h = tables.chain_head.c
_s = tables.content_salt.c


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Who decided what, on what grounds. ``body`` has plain JSON only and no personal data."""

    node: str
    kind: str
    body: JSON
    step: int = 0


def append(tx: Tx, stream: str, run_id: str | None, decisions: Sequence[Decision]) -> None:
    """Chain decisions to a stream and move its head."""
    if not decisions:
        return
    head = tx.one(select(tables.chain_head).where(_h.workspace_id == tx.workspace_id, _h.stream == stream))
    count, previous = (head["count"], head["hash"]) if head else (0, GENESIS)
    rows = []
    for seq, decision in enumerate(decisions, start=count + 1):
        row = _row(tx, stream, run_id, seq, decision, previous)
        previous = row["hash"]
        rows.append(row)
    tx.run(insert(tables.decision), rows)
    values = {"workspace_id": tx.workspace_id, "stream": stream, "count": count + len(rows), "hash": previous}
    tx.run(
        upsert(tables.chain_head)
        .values(**values)
        .on_conflict_do_update(index_elements=["workspace_id", "stream"], set_=values)
    )


def _row(tx: Tx, stream: str, run_id: str | None, seq: int, decision: Decision, previous: str) -> dict[str, Any]:
    at = tx.now()
    body = {
        **decision.body,
        "workspace_id": tx.workspace_id,
        "stream": stream,
        "seq": seq,
        "run_id": run_id,
        "node": decision.node,
        "step": decision.step,
        "kind": decision.kind,
        "at": at,
        "previous": previous,
    }
    canonical = rfc8785.dumps(body)
    return {
        "workspace_id": tx.workspace_id,
        "stream": stream,
        "seq": seq,
        "run_id": run_id,
        "node": decision.node,
        "step": decision.step,
        "kind": decision.kind,
        "at": at,
        "body": canonical.decode(),
        "previous": previous,
        "hash": hashlib.sha256(canonical).hexdigest(),
    }


def of_run(tx: Tx, run_id: str) -> list[JSON]:
    """Return the decisions of a run, in order."""
    rows = tx.all(
        select(_d.body, _d.hash)
        .where(_d.workspace_id == tx.workspace_id, _d.run_id == run_id)
        .order_by(_d.stream, _d.seq)
    )
    return [{**orjson.loads(row["body"]), "hash": row["hash"]} for row in rows]


def digests(tx: Tx, conversation_id: str, **contents: str) -> JSON:
    """Return salted digests of contents, by name; the salt is made with the first and erased with the vault."""
    row = tx.one(select(_s.salt).where(_s.workspace_id == tx.workspace_id, _s.conversation_id == conversation_id))
    salt = row["salt"] if row else secrets.token_bytes(32)
    if row is None:
        values = {"workspace_id": tx.workspace_id, "conversation_id": conversation_id, "salt": salt}
        tx.run(insert(tables.content_salt), [values])
    return {name: salted_digest(salt, value) for name, value in contents.items()}
