"""The export: a ledger as JSON lines, which a third party can verify without the database.

The first line says what it is. Then, for each stream in the order of its name's characters, its head and its
decisions; then the signed records; the last line counts all lines' kinds and holds the SHA-256 of all before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import dropwhile, groupby
from operator import attrgetter

import orjson
from sqlalchemy import Connection

from policies.types import JSON
from tools.storage.audit import reading
from tools.storage.audit.chain import Row
from tools.storage.installation import noted_ledger_key

FORMAT = 1


@dataclass(kw_only=True)
class _Lines:
    """Writes lines and keeps count."""

    write: Callable[[bytes], object]
    progress: Callable[[int], None]
    counts: dict[str, int] = field(default_factory=dict)
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, kind: str, values: JSON) -> None:
        line = orjson.dumps({"type": kind, **values}, option=orjson.OPT_APPEND_NEWLINE)
        self.digest.update(line)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.write(line)


def write_export(
    connection: Connection,
    workspace_id: str,
    write: Callable[[bytes], object],
    *,
    at: str,
    since: str | None = None,
    stream: str | None = None,
    progress: Callable[[int], None] = lambda _count: None,
) -> dict[str, int]:
    """Write a workspace's ledger, or one stream's; returns how many lines of each kind.

    With ``since``, a stream begins with its first decision of that time or later; all heads are there even so.
    """
    lines = _Lines(write=write, progress=progress)
    known = noted_ledger_key(connection)
    opening = {"format": FORMAT, "workspace_id": workspace_id, "exported_at": at, "public_key": known}
    lines.add("ledger", {**opening, "since": since, "stream": stream})
    for page in [[stream]] if stream is not None else reading.streams(connection, workspace_id):
        heads = reading.heads(connection, workspace_id, page)
        rows = groupby(reading.rows_of(connection, workspace_id, page), key=attrgetter("stream"))
        there = next(rows, None)
        for name in page:
            if name in heads:
                lines.add("head", asdict(heads[name]))
            if there is not None and there[0] == name:
                for row in there[1] if since is None else _from(there[1], since):
                    lines.add("decision", {each: getattr(row, each) for each in Row.__slots__})
                    progress(1)
                there = next(rows, None)
    for record in reading.records(connection, workspace_id):
        lines.add("signed", asdict(record))
    write(_end(lines))
    return lines.counts


def _end(lines: _Lines) -> bytes:
    values = {"type": "end", "lines": sum(lines.counts.values()), "digest": lines.digest.hexdigest()}
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def _from(rows: Iterator[Row], since: str) -> Iterator[Row]:
    """Leave out a stream's decisions before the first one of a time or later, whatever their own times are."""
    return dropwhile(lambda row: row.at < since, rows)
