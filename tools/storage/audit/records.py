"""Signed records: what all heads of a workspace came to at one time, each naming the record before it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import rfc8785

from policies.types import JSON
from tools.storage.audit.findings import SIGNED, Findings
from tools.storage.audit.keys import LedgerKey, holds
from tools.storage.ledger import GENESIS


@dataclass(frozen=True, kw_only=True)
class SignedHeads:
    """One record."""

    workspace_id: str
    number: int
    day: str
    at: str
    heads_count: int
    heads_digest: str
    """SHA-256 over the canonical JSON of the list of ``[stream, count, hash]``, sorted by stream."""
    previous: str
    """The hash of the record before it."""
    public_key: str
    signature: str

    @property
    def content(self) -> bytes:
        """What is signed: all but the signature, in canonical JSON."""
        return rfc8785.dumps({name: value for name, value in asdict(self).items() if name != "signature"})

    @property
    def hash(self) -> str:
        """What the next record names."""
        return hashlib.sha256(rfc8785.dumps(asdict(self))).hexdigest()


class HeadsDigest:
    """The digest over heads that come one by one, sorted by stream, in the order of their characters' codes."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256(b"[")
        self.count = 0

    def add(self, stream: str, count: int, head: str) -> None:
        """Take in one head."""
        self._hash.update(b"," if self.count else b"")
        self._hash.update(rfc8785.dumps([stream, count, head]))
        self.count += 1

    def hexdigest(self) -> str:
        """Return the digest over the list so far."""
        whole = self._hash.copy()
        whole.update(b"]")
        return whole.hexdigest()


def signed(values: JSON, key: LedgerKey) -> SignedHeads:
    """Return a record over its values, signed."""
    unsigned = SignedHeads(**values, public_key=key.public, signature="")
    return SignedHeads(**{**asdict(unsigned), "signature": key.sign(unsigned.content)})


def check_records(
    records: Iterable[SignedHeads], heads: HeadsDigest | None, expected_key: str | None, findings: Findings
) -> SignedHeads | None:
    """Check the chain of a workspace's records, and the last one's digest over ``heads`` unless that is None.

    Returns the last record. Without a key to expect, a record is checked with the key that it names itself.
    """
    last: SignedHeads | None = None
    previous = GENESIS
    for record in records:
        number = last.number + 1 if last else 1
        if record.number != number:
            findings.add(SIGNED, record.number, "record.missing", number, record.number)
        elif record.previous != previous:
            findings.add(SIGNED, record.number, "record.previous", previous, record.previous)
        key = expected_key or record.public_key
        if record.public_key != key:
            findings.add(SIGNED, record.number, "record.key", key, record.public_key)
        if not holds(record.public_key, record.signature, record.content):
            findings.add(SIGNED, record.number, "record.signature", "a valid signature", record.signature)
        last, previous = record, record.hash
    if heads is not None:
        _check_heads(last, heads, findings)
    return last


def _check_heads(last: SignedHeads | None, heads: HeadsDigest, findings: Findings) -> None:
    number = last.number if last else 0
    expected = (last.heads_count, last.heads_digest) if last else (0, HeadsDigest().hexdigest())
    if (heads.count, heads.hexdigest()) != expected:
        shown = f"{heads.count} heads, {heads.hexdigest()}"
        findings.add(SIGNED, number, "record.heads", f"{expected[0]} heads, {expected[1]}", shown)
