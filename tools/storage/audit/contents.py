"""Contents: whether what was asked and said is still what a decision was made on, while their salt exists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, select

from tools.storage import tables
from tools.storage.audit.chain import Row
from tools.storage.audit.findings import Findings
from tools.storage.sealing import salted_digest

_m = tables.message.c
_s = tables.content_salt.c
_w = tables.workflow_run.c
_SALTS = select(_s.conversation_id, _s.salt).where(
    _s.workspace_id == bindparam("ws"), _s.conversation_id.in_(bindparam("streams", expanding=True))
)
_MESSAGES = (
    select(_m.id, _m.run_id, _m.author, _m.state, _m.text)
    .where(
        _m.workspace_id == bindparam("ws"),
        _m.conversation_id.in_(bindparam("streams", expanding=True)),
    )
    .order_by(_m.conversation_id, _m.position)
)


_WORKFLOWS = select(_w.run_id, _w.input, _w.output).where(
    _w.workspace_id == bindparam("ws"), _w.run_id.in_(bindparam("streams", expanding=True))
)


@dataclass(kw_only=True)
class ContentsCheck:
    """Compares digests with messages, page by page."""

    connection: Connection
    workspace_id: str
    findings: Findings
    checked: int = 0
    erased: int = 0

    def page(self, rows: Sequence[Row]) -> None:
        """Check those of a page's decisions that hold digests."""
        held = [(row, digests) for row in rows if (digests := _digests(row))]
        if not held:
            return
        values = {"ws": self.workspace_id, "streams": sorted({row.stream for row, _ in held})}
        salts = {row.conversation_id: row.salt for row in self.connection.execute(_SALTS, values)}
        said = _said(self.connection.execute(_MESSAGES, values))
        said |= _sealed(self.connection.execute(_WORKFLOWS, values))
        for row, digests in held:
            salt = salts.get(row.stream)
            if salt is None:
                self.erased += 1
                continue
            self.checked += 1
            self._compare(row, digests, salt, said)

    def _compare(self, row: Row, digests: dict[str, Any], salt: bytes, said: dict[Any, list[str]]) -> None:
        for name, author in (("input", "customer"), ("output", "bot")):
            if name in digests:
                place = digests.get("message") if name == "output" else None
                found = salted_digest(salt, "\n".join(said.get(place or (row.run_id, author), [])))
                if found != digests[name]:
                    self.findings.add(row.stream, row.seq, f"contents.{name}", digests[name], found)


def _sealed(rows: Iterable[Any]) -> dict[Any, list[str]]:
    """Return what runs of workflows were given and came to, as it is kept: nobody needs a key to compare it."""
    said: dict[Any, list[str]] = {}
    for run_id, given, output in rows:
        said[run_id, "customer"] = [bytes(given).decode()]
        if output is not None:
            said[run_id, "bot"] = [bytes(output).decode()]
    return said


def _digests(row: Row) -> dict[str, Any] | None:
    if '"digests":' not in row.body:
        return None
    try:
        body = orjson.loads(row.body)
    except orjson.JSONDecodeError:
        # The chain's own check says so.
        return None
    found = body.get("digests") if isinstance(body, dict) else None
    # A decision on one message, such as a person's reply, names it.
    return {**found, "message": body.get("message")} if isinstance(found, dict) else None


def _said(messages: Iterable[Any]) -> dict[Any, list[str]]:
    """Return texts by message, and by (run, author); what was taken back was not what a run came to."""
    said: dict[Any, list[str]] = {}
    for message_id, run_id, author, state, text in messages:
        said[message_id] = [text]
        if author == "customer" or state == "complete":
            said.setdefault((run_id, author), []).append(text)
    return said
