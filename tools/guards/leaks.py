"""The guard on leaks, beside the documents that there are now."""

from __future__ import annotations

from collections.abc import Iterable

import anyio
import anyio.to_thread

from policies.guards import Finding, GuardRequest
from policies.leaks import LeakGuard, staff_only
from tools.evidence import Indexed
from tools.guards.long_texts import judged
from tools.guards.phrases import load_wording
from tools.knowledge.index import Index


class DocumentLeakGuard(LeakGuard):
    """A ``LeakGuard`` that knows which texts of an assistant's knowledge are for staff alone.

    They are read anew when another index version is active, in a thread: 10,000 passages take about a second.
    """

    def __init__(self, knowledge: Indexed, *, protected: Iterable[str] = ()) -> None:
        wording = load_wording("leaks")
        super().__init__(
            wording.prohibitions, wording.sets, protected=protected, staff_shingles=lambda: self._shingles
        )
        self._knowledge = knowledge
        self._shingles: frozenset[int] = frozenset()
        self._version: str | None = None
        self._reading = anyio.Lock()

    async def __call__(self, request: GuardRequest) -> Finding:
        """Judge one text; a long one in a thread."""
        await self.refresh()
        return await judged(self, request)

    async def refresh(self) -> None:
        """Read what is for staff alone, unless that is known."""
        index = await self._knowledge.index()
        if index.version == self._version:
            return
        async with self._reading:
            if index.version != self._version:
                self._shingles = await anyio.to_thread.run_sync(_staff_only, index)
                self._version = index.version


def _staff_only(index: Index) -> frozenset[int]:
    if not index.counts.get("staff"):
        return frozenset()
    staff = (passage.text for passage in index.passages if passage.audience == "staff")
    return staff_only(staff, (passage.text for passage in index.passages if passage.audience == "customer"))
