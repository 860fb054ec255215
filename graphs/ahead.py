"""Passages are judged before anybody asks, so that the first turn that draws on one does not wait for it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter

import anyio

from graphs.guarding import check_passage
from graphs.team import Team
from policies.errors import HandrailError
from policies.types import Passage
from tools.guards.rails import REMEMBERED, Rails
from tools.knowledge.index import Index

log = logging.getLogger("handrail")
LOOK_SECONDS = 2.0
"""How soon a new index version is noticed."""
REST = 4.0
"""Rest after each passage, in the time that it took: turns that are under way keep four fifths of a core."""
WARM_SECONDS = 3.0
"""How long a server that starts may look passages over before it answers; the rest it does while it answers."""
MOST = REMEMBERED // 2
"""How many passages are judged ahead: what is found in each, and under its headings, is remembered apart."""
TOGETHER = 16
"""How many are judged at once while nobody waits, so that their headings share passes of the encoder."""


async def warm(team: Team, passages: Sequence[Passage], seconds: float = WARM_SECONDS) -> None:
    """Put passages to the guards as fast as can be, but for no longer than ``seconds``."""
    if not isinstance(team.guards, Rails):
        return
    passages = passages[:MOST]
    with anyio.move_on_after(seconds):
        for first in range(0, len(passages), TOGETHER):
            async with anyio.create_task_group() as tasks:
                for passage in passages[first : first + TOGETHER]:
                    tasks.start_soon(check_passage, team, passage)


async def judge_ahead(team: Team, index: Callable[[], Awaitable[Index]]) -> None:
    """Put the passages of the active index to the guards, and those of each version that follows, for ever.

    Only as many as the guards remember; the rest are judged when they are retrieved, as all would be without this.
    A version that is replaced is left.
    """
    if not isinstance(team.guards, Rails):
        return  # what remembers nothing gains nothing
    judged: str | None = None
    while True:
        try:
            active = await index()
            if active.version != judged:
                for passage in active.passages[:MOST]:
                    await judge(team, passage)
                    if (await index()).version != active.version:
                        break
                judged = active.version
        except HandrailError as error:
            log.warning("passages are not judged ahead: %s", error)
        except Exception:
            log.exception("passages are not judged ahead")
        await anyio.sleep(LOOK_SECONDS)


async def judge(team: Team, passage: Passage, rest: float = REST) -> None:
    """Put one passage to the guards, and rest."""
    began = perf_counter()
    await check_passage(team, passage)
    await anyio.sleep((perf_counter() - began) * rest)
