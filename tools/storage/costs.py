"""What came of spending, read from the database."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, case, func, select

from tools.models.costs import LATEST_FIRST, Costs, Unsettled, Wanted
from tools.storage import tables
from tools.storage.store import Tx, stamp

BILLION = 1_000_000_000
NAMED = 100
_s = tables.spending.c
_h = tables.spending_hold.c
_r = tables.run.c
_COUNTS = tuple(each.name for each in fields(Costs) if each.name != "name")
_SUMS = tuple(func.sum(_s[name]).label(name) for name in _COUNTS)
_SOMETHING = func.sum(_s.calls + _s.saved_calls + _s.held_tokens + _s.held_money) > 0
_ASKED_A_MODEL = (
    select(_s.name)
    .where(_s.workspace_id == _r.workspace_id, _s.kind == "run", _s.name == _r.id, _s.calls > 0)
    .exists()
)


@dataclass(frozen=True, kw_only=True)
class Runs:
    """How many runs have ended, and how many of them called no model."""

    ended: int
    without_model: int


def costs(tx: Tx, wanted: Wanted) -> list[Costs]:
    """Return sums by name, those of intents in its order, others the latest first."""
    down = wanted.by in LATEST_FIRST
    asked = _of(tx, wanted).add_columns(_s.name).group_by(_s.name).having(_SOMETHING)
    if wanted.after is not None:
        asked = asked.where(_s.name < wanted.after if down else _s.name > wanted.after)
    asked = asked.order_by(_s.name.desc() if down else _s.name).limit(wanted.limit)
    return [_costs(row, row["name"]) for row in tx.all(asked)]


def total(tx: Tx, first: date | None, last: date | None) -> Costs:
    """Return what a workspace's days came to together, with what was called for conversations that are erased."""
    row = tx.one(_of(tx, Wanted(by="day", first=first, last=last)))
    return _costs(row, "") if row else Costs()


def ended_runs(tx: Tx, first: date | None, last: date | None) -> Runs:
    """Count the runs that were begun on these days and have ended, without those of erased conversations."""
    days = [_r.workspace_id == tx.workspace_id, _r.finished_at.is_not(None)]
    if first is not None:
        days.append(_r.created_at >= first.isoformat())
    if last is not None:
        days.append(_r.created_at < (last + timedelta(days=1)).isoformat())
    row = tx.one(select(func.count().label("ended"), func.sum(case((_ASKED_A_MODEL, 1), else_=0))).where(*days))
    ended, asked = (0, 0) if row is None else (int(each or 0) for each in row.values())
    return Runs(ended=ended, without_model=ended - asked)


def unsettled(tx: Tx, before: datetime) -> list[Unsettled]:
    """Return calls begun before a time and not settled, the oldest first, at most ``NAMED``."""
    asked = (
        select(tables.spending_hold)
        .where(_h.workspace_id == tx.workspace_id, _h.created_at < stamp(before))
        .order_by(_h.created_at, _h.id)
        .limit(NAMED)
    )
    return [
        Unsettled(
            id=row["id"],
            run_id=row["run_id"],
            conversation_id=row["conversation_id"],
            intent=row["intent"],
            since=row["created_at"],
            tokens=row["input_tokens"] + row["output_tokens"],
            money=row["money"] / BILLION,
        )
        for row in tx.all(asked)
    ]


def _of(tx: Tx, wanted: Wanted) -> Select[Any]:
    days: list[ColumnElement[bool]] = []
    if wanted.first is not None:
        days.append(_s.day >= wanted.first.isoformat())
    if wanted.last is not None:
        days.append(_s.day <= wanted.last.isoformat())
    return select(*_SUMS).where(_s.workspace_id == tx.workspace_id, _s.kind == wanted.by, *days)


def _costs(row: RowMapping, name: str) -> Costs:
    # PostgreSQL's sums of whole numbers are decimals; a sum over no rows is null.
    counts: dict[str, Any] = {each: int(row[each] or 0) for each in _COUNTS}
    counts |= {each: counts[each] / BILLION for each in _COUNTS if each.endswith("money")}
    return Costs(name=name, **counts)
