"""The inbox: conversations as those who answer them go through them, the latest written in first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import Select, bindparam, case, null, select, tuple_

from policies.types import Owner
from tools.storage import tables
from tools.storage.store import Tx

_c = tables.conversation.c
_order = tuple_(_c.active_at, _c.id)
_END = ("9999", "")
"""After everything: times begin with a year."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One conversation in the inbox."""

    id: str
    owner: Owner
    owner_id: str | None
    owner_since: str
    queue: str | None
    priority: str | None
    due_at: str | None
    """By when a person is to answer; None once one has."""
    waiting_since: str | None
    """Since when the customer waits for a person; None when nobody does."""
    last_message_at: str | None
    active_at: str
    """When the last message came, or the conversation began: what the list is sorted by."""


@dataclass(frozen=True)
class Place:
    """Where a page begins: what follows this conversation as it stood then."""

    active_at: str
    id: str


@cache
def _page(in_queue: bool) -> Select[Any]:
    written = case((_c.last_message > 0, _c.active_at), else_=null()).label("last_message_at")
    named = (_c.owner_id, _c.owner_since, _c.queue, _c.priority, _c.due_at, _c.waiting_since)
    page = (
        select(_c.id, _c.owner, *named, written, _c.active_at)
        .where(_c.workspace_id == bindparam("ws"), _c.owner == bindparam("of_owner"))
        .where(_order < tuple_(bindparam("active_at"), bindparam("id")))
        .order_by(_c.active_at.desc(), _c.id.desc())
        .limit(bindparam("most"))
    )
    return page.where(_c.queue == bindparam("in_queue")) if in_queue else page


def listed(
    tx: Tx, *, owners: Sequence[Owner] = tuple(Owner), queue: str | None, limit: int, before: Place | None
) -> list[Entry]:
    """Return conversations of these owners, the latest written in first, after a place in that order.

    What is written in while somebody pages moves to the front, where a new look finds it.
    """
    active_at, last_id = (before.active_at, before.id) if before else _END
    found = {"active_at": active_at, "id": last_id, "most": limit}
    if queue is not None:
        found["in_queue"] = queue
    # One look per owner, each along the index.
    pages = [_entries(tx.all(_page(queue is not None), of_owner=str(owner), **found)) for owner in owners]
    latest_first = merge(*pages, key=lambda entry: (entry.active_at, entry.id), reverse=True)
    return list(islice(latest_first, limit))


def _entries(rows: Sequence[Any]) -> list[Entry]:
    return [Entry(**{**row, "owner": Owner(row["owner"])}) for row in rows]
