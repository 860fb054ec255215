"""What models have cost, kept in memory: for one process, or for tests."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from operator import add

from policies.budgets import SCOPES, Scope, Spent
from tools.clock import Clock, Ids, SystemClock, TimeOrderedIds
from tools.models.costs import LATEST_FIRST, Costs, Unsettled, Wanted, sums_of
from tools.models.ports import Account, Hold, Usage

Key = tuple[str, str, str]
REMEMBERED = 50_000
NOTHING = Costs()


@dataclass(frozen=True)
class _Open:
    account: Account
    day: str
    estimate: Usage
    since: datetime


class InMemorySpending:
    """A ``Spending`` that forgets when the process ends, and says meanwhile what came of it.

    Of more than ``remembered`` names, those whose sums changed longest ago are dropped.
    """

    def __init__(
        self, clock: Clock | None = None, ids: Ids | None = None, *, remembered: int = REMEMBERED
    ) -> None:
        self._clock = clock or SystemClock()
        self._ids = ids or TimeOrderedIds()
        self._remembered = remembered
        self._sums: OrderedDict[Key, dict[str, Costs]] = OrderedDict()
        """Of each workspace, kind and name what each day came to."""
        self._open: dict[str, _Open] = {}

    async def hold(self, account: Account, estimate: Usage) -> Hold:
        """Set something aside, as ``Spending.hold`` says; nothing else runs in between."""
        day = self._today()
        hold = Hold(id=self._ids.new("hold"), account=account, day=day, before=self._by_scope(account, day))
        self._open[hold.id] = _Open(account, day, estimate, self._clock.now())
        self._add(account, day, Costs(held_tokens=estimate.tokens, held_money=estimate.money))
        return hold

    async def settle(self, hold: Hold, used: Usage, *, calls: int = 0) -> None:
        """Put what was used in the place of what was set aside, on the day the call began."""
        if (held := self._open.pop(hold.id, None)) is not None:
            self._book(held, used, calls)

    async def save(self, account: Account, saved: Usage) -> None:
        """Count a call that was not made, and what it would have cost."""
        self._add(account, self._today(), Costs(saved_calls=1, saved_tokens=saved.tokens, saved_money=saved.money))

    async def spent(self, account: Account) -> Mapping[Scope, Spent]:
        """Return what is spent and set aside in the scopes that budgets are about."""
        return self._by_scope(account, self._today())

    async def costs(self, workspace_id: str, wanted: Wanted) -> list[Costs]:
        """Return sums by name, as ``Accounts.costs`` says."""
        found = {
            name: sum_
            for (workspace, kind, name), days in self._sums.items()
            if (workspace, kind) == (workspace_id, wanted.by) and not (sum_ := _over(days, wanted)).empty
        }
        down, after = wanted.by in LATEST_FIRST, wanted.after
        names = sorted(found, reverse=down)
        following = [each for each in names if after is None or (each < after if down else each > after)]
        return [replace(found[name], name=name) for name in following[: wanted.limit]]

    async def unsettled(self, workspace_id: str, before: datetime) -> list[Unsettled]:
        """Return calls begun before a time and not settled, as ``Accounts.unsettled`` says."""
        return [
            Unsettled(
                id=id_,
                run_id=held.account.run_id,
                conversation_id=held.account.conversation_id,
                intent=held.account.intent,
                since=held.since.isoformat(timespec="microseconds"),
                tokens=held.estimate.tokens,
                money=held.estimate.money,
            )
            for id_, held in self._open.items()
            if held.account.workspace_id == workspace_id and held.since < before
        ][:100]

    async def book(self, before: datetime) -> int:
        """Count what was set aside before a time as used, as ``Accounts.book`` says."""
        old = [id_ for id_, held in self._open.items() if held.since < before]
        for held in [self._open.pop(each) for each in old]:
            self._book(held, held.estimate, 1)
        return len(old)

    def _today(self) -> str:
        return self._clock.now().date().isoformat()

    def _by_scope(self, account: Account, day: str) -> Mapping[Scope, Spent]:
        keys = dict(sums_of(account, day))
        return {scope: self._so_far((account.workspace_id, scope, keys.get(scope, ""))) for scope in SCOPES}

    def _so_far(self, key: Key) -> Spent:
        whole = reduce(add, self._sums.get(key, {}).values(), NOTHING)
        tokens = whole.input_tokens + whole.output_tokens + whole.held_tokens
        return Spent(money=round(whole.money + whole.held_money, 12), tokens=tokens)

    def _book(self, held: _Open, used: Usage, calls: int) -> None:
        change = Costs(
            calls=calls,
            unpriced_calls=0 if used.priced else calls,
            input_tokens=used.input_tokens,
            output_tokens=used.output_tokens,
            money=used.money,
            held_tokens=-held.estimate.tokens,
            held_money=-held.estimate.money,
        )
        self._add(held.account, held.day, change)

    def _add(self, account: Account, day: str, change: Costs) -> None:
        for kind, name in sums_of(account, day):
            key = (account.workspace_id, kind, name)
            days = self._sums.pop(key, {})
            self._sums[key] = days | {day: days.get(day, NOTHING) + change}
        while len(self._sums) > self._remembered:
            self._sums.popitem(last=False)


def _over(days: Mapping[str, Costs], wanted: Wanted) -> Costs:
    first = wanted.first.isoformat() if wanted.first else ""
    last = wanted.last.isoformat() if wanted.last else "~"
    return reduce(add, (each for day, each in days.items() if first <= day <= last), NOTHING)
