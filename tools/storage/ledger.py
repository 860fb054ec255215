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
from sqlalchemy import bindparam, insert, select, update

from policies.types import JSON
from tools.storage import tables
from tools.storage.sealing import salted_digest
from tools.storage.store import Tx

GENESIS = "0" * 64
_d = tables.decision.c
_h = tables.chain_head.c
_s = tables.content_salt.c

_INSERT = insert(tables.decision)
_INSERT_SALT = insert(tables.content_salt)
_HEAD = select(_h.count, _h.hash).where(_h.workspace_id == bindparam("ws"), _h.stream == bindparam("stream"))
_NEW_HEAD = insert(tables.chain_head)
_MOVE_HEAD = (
    update(tables.chain_head)
    .where(_h.workspace_id == bindparam("ws"), _h.stream == bindparam("of_stream"))
    .values(count=bindparam("new_count"), hash=bindparam("new_hash"))
)
_OF_RUN = (
    select(_d.body, _d.hash)
    .where(_d.workspace_id == bindparam("ws"), _d.run_id == bindparam("run"))
    .order_by(_d.stream, _d.seq)
)
_SALT = select(_s.salt).where(_s.workspace_id == bindparam("ws"), _s.conversation_id == bindparam("conversation"))


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
    head = tx.one(_HEAD, stream=stream)
    count, previous = (head["count"], head["hash"]) if head else (0, GENESIS)
    rows = []
    for seq, decision in enumerate(decisions, start=count + 1):
        row = _row(tx, stream, run_id, seq, decision, previous)
        previous = row["hash"]
        rows.append(row)
    tx.insert(_INSERT, rows)
    if head:
        tx.change(_MOVE_HEAD, of_stream=stream, new_count=count + len(rows), new_hash=previous)
    else:
        tx.insert(_NEW_HEAD, [{"stream": stream, "count": len(rows), "hash": previous}])


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
    rows = tx.all(_OF_RUN, run=run_id)
    return [{**orjson.loads(row["body"]), "hash": row["hash"]} for row in rows]


def digests(tx: Tx, conversation_id: str, **contents: str) -> JSON:
    """Return salted digests of contents, by name; the salt is made with the first and erased with the vault."""
    salt = tx.value(_SALT, conversation=conversation_id)
    if salt is None:
        salt = secrets.token_bytes(32)
        tx.insert(_INSERT_SALT, [{"conversation_id": conversation_id, "salt": salt}])
    return {name: salted_digest(salt, value) for name, value in contents.items()}
