"""House-keeping: what is kept for a time only goes when its time is over."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from graphs.retention import erase_old_conversations, seal_customers, trim_events
from graphs.segments import Segments
from policies.errors import HandrailError
from tools.assistants import Assistant
from tools.models.costs import BOOKED_AFTER
from tools.storage import idempotency
from tools.storage.audit.keys import LedgerKey
from tools.storage.audit.signing import sign_daily, workspaces
from tools.storage.spending import StoredSpending
from tools.storage.store import Store

log = logging.getLogger("handrail.housekeeping")


@dataclass(frozen=True, kw_only=True)
class Swept:
    """How much one round deleted; a part that failed counts as nothing and is done by the next round."""

    keys: int
    """Idempotency keys."""
    checkpoints: int
    """Runs whose checkpoints went."""
    events: int
    conversations: int = 0
    """Conversations that policy keeps no longer."""
    signed: int = 0
    """Workspaces whose ledger's heads were signed, which is done once a day."""
    sealed: int = 0
    """Conversations of an earlier version, whose customers were stored in the open."""
    booked: int = 0
    """Calls of models that nobody has settled, whose money counts as spent now."""


async def keep_house(
    store: Store,
    segments: Segments,
    event_days: int,
    ledger_key: LedgerKey | None = None,
    assistant: Assistant | None = None,
) -> Swept:
    """Do one round, over all workspaces; whatever fails is logged and stops nothing else.

    Events are kept for ``event_days``, or for as long as the policy of ``assistant`` says for its own; without
    ``ledger_key`` nothing is signed. Several processes may do it at once: what one has deleted, another does not
    find.
    """
    return Swept(
        keys=await _tried("idempotency keys", partial(_forget_keys, store)),
        checkpoints=await _tried("checkpoints", segments.prune_finished),
        events=await _tried("events", partial(trim_events, store, event_days, assistant)),
        conversations=await _tried("old conversations", partial(erase_old_conversations, store, assistant))
        if assistant
        else 0,
        signed=await _tried("signed heads", partial(_sign_heads, store, ledger_key)) if ledger_key else 0,
        sealed=await _tried("the sealing of customers", partial(seal_customers, store)),
        booked=await _tried("unsettled calls", partial(_book_unsettled, store)),
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


async def _book_unsettled(store: Store) -> int:
    return await StoredSpending(store).book(store.clock.now() - BOOKED_AFTER)


async def _sign_heads(store: Store, key: LedgerKey) -> int:
    """Sign the heads of each workspace that was not signed today."""
    signed = 0
    for workspace_id in await store.in_all_workspaces(workspaces):
        signed += await store.in_workspace(workspace_id).write(partial(sign_daily, key=key)) is not None
    return signed
