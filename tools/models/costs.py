"""What came of spending: sums by day, intent, conversation and run, and calls that nobody has settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, Literal, Protocol

from tools.models.ports import Account, Spending

By = Literal["day", "intent", "conversation", "run"]
LATEST_FIRST: tuple[By, ...] = ("day", "conversation", "run")
UNSETTLED_AFTER = timedelta(minutes=5)
"""A call that was begun so long ago and has not said how it ended is named; most likely its process has died."""
BOOKED_AFTER = timedelta(hours=1)
"""Then what was set aside for it counts as used."""


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What calls came to, under one name: a day, an intent, a conversation or a run."""

    name: str = ""
    calls: int = 0
    unpriced_calls: int = 0
    """Of them, those without a known price: the money is then too low."""
    input_tokens: int = 0
    output_tokens: int = 0
    money: float = 0.0
    held_tokens: int = 0
    """What is set aside for calls that have not said how they ended."""
    held_money: float = 0.0
    saved_calls: int = 0
    """Calls that were not made because the reply was kept, and what those replies had cost."""
    saved_tokens: int = 0
    saved_money: float = 0.0

    def __add__(self, other: Costs) -> Costs:
        counts: dict[str, Any] = {
            each.name: getattr(self, each.name) + getattr(other, each.name)
            for each in fields(self)
            if each.name != "name"
        }
        # What is set aside and given back again leaves no dust behind.
        counts |= {name: round(counts[name], 12) for name in ("money", "held_money", "saved_money")}
        return Costs(name=self.name, **counts)

    @property
    def empty(self) -> bool:
        """Whether nothing was called, saved or set aside."""
        return not (self.calls or self.saved_calls or self.held_tokens or self.held_money)


@dataclass(frozen=True, kw_only=True)
class Unsettled:
    """A call that was begun and of which nobody has said how it ended."""

    id: str
    run_id: str
    """Empty, like the conversation, once that was erased."""
    conversation_id: str
    intent: str
    since: str
    tokens: int
    """What is set aside for it; it counts as spent."""
    money: float


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which sums are asked for: those of a kind, over some days, a page of them."""

    by: By = "day"
    first: date | None = None
    last: date | None = None
    """The days, both with them; without one there is no end on that side."""
    after: str | None = None
    """The last name of the page before. Intents come by name, all others the latest first."""
    limit: int = 100


class Accounts(Spending, Protocol):
    """A ``Spending`` that also says what came of it."""

    async def costs(self, workspace_id: str, wanted: Wanted) -> list[Costs]:
        """Return sums by name, without those in which nothing happened."""
        ...

    async def unsettled(self, workspace_id: str, before: datetime) -> list[Unsettled]:
        """Return calls begun before a time and not settled, the oldest first, at most a hundred."""
        ...

    async def book(self, before: datetime) -> int:
        """Count what was set aside before a time as used, in all workspaces; return for how many calls."""
        ...


def sums_of(account: Account, day: str) -> Sequence[tuple[By, str]]:
    """Return the sums that a call belongs to, that of the day first; a run may belong to no conversation."""
    named: tuple[tuple[By, str], ...] = (("conversation", account.conversation_id), ("run", account.run_id))
    return (("day", day), ("intent", account.intent), *(each for each in named if each[1]))
