"""What models have cost, kept in memory: for one process, or for tests."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from policies.budgets import Scope, Spent
from tools.clock import Clock, Ids, SystemClock, TimeOrderedIds
from tools.models.ports import Account, Hold

Key = tuple[str, ...]
REMEMBERED = 50_000
NOTHING = Spent()


class InMemorySpending:
    """A ``Spending`` that forgets when the process ends.

    Of more than ``remembered`` sums, those that changed longest ago are dropped.
    """

    def __init__(
        self, clock: Clock | None = None, ids: Ids | None = None, *, remembered: int = REMEMBERED
    ) -> None:
        self._clock = clock or SystemClock()
        self._ids = ids or TimeOrderedIds()
        self._remembered = remembered
        self._sums: OrderedDict[Key, Spent] = OrderedDict()
        self._open: dict[str, Spent] = {}

    async def hold(self, account: Account, estimate: Spent) -> Hold:
        """Set something aside, as ``Spending.hold`` says; nothing else runs in between."""
        day = self._today()
        hold = Hold(id=self._ids.new("hold"), account=account, day=day, before=self._by_scope(account, day))
        self._open[hold.id] = estimate
        self._add(account, day, estimate)
        return hold

    async def settle(self, hold: Hold, used: Spent) -> None:
        """Put what was used in the place of what was set aside, on the day the call began."""
        estimate = self._open.pop(hold.id, None)
        if estimate is not None:
            change = Spent(money=used.money - estimate.money, tokens=used.tokens - estimate.tokens)
            self._add(hold.account, hold.day, change)

    async def spent(self, account: Account) -> Mapping[Scope, Spent]:
        """Return what is spent and set aside in the scopes that budgets are about."""
        return self._by_scope(account, self._today())

    def of_intent(self, workspace_id: str, intent: str, day: str) -> Spent:
        """Return what one intent cost on one day, such as ``2026-01-05``."""
        return self._sums.get(("intent", workspace_id, intent, day), NOTHING)

    def of_workspace(self, workspace_id: str) -> Spent:
        """Return what a workspace has cost since the process began."""
        return self._sums.get(("workspace", workspace_id), NOTHING)

    def _today(self) -> str:
        return self._clock.now().date().isoformat()

    def _by_scope(self, account: Account, day: str) -> Mapping[Scope, Spent]:
        return {scope: self._sums.get(key, NOTHING) for scope, key in _scopes(account, day).items()}

    def _add(self, account: Account, day: str, change: Spent) -> None:
        workspace = account.workspace_id
        more = (("intent", workspace, account.intent, day), ("workspace", workspace))
        for key in (*_scopes(account, day).values(), *more):
            before = self._sums.pop(key, NOTHING)
            # What is set aside and given back again leaves no dust behind.
            money = round(before.money + change.money, 12)
            self._sums[key] = Spent(money=money, tokens=before.tokens + change.tokens)
        while len(self._sums) > self._remembered:
            self._sums.popitem(last=False)


def _scopes(account: Account, day: str) -> Mapping[Scope, Key]:
    workspace = account.workspace_id
    return {
        "run": ("run", workspace, account.run_id),
        "conversation": ("conversation", workspace, account.conversation_id),
        "day": ("day", workspace, day),
    }
