"""The export: a ledger as JSON lines, which a third party can verify without the database.

The first line says what it is. Then, for each stream in the order of its name's characters, its head and its
decisions; then the signed records; the last line counts all lines' kinds and holds the SHA-256 of all before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

import orjson
from sqlalchemy import Connection, bindparam, func, select

from policies.types import JSON
from tools.storage import tables
from tools.storage.audit import reading
from tools.storage.audit.chain import Row
from tools.storage.installation import noted_ledger_key

FORMAT = 1
_d = tables.decision.c
_FIRST = (
    select(func.min(_d.seq))
    .where(_d.workspace_id == bindparam("ws"), _d.stream == bindparam("stream"))
    .where(_d.at >= bindparam("since"))
)


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
        for name in page:
            if name in heads:
                lines.add("head", asdict(heads[name]))
            for row in _rows(connection, workspace_id, name, since):
                lines.add("decision", {each: getattr(row, each) for each in Row.__slots__})
                progress(1)
    for record in reading.records(connection, workspace_id):
        lines.add("signed", asdict(record))
    write(_end(lines))
    return lines.counts


def _end(lines: _Lines) -> bytes:
    values = {"type": "end", "lines": sum(lines.counts.values()), "digest": lines.digest.hexdigest()}
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def _rows(connection: Connection, workspace_id: str, stream: str, since: str | None) -> Iterator[Row]:
    first: int | None = 1
    if since is not None:
        first = connection.execute(
            _FIRST, {"ws": workspace_id, "stream": stream, "since": since}
        ).scalar_one_or_none()
    if first is None:
        return
    for page in reading.rows(connection, workspace_id, stream):
        yield from (row for row in page if since is None or row.seq >= first)
