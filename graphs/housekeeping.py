"""House-keeping: what is kept for a time only goes when its time is over."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import anyio

from graphs.segments import Segments
from policies.errors import HandrailError
from tools.storage import events, idempotency
from tools.storage.store import Store, stamp

log = logging.getLogger("handrail.housekeeping")
PAUSE_SECONDS = 0.1


@dataclass(frozen=True, kw_only=True)
class Swept:
    """How much one round deleted; a part that failed counts as nothing and is done by the next round."""

    keys: int
    """Idempotency keys."""
    checkpoints: int
    """Runs whose checkpoints went."""
    events: int


async def keep_house(store: Store, segments: Segments, event_days: int) -> Swept:
    """Do one round, over all workspaces; whatever fails is logged and stops nothing else.

    Events are kept for ``event_days``. Several processes may do it at once: what one has deleted, another does
    not find.
    """
    return Swept(
        keys=await _tried("idempotency keys", partial(_forget_keys, store)),
        checkpoints=await _tried("checkpoints", segments.prune_finished),
        events=await _tried("events", partial(_trim_events, store, event_days)),
    )


async def _tried(what: str, part: Callable[[], Awaitable[int]]) -> int:
    try:
        return await part()
    except HandrailError as error:
        log.warning("house-keeping of %s waits: %s", what, error)
    except Exception:
        log.exception("house-keeping of %s waits", what)
    return 0


async def _forget_keys(store: Store) -> int:
    return await store.database.write(partial(idempotency.forget_old, now=store.clock.now()), durable=False)


async def _trim_events(store: Store, days: int) -> int:
    """Delete old events batch by batch, with pauses in which others write."""
    before = stamp(store.clock.now() - timedelta(days=days))
    total = 0
    while True:
        gone = await store.database.write(partial(events.trim, before=before), durable=False)
        total += gone
        if gone < events.TRIM:
            return total
        await anyio.sleep(PAUSE_SECONDS)
