"""What a verification finds, and what it can't prove."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MOST = 1000
"""Findings that are kept; of more, only the number is."""
SIGNED = "signed heads"
"""The stream that findings on signed records name."""
_WORDS = {
    "body": "the body is not the canonical JSON that was hashed",
    "hash": "the hash is not that of the body: one of them was changed",
    "missing": "decisions are missing",
    "order": "a decision stands where another belongs",
    "previous": "the decision does not follow the one before it",
    "head.missing": "the stream has decisions and no head",
    "head.empty": "the stream has a head and no decisions",
    "head.count": "the head counts other decisions than there are",
    "head.hash": "the head is not the hash of the last decision",
    "signed.cut": "the stream ends before the position that was signed",
    "signed.hash": "the decision at the signed position is not the one that was signed",
    "record.missing": "signed records are missing",
    "record.previous": "the signed record does not follow the one before it",
    "record.signature": "the signature does not hold",
    "record.key": "the record was signed with another key",
    "record.heads": "the signed heads are not the ones that the latest record was made of",
    "contents.input": "what was asked is not what the decision was made on",
    "contents.output": "what was said is not what the decision was made on",
    "anchor.cut": "the export knows more decisions of this stream",
    "anchor.hash": "the export knows another decision here",
    "anchor.record": "the export knows another signed record here",
    "file.line": "the line of the file can't be read",
    "file.end": "the file is not as it was written",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is not as it was written."""

    stream: str
    seq: int
    """The decision's number in its stream; the record's in signed heads; the line's in a file."""
    what: str
    """A stable code; ``column.NAME`` where a column says something else than the hashed body."""
    expected: Any
    found: Any

    def __str__(self) -> str:
        words = _WORDS.get(self.what) or f"the column {self.what.partition('.')[2]} is not what the body says"
        return f"{self.stream} {self.seq}: {words} (expected {self.expected}, found {self.found})"


@dataclass(kw_only=True)
class Findings:
    """Collects findings, the first ``MOST`` of them."""

    kept: list[Finding] = field(default_factory=list)
    more: int = 0

    def add(self, stream: str, seq: int, what: str, expected: Any, found: Any) -> None:
        """Note one."""
        if len(self.kept) < MOST:
            self.kept.append(Finding(stream=stream, seq=seq, what=what, expected=expected, found=found))
        else:
            self.more += 1


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one verification came to."""

    workspace_id: str
    decisions: int
    streams: int
    records: int
    """Signed records."""
    unsigned: int
    """Decisions that came after the latest signed record."""
    checked: int = 0
    """Decisions whose contents were compared with the messages."""
    erased: int = 0
    """Decisions whose contents can't be compared any more, because they were erased as they should be."""
    findings: tuple[Finding, ...]
    more: int = 0
    """Findings beyond those that are kept."""
    not_proven: tuple[str, ...]
    """What this verification can't prove, in words."""

    @property
    def clean(self) -> bool:
        """Whether everything is as it was written, as far as that can be proven."""
        return not self.findings
