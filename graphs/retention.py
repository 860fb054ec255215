"""Retention: what an assistant's policy keeps for a time only is erased when its time is over, and what an earlier
version kept in the open is sealed.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial

import anyio

from policies.errors import NotFound
from policies.types import JSON
from tools.assistants import Assistant
from tools.storage import erasure, events, subjects, workflows
from tools.storage.store import Store, Workspace, stamp

PAUSE_SECONDS = 0.1


async def trim_events(store: Store, days: int, assistant: Assistant | None = None) -> int:
    """Delete events older than so many days, those of ``assistant`` by its policy's own days if it has some.

    Goes batch by batch, with pauses in which others write; returns how many went.
    """
    own = assistant.policy.retention.events_days if assistant else None
    if assistant is None or own is None:
        return await _trimmed(store, partial(events.trim, before=_days_ago(store, days)))
    others = partial(events.trim, before=_days_ago(store, days), except_of=assistant.name)
    its = partial(events.trim, before=_days_ago(store, own), only_of=assistant.name)
    return await _trimmed(store, others) + await _trimmed(store, its)


async def _trimmed(store: Store, trim: partial[int]) -> int:
    total = 0
    while True:
        gone = await store.database.write(trim, durable=False)
        total += gone
        if gone < events.TRIM:
            return total
        await anyio.sleep(PAUSE_SECONDS)


async def erase_old_conversations(store: Store, assistant: Assistant) -> int:
    """Erase the assistant's conversations that its policy keeps no longer; return how many went.

    Each goes in a transaction of its own, with a decision in its stream of the ledger.
    """
    days = assistant.policy.retention.conversations_days
    if days is None:
        return 0
    before, total = _days_ago(store, days), 0
    actor = {"type": "policy", "id": assistant.name, "version": assistant.version}
    while True:
        found = await store.in_all_workspaces(partial(erasure.idle, assistant=assistant.name, before=before))
        for workspace_id, conversation_id in found:
            erase = partial(erasure.erase_idle, conversation_id=conversation_id, before=before, actor=actor)
            with suppress(NotFound):
                total += await store.in_workspace(workspace_id).write(erase)
        if len(found) < erasure.LIMIT:
            return total + await _erase_old_workflow_runs(store, assistant, before, actor)
        await anyio.sleep(PAUSE_SECONDS)


async def _erase_old_workflow_runs(store: Store, assistant: Assistant, before: str, actor: JSON) -> int:
    """Erase the assistant's runs of workflows that ended before a time, as conversations are; return how many."""
    total = 0
    while found := await store.in_all_workspaces(partial(workflows.old, assistant=assistant.name, before=before)):
        for workspace_id, run_id in found:
            erase = partial(erasure.erase, conversation_ids=[run_id], actor=actor, before=before)
            total += len(await store.in_workspace(workspace_id).write(erase))
        await anyio.sleep(PAUSE_SECONDS)
    return total


async def seal_customers(store: Store) -> int:
    """Seal what earlier versions stored of customers in the open, in all workspaces; return in how many rows.

    The migration could not: it has no key. After the first round there is nothing left to find.
    """
    found = await store.in_all_workspaces(subjects.with_old)
    return sum([await seal_customers_of(store.in_workspace(each)) for each in found])


async def seal_customers_of(workspace: Workspace) -> int:
    """Seal what earlier versions stored of customers in the open in one workspace; return in how many rows."""
    total = 0
    while found := await workspace.write(subjects.seal_old, durable=False):
        total += found
        await anyio.sleep(PAUSE_SECONDS)
    return total


def _days_ago(store: Store, days: int) -> str:
    return stamp(store.clock.now() - timedelta(days=days))
