"""Reading an export back: verified without a database, or as the anchor of what a database must still say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import orjson

from policies.errors import ConfigError
from policies.types import JSON
from tools.storage.audit.anchor import Anchor
from tools.storage.audit.chain import Head, Row
from tools.storage.audit.check import Progress, Tally, not_proven
from tools.storage.audit.export import FORMAT
from tools.storage.audit.findings import Findings, Report
from tools.storage.audit.records import HeadsDigest, SignedHeads, check_records

FILE = "file"
_HEADER = {"type", "format", "workspace_id", "exported_at", "public_key", "since", "stream"}
_KINDS: dict[str, Any] = {"head": Head, "decision": Row, "signed": SignedHeads}


@dataclass(kw_only=True)
class _Reader:
    """Goes through the lines of a file once, in order."""

    header: JSON
    findings: Findings
    progress: Progress
    tally: Tally
    digest: HeadsDigest = field(default_factory=HeadsDigest)
    records: list[SignedHeads] = field(default_factory=list)
    head: Head | None = None
    last_stream: str = ""

    @property
    def partial(self) -> bool:
        return self.header["since"] is not None

    def take(self, item: Head | Row | SignedHeads, number: int) -> None:
        match item:
            case Head():
                self._head(item, number)
            case Row():
                self._row(item)
            case SignedHeads():
                self.records.append(item)

    def _head(self, head: Head, number: int) -> None:
        self.finish_stream()
        if head.stream <= self.last_stream:
            self.findings.add(FILE, number, "file.line", f"a stream after {self.last_stream}", head.stream)
        self.head, self.last_stream = head, head.stream
        if head.signed_count is not None:
            self.digest.add(head.stream, head.signed_count, str(head.signed_hash))

    def _row(self, row: Row) -> None:
        if row.stream != self.tally.stream:
            own = self.head if self.head is not None and self.head.stream == row.stream else None
            if own is None:
                self.finish_stream()
            self.head = None
            self.tally.begin(row.stream, own, first=row.seq if self.partial else 1)
        self.tally.row(row)
        self.progress(1)

    def finish_stream(self) -> None:
        """End the stream at hand; a head that no row followed is empty, unless its rows are older."""
        self.tally.end(partial=self.partial)
        if self.head is not None and not self.partial:
            self.findings.add(self.head.stream, 0, "head.empty", 0, self.head.count)
        self.head = None


def check_file(path: Path, *, public_key: str | None = None, progress: Progress = lambda _count: None) -> Report:
    """Verify an export by itself; ``public_key`` is the one that its records must be signed with.

    Raises ``ConfigError`` when it is no export at all.
    """
    findings = Findings()
    reader = _Reader(header=header(path), findings=findings, progress=progress, tally=Tally(findings=findings))
    for number, item in _items(path, findings):
        reader.take(item, number)
    reader.finish_stream()
    whole = reader.header["stream"] is None
    key = public_key or reader.header["public_key"]
    last = check_records(reader.records, reader.digest if whole else None, key, findings)
    return Report(
        workspace_id=reader.header["workspace_id"],
        decisions=reader.tally.decisions,
        streams=reader.tally.streams,
        records=len(reader.records),
        unsigned=reader.tally.unsigned,
        findings=tuple(findings.kept),
        more=findings.more,
        not_proven=(
            *_left_open(reader.header),
            *not_proven(last, anchored=True, key_given=public_key is not None),
        ),
    )


def header(path: Path) -> JSON:
    """Return the first line of an export; raises ``ConfigError`` when it is none."""
    try:
        with path.open("rb") as file:
            found = orjson.loads(file.readline())
    except (OSError, orjson.JSONDecodeError) as error:
        raise _no_export(path) from error
    if not isinstance(found, dict) or found.keys() != _HEADER or found["type"] != "ledger":
        raise _no_export(path)
    if found["format"] != FORMAT:
        raise ConfigError(
            f"{path} has the format {found['format']}; this version reads {FORMAT}.",
            remedy="Verify it with the version of Handrail that wrote it, or a newer one.",
        )
    return found


def anchor_of(path: Path) -> Anchor:
    """Return what an export knows, to compare a database with."""

    def heads() -> Iterator[Head]:
        return (item for item in _picked(path, b"head") if isinstance(item, Head))

    def records() -> Iterator[SignedHeads]:
        return (item for item in _picked(path, b"signed") if isinstance(item, SignedHeads))

    return Anchor(heads=heads, records=records)


def _items(path: Path, findings: Findings) -> Iterator[tuple[int, Head | Row | SignedHeads]]:
    """Yield what the lines between the first and the last hold, with their numbers; check that none is lost."""
    digest, held = hashlib.sha256(), b""
    with path.open("rb") as file:
        for number, line in enumerate(file):
            if held:
                digest.update(held)
                if number > 1 and (item := _item(held, number, findings)) is not None:
                    yield number, item
            held = line
        _check_end(held, number, digest.hexdigest(), findings)


def _picked(path: Path, kind: bytes) -> Iterator[Head | Row | SignedHeads]:
    """Yield what the lines of one kind hold; most lines are of another, and are not parsed."""
    beginning = b'{"type":"%s",' % kind
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.startswith(beginning) and (item := _item(line, number, Findings())) is not None:
                yield item


def _item(line: bytes, number: int, findings: Findings) -> Head | Row | SignedHeads | None:
    try:
        found = orjson.loads(line)
        kind = _KINDS[found.pop("type")]
        if found.keys() == {each.name for each in fields(kind)} and _well_typed(found):
            item: Head | Row | SignedHeads = kind(**found)
            return item
    except (orjson.JSONDecodeError, KeyError, AttributeError, TypeError):
        pass
    findings.add(FILE, number, "file.line", "a head, a decision or a signed record", _beginning(line))
    return None


def _well_typed(found: JSON) -> bool:
    numbers = {"seq", "step", "count", "number", "heads_count"}
    optional = {"run_id": str, "signed_count": int, "signed_hash": str}
    return all(
        value is None or type(value) is optional[name]
        if name in optional
        else type(value) is (int if name in numbers else str)
        for name, value in found.items()
    )


def _check_end(line: bytes, number: int, digest: str, findings: Findings) -> None:
    expected = orjson.dumps({"type": "end", "lines": number, "digest": digest}, option=orjson.OPT_APPEND_NEWLINE)
    if line != expected:
        findings.add(FILE, number + 1, "file.end", _beginning(expected), _beginning(line))


def _beginning(line: bytes) -> str:
    return line[:120].decode(errors="replace").rstrip("\n")


def _no_export(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} is no export of a ledger.", remedy="Name a file that `handrail ledger export --out FILE` wrote."
    )


def _left_open(found: JSON) -> list[str]:
    lines = ["An export holds no messages: contents are compared with their digests in the database alone."]
    if found["since"] is not None:
        lines.append(
            f"What came before {found['since']} is not in this file; the first decisions are taken as given."
        )
    if found["stream"] is not None:
        lines.append("With one stream alone, the digest over all signed heads can't be recomputed.")
    return lines
