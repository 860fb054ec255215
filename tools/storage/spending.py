"""What language models cost, kept in the database: sums by day, intent, conversation and run.

Money stands in billionths, so that sums are exact. All changes of a day pass by the row of that day, which is
changed first and so is locked on PostgreSQL too: what is set aside there is never seen half. A conversation's and
a run's sums go with the conversation; those of days and intents name nobody and stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

import anyio
from sqlalchemy import Connection, RowMapping, TextClause, bindparam, delete, func, insert, or_, select, text

from policies.budgets import SCOPES, Scope, Spent
from tools.models.costs import Costs, Unsettled, Wanted, sums_of
from tools.models.ports import Account, Hold, Usage
from tools.storage import tables
from tools.storage.costs import BILLION, costs, unsettled
from tools.storage.store import Store, Tx, stamp

BATCH = 500
MOST = 1_000_000
_KEY = ("workspace_id", "kind", "name", "day")
_COUNTS = tuple(
    each.name for each in tables.spending.columns if each.name not in _KEY and each.name != "conversation_id"
)
_COLUMNS = (*_KEY, "conversation_id", *_COUNTS)
_s = tables.spending.c
_h = tables.spending_hold.c

# Both databases understand this, and SQLAlchemy has it only for one or the other.
_ADD = text(
    f"insert into spending ({', '.join(_COLUMNS)}) values ({', '.join(f':{name}' for name in _COLUMNS)})"
    f" on conflict ({', '.join(_KEY)}) do update set"
    f" {', '.join(f'{name} = spending.{name} + excluded.{name}' for name in _COUNTS)}"
)
# A sum that is gone, as with an erased conversation, does not come back when a call of it ends.
_CHANGE = text(
    f"update spending set {', '.join(f'{name} = {name} + :{name}' for name in _COUNTS)}"
    f" where {' and '.join(f'{name} = :{name}' for name in _KEY)}"
)
_INSERT_HOLD = insert(tables.spending_hold)
_TAKE_HOLD = (
    delete(tables.spending_hold)
    .where(_h.workspace_id == bindparam("ws"), _h.id == bindparam("hold"))
    .returning(tables.spending_hold)
)
_SPENT = (
    select(
        _s.kind,
        func.sum(_s.money + _s.held_money).label("money"),
        func.sum(_s.input_tokens + _s.output_tokens + _s.held_tokens).label("tokens"),
    )
    .where(
        _s.workspace_id == bindparam("ws"),
        or_(*((_s.kind == scope) & (_s.name == bindparam(f"of_{scope}")) for scope in SCOPES)),
    )
    .group_by(_s.kind)
)
_OLD = (
    select(_h.workspace_id, _h.id).where(_h.created_at < bindparam("before")).order_by(_h.created_at).limit(BATCH)
)


class StoredSpending:
    """A ``Spending`` over our store, for all its processes together; it also says what came of it.

    Writes don't wait for the disk: a power cut loses at most what was counted in the moment before.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def hold(self, account: Account, estimate: Usage) -> Hold:
        """Set something aside, as ``Spending.hold`` says; nothing stays set aside for who is cancelled."""
        workspace = self._store.in_workspace(account.workspace_id)
        made: list[Hold] = []

        def work(tx: Tx) -> None:
            made[:] = [hold(tx, account, estimate)]

        try:
            await workspace.write(work, durable=False)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                for each in made:
                    await self.settle(each, Usage())
            raise
        return made[0]

    async def settle(self, hold: Hold, used: Usage, *, calls: int = 0) -> None:
        """Put what was used in the place of what was set aside, on the day the call began."""
        workspace = self._store.in_workspace(hold.account.workspace_id)
        await workspace.write(partial(settle, hold_id=hold.id, used=used, calls=calls), durable=False)

    async def save(self, account: Account, saved: Usage) -> None:
        """Count a call that was not made, and what it would have cost."""
        workspace = self._store.in_workspace(account.workspace_id)
        await workspace.write(partial(save, account=account, saved=saved), durable=False)

    async def spent(self, account: Account) -> Mapping[Scope, Spent]:
        """Return what is spent and set aside in the scopes that budgets are about."""
        return await self._store.in_workspace(account.workspace_id).read(
            lambda tx: _spent(tx, account, _today(tx), Usage())
        )

    async def costs(self, workspace_id: str, wanted: Wanted) -> list[Costs]:
        """Return sums by name, as ``Accounts.costs`` says."""
        return await self._store.in_workspace(workspace_id).read(partial(costs, wanted=wanted))

    async def unsettled(self, workspace_id: str, before: datetime) -> list[Unsettled]:
        """Return calls begun before a time and not settled, as ``Accounts.unsettled`` says."""
        return await self._store.in_workspace(workspace_id).read(partial(unsettled, before=before))

    async def book(self, before: datetime) -> int:
        """Count what was set aside before a time as used, as ``Accounts.book`` says."""
        total = 0
        while found := await self._store.in_all_workspaces(partial(_old, before=before)):
            for workspace_id, hold_id in found:
                total += await self._store.in_workspace(workspace_id).write(
                    partial(settle, hold_id=hold_id, used=None, calls=1), durable=False
                )
        return total


def hold(tx: Tx, account: Account, estimate: Usage) -> Hold:
    """Set something aside and say what was gone before."""
    day, id_ = _today(tx), tx.ids.new("hold")
    _apply(tx, _ADD, account, day, held_tokens=estimate.tokens, held_money=_billionths(estimate.money))
    row = {
        "id": id_,
        "day": day,
        "conversation_id": account.conversation_id,
        "run_id": account.run_id,
        "intent": account.intent,
        "input_tokens": estimate.input_tokens,
        "output_tokens": estimate.output_tokens,
        "money": _billionths(estimate.money),
        "priced": estimate.priced,
        "created_at": tx.now(),
    }
    tx.insert(_INSERT_HOLD, [row])
    return Hold(id=id_, account=account, day=day, before=_spent(tx, account, day, estimate))


def settle(tx: Tx, hold_id: str, used: Usage | None, calls: int) -> bool:
    """Replace what was set aside by what was used, None being all of it; returns whether it was still open."""
    held = tx.one(_TAKE_HOLD, hold=hold_id)
    if held is None:
        return False
    account = Account(
        workspace_id=tx.workspace_id,
        conversation_id=held["conversation_id"],
        run_id=held["run_id"],
        intent=held["intent"],
    )
    used = _all_of(held) if used is None else used
    _apply(
        tx,
        _CHANGE,
        account,
        held["day"],
        calls=calls,
        unpriced_calls=0 if used.priced else calls,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        money=_billionths(used.money),
        held_tokens=-held["input_tokens"] - held["output_tokens"],
        held_money=-held["money"],
    )
    return True


def save(tx: Tx, account: Account, saved: Usage) -> None:
    """Count a call that was not made, and what it would have cost."""
    counts = {"saved_calls": 1, "saved_tokens": saved.tokens, "saved_money": _billionths(saved.money)}
    _apply(tx, _ADD, account, _today(tx), **counts)


def _apply(tx: Tx, statement: TextClause, account: Account, day: str, **counts: int) -> None:
    """Change all sums that a call belongs to, that of the day first."""
    rows = [
        {
            **dict.fromkeys(_COUNTS, 0),
            **counts,
            "kind": kind,
            "name": name,
            "day": day,
            "conversation_id": (account.conversation_id or None) if kind in ("conversation", "run") else None,
        }
        for kind, name in sums_of(account, day)
    ]
    tx.insert(statement, rows)


def _spent(tx: Tx, account: Account, day: str, own: Usage) -> Mapping[Scope, Spent]:
    """Return what is spent and set aside, without what is one's own."""
    names = dict(sums_of(account, day))
    named = {f"of_{scope}": names.get(scope, "") for scope in SCOPES}
    found = {row["kind"]: row for row in tx.all(_SPENT, **named)}
    mine = _billionths(own.money)
    return {
        scope: Spent(
            money=(int(found[scope]["money"]) - mine) / BILLION, tokens=int(found[scope]["tokens"]) - own.tokens
        )
        if scope in found
        else Spent()
        for scope in SCOPES
    }


def _all_of(held: RowMapping) -> Usage:
    return Usage(
        input_tokens=held["input_tokens"],
        output_tokens=held["output_tokens"],
        money=held["money"] / BILLION,
        priced=held["priced"],
        estimated=True,
    )


def _old(connection: Connection, before: datetime) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in connection.execute(_OLD, {"before": stamp(before)})]


def _today(tx: Tx) -> str:
    return tx.clock.now().date().isoformat()


def _billionths(money: float) -> int:
    # An amount that can't be is a very large one, so that it ends budgets and no turn.
    return round(money * BILLION) if abs(money) < MOST else MOST * BILLION
