"""One stream's chain, recomputed row by row: whoever reads the rows, from a database or from a file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
import rfc8785

from tools.storage.audit.findings import Findings
from tools.storage.ledger import GENESIS

COLUMNS = ("workspace_id", "stream", "seq", "run_id", "node", "step", "kind", "at", "previous")
"""Columns that repeat what the body says."""


@dataclass(frozen=True, slots=True)
class Row:
    """A decision as it is stored; its fields are the columns in the order of ``COLUMNS``, then body and hash."""

    workspace_id: str
    stream: str
    seq: int
    run_id: str | None
    node: str
    step: int
    kind: str
    at: str
    previous: str
    body: str
    hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Where a stream ends, and up to where it is signed."""

    stream: str
    count: int
    hash: str
    signed_count: int | None
    signed_hash: str | None


class StreamCheck:
    """Follows one stream; ``end`` compares what came with the head."""

    def __init__(self, stream: str, head: Head | None, findings: Findings, *, first: int = 1) -> None:
        """``first`` is where the rows begin; before a later one than 1 nothing is known."""
        self._stream = stream
        self._head = head
        self._add = findings.add
        self._last = first - 1
        self._hash: str | None = GENESIS if first == 1 else None
        self._signed = False

    def row(self, row: Row) -> None:
        """Check one decision and its place."""
        _check_body(row, self._add)
        if row.seq > self._last + 1:
            self._add(row.stream, row.seq, "missing", self._last + 1, row.seq)
        elif row.seq <= self._last:
            self._add(row.stream, row.seq, "order", self._last + 1, row.seq)
        elif self._hash is not None and row.previous != self._hash:
            self._add(row.stream, row.seq, "previous", self._hash, row.previous)
        head = self._head
        if head is not None and row.seq == head.signed_count:
            self._signed = True
            if row.hash != head.signed_hash:
                self._add(row.stream, row.seq, "signed.hash", head.signed_hash, row.hash)
        self._last, self._hash = max(self._last, row.seq), row.hash

    def end(self, *, partial: bool = False) -> None:
        """Compare with the head; ``partial`` when rows before the first may hold the signed position."""
        head, stream, last = self._head, self._stream, self._last
        if head is None:
            self._add(stream, last, "head.missing", last, None)
            return
        if head.count != last:
            self._add(stream, last, "head.count", head.count, last)
        elif self._hash is not None and head.hash != self._hash:
            self._add(stream, last, "head.hash", head.hash, self._hash)
        if head.signed_count is not None and not self._signed and not partial:
            self._add(stream, last, "signed.cut", head.signed_count, last)

    @property
    def unsigned(self) -> int:
        """How many of the stream's decisions came after the signed position."""
        return max(0, self._last - (self._head.signed_count or 0 if self._head else 0))


def _check_body(row: Row, add: Any) -> None:
    """Recompute the hash, and compare the columns with the body."""
    encoded = row.body.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(encoded).hexdigest()
    if digest != row.hash:
        add(row.stream, row.seq, "hash", digest, row.hash)
    body = _canonical(encoded)
    if body is None:
        add(row.stream, row.seq, "body", "canonical JSON", _shortened(row.body))
        return
    for name in COLUMNS:
        value = getattr(row, name)
        # To Python, True is 1; to a hash it is not.
        if name not in body or body[name] != value or type(body[name]) is not type(value):
            add(row.stream, row.seq, f"column.{name}", body.get(name), value)


def _canonical(encoded: bytes) -> dict[str, Any] | None:
    """Return the object that a body is, or None when it is not in canonical form (RFC 8785)."""
    try:
        body = orjson.loads(encoded)
        # Sorted compact JSON is canonical but for some numbers and key orders, which the slow way settles.
        if orjson.dumps(body, option=orjson.OPT_SORT_KEYS) != encoded and rfc8785.dumps(body) != encoded:
            return None
    except (ValueError, rfc8785.CanonicalizationError):
        return None
    return body if isinstance(body, dict) else None


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}..."
