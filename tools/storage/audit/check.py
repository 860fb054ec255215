"""Verification: each chain of a workspace recomputed, then its heads, signed records and contents compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection

from tools.storage.audit import reading
from tools.storage.audit.anchor import Anchor, check_anchor
from tools.storage.audit.chain import Head, Row, StreamCheck
from tools.storage.audit.contents import ContentsCheck
from tools.storage.audit.findings import Findings, Report
from tools.storage.audit.records import HeadsDigest, SignedHeads, check_records
from tools.storage.installation import noted_ledger_key

Progress = Callable[[int], None]
"""Told how many more decisions were read."""
_ONE_STREAM = "The signed records themselves were not checked; `handrail ledger verify` does."


@dataclass(kw_only=True)
class Tally:
    """Follows rows, stream by stream."""

    findings: Findings
    decisions: int = 0
    streams: int = 0
    unsigned: int = 0
    _current: tuple[str, StreamCheck] | None = field(default=None)

    def begin(self, stream: str, head: Head | None, *, first: int = 1) -> None:
        """Go on to another stream."""
        self.end()
        self.streams += 1
        self._current = stream, StreamCheck(stream, head, self.findings, first=first)

    def row(self, row: Row) -> None:
        """Check the next row of the present stream."""
        assert self._current is not None
        self.decisions += 1
        self._current[1].row(row)

    def end(self, *, partial: bool = False) -> None:
        """Finish the present stream."""
        if self._current is not None:
            self._current[1].end(partial=partial)
            self.unsigned += self._current[1].unsigned
        self._current = None

    @property
    def stream(self) -> str | None:
        """The stream whose rows come at present."""
        return self._current[0] if self._current else None


def check_workspace(
    connection: Connection,
    workspace_id: str,
    *,
    public_key: str | None = None,
    contents: bool = True,
    anchor: Anchor | None = None,
    progress: Progress = lambda _count: None,
) -> Report:
    """Verify a whole workspace, in the snapshot that the connection reads; memory does not grow with its size.

    ``public_key`` is the one that records must be signed with; the one that the database notes when None.
    ``contents`` compares digests with messages too; ``anchor`` is what an earlier export knows.
    """
    findings = Findings()
    tally, beside = Tally(findings=findings), _contents(connection, workspace_id, findings, contents)
    for page in reading.rows(connection, workspace_id):
        _check_page(connection, workspace_id, page, tally)
        if beside:
            beside.page(page)
        progress(len(page))
    tally.end()
    for head in reading.heads_without_rows(connection, workspace_id):
        findings.add(head.stream, 0, "head.empty", 0, head.count)
    digest = HeadsDigest()
    for position in reading.signed_positions(connection, workspace_id):
        digest.add(*position)
    key = public_key or noted_ledger_key(connection)
    seen = _Counted(reading.records(connection, workspace_id))
    last = check_records(seen, digest, key, findings)
    if anchor is not None:
        check_anchor(connection, workspace_id, anchor, findings)
    return Report(
        workspace_id=workspace_id,
        decisions=tally.decisions,
        streams=tally.streams,
        records=seen.count,
        unsigned=tally.unsigned,
        checked=beside.checked if beside else 0,
        erased=beside.erased if beside else 0,
        findings=tuple(findings.kept),
        more=findings.more,
        not_proven=not_proven(last, anchored=anchor is not None, key_given=public_key is not None),
    )


def check_stream(connection: Connection, workspace_id: str, stream: str, most: int) -> Report | None:
    """Verify one stream with its contents; None when it has more than ``most`` decisions."""
    findings = Findings()
    tally, beside = (
        Tally(findings=findings),
        ContentsCheck(connection=connection, workspace_id=workspace_id, findings=findings),
    )
    head = reading.heads(connection, workspace_id, [stream]).get(stream)
    for page in reading.rows(connection, workspace_id, stream):
        if tally.decisions + len(page) > most:
            return None
        for row in page:
            if tally.stream is None:
                tally.begin(stream, head)
            tally.row(row)
        beside.page(page)
    tally.end()
    if head is not None and not tally.decisions:
        findings.add(stream, 0, "head.empty", 0, head.count)
    last = reading.last_record(connection, workspace_id)
    return Report(
        workspace_id=workspace_id,
        decisions=tally.decisions,
        streams=tally.streams,
        records=0,
        unsigned=tally.unsigned,
        checked=beside.checked,
        erased=beside.erased,
        findings=tuple(findings.kept),
        more=findings.more,
        not_proven=(_ONE_STREAM, *not_proven(last, anchored=False, key_given=False)),
    )


def _contents(connection: Connection, workspace_id: str, findings: Findings, wanted: bool) -> ContentsCheck | None:
    return ContentsCheck(connection=connection, workspace_id=workspace_id, findings=findings) if wanted else None


def _check_page(connection: Connection, workspace_id: str, page: list[Row], tally: Tally) -> None:
    heads = reading.heads(connection, workspace_id, sorted({row.stream for row in page}))
    for row in page:
        if row.stream != tally.stream:
            tally.begin(row.stream, heads.get(row.stream))
        tally.row(row)


class _Counted:
    """Counts what is read of an iterator."""

    def __init__(self, items: Iterator[SignedHeads]) -> None:
        self._items = items
        self.count = 0

    def __iter__(self) -> Iterator[SignedHeads]:
        for item in self._items:
            self.count += 1
            yield item


def not_proven(last: SignedHeads | None, *, anchored: bool, key_given: bool) -> tuple[str, ...]:
    """Say in words what a verification leaves open."""
    lines = []
    if last is None:
        lines.append("Nothing is signed yet: whoever can write to the database could have rewritten everything.")
    else:
        lines.append(
            f"What came after the latest signed record ({last.at}) is chained and not signed: whoever can write "
            "to the database could have rewritten it, or cut it off."
        )
        lines.append("Whoever holds the signing key could have rewritten and signed again what no export shows.")
    if not anchored:
        lines.append(
            "Without an export (--against FILE) nothing shows whether the latest decisions and signed records "
            "were cut off together."
        )
    else:
        lines.append("Nothing shows whether what came after that export was cut off.")
    if last is not None and not key_given:
        lines.append(
            "The public key was taken from what is verified; only --public-key, known from elsewhere, shows "
            "who signed."
        )
    return tuple(lines)
