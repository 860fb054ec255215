"""Long texts are judged in a thread: guards that only compute would hold up every other turn meanwhile."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import anyio.to_thread

from policies.guards import Finding, GuardRequest, Stage

LONGEST_HERE = 500
"""Of more characters a text is judged in a thread: no guard takes longer than 10 ms for fewer."""


class Judging(Protocol):
    """A guard that only computes."""

    @property
    def name(self) -> str:
        """What policy calls it."""
        ...

    @property
    def stages(self) -> Collection[Stage]:
        """Where it can be used."""
        ...

    def judge(self, request: GuardRequest) -> Finding:
        """Judge one text, in the thread that asks."""
        ...


async def judged(guard: Judging, request: GuardRequest) -> Finding:
    """Return what a guard finds: at once in a short text, in a thread in a long one."""
    if len(request.text) <= LONGEST_HERE:
        return guard.judge(request)
    return await anyio.to_thread.run_sync(guard.judge, request)


class Aside:
    """A guard that only computes, with its long texts judged aside."""

    def __init__(self, guard: Judging) -> None:
        self.name = guard.name
        self.stages = guard.stages
        self._guard = guard

    async def __call__(self, request: GuardRequest) -> Finding:
        """Judge one text."""
        return await judged(self._guard, request)
