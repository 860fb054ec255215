"""What language models cost, for the people who run the assistant."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphs.takeover import require_staff
from policies.errors import InputError
from policies.types import Principal
from tools.models.costs import UNSETTLED_AFTER, By, Costs, Unsettled, Wanted
from tools.storage import costs
from tools.storage.costs import Runs
from tools.storage.store import Store, Tx

if TYPE_CHECKING:
    from graphs.settings import Settings


@dataclass(frozen=True, kw_only=True)
class UsageReport:
    """What a workspace's calls of language models came to."""

    workspace_id: str
    by: By
    sums: list[Costs]
    next: str | None
    """What to ask for ``after`` to get the sums that follow; None at the end."""
    total: Costs
    """All of these days, with what was called for conversations that are erased since."""
    runs: Runs
    """The runs that were begun on these days and have ended."""
    unsettled: list[Unsettled]
    """Calls begun a while ago, whatever the days asked for, that nobody has settled: they count as spent."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """The reader of costs; ``product.service.usage``."""

    store: Store

    async def report(self, principal: Principal, wanted: Wanted) -> UsageReport:
        """Return a page of sums and what all come to; raises ``InputError`` for customers, or days in no order."""
        require_staff(principal)
        if wanted.first and wanted.last and wanted.first > wanted.last:
            raise InputError(
                f"The days from {wanted.first} to {wanted.last} are none.", remedy="Name the earlier day first."
            )

        def read(tx: Tx) -> UsageReport:
            found = costs.costs(tx, replace(wanted, limit=wanted.limit + 1))
            more = len(found) > wanted.limit
            return UsageReport(
                workspace_id=tx.workspace_id,
                by=wanted.by,
                sums=found[: wanted.limit],
                next=found[wanted.limit - 1].name if more else None,
                total=costs.total(tx, wanted.first, wanted.last),
                runs=costs.ended_runs(tx, wanted.first, wanted.last),
                unsettled=costs.unsettled(tx, self.store.clock.now() - UNSETTLED_AFTER),
            )

        return await self.store.in_workspace(principal.workspace_id).read(read)


@asynccontextmanager
async def open_usage(settings: Settings) -> AsyncIterator[Usage]:
    """Open the rows that the settings name for reading, where no server owns them.

    Raises ``ConfigError`` when there is nothing yet, or another process owns the data folder.
    """
    from graphs.privacy_offline import open_privacy

    async with open_privacy(settings) as privacy:
        yield Usage(store=privacy.store)
