"""What policy keeps for a time only is erased, its decisions stay, and other assistants' rows are left alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Connection, func, select

from graphs.retention import erase_old_conversations, trim_events
from tests.journeys.shop import FILES
from tools.assistants import Assistant, assistant_of
from tools.clock import CountedIds, FixedClock
from tools.storage import conversations, events, ledger, runs, tables, vault
from tools.storage.database import open_database
from tools.storage.events import NewEvent
from tools.storage.ledger import Decision
from tools.storage.sealing import Sealer
from tools.storage.store import Store, Tx

pytestmark = pytest.mark.anyio


def an_assistant(retention: str) -> Assistant:
    return assistant_of(Path("shop"), {**FILES, "policy.yaml": f"retention: {retention}\n"})


def a_conversation(tx: Tx, assistant: str, *, ended: bool) -> str:
    """Store a conversation with everything that belongs to one; returns its id."""
    conversation = conversations.create(tx, assistant=assistant, customer={})
    run_id = tx.ids.new("run")
    text = vault.masked(tx, conversation.id, "Write to me@example.org")
    conversations.add_message(tx, conversation.id, author="customer", text=text, run_id=run_id)
    values = {"conversation_id": conversation.id, "assistant_version": "v", "conversation_version": 2, "input": {}}
    runs.create(tx, run_id=run_id, values={**values, "trace_id": "t", "principal": "p"})
    events.append(tx, conversation.id, [NewEvent(type="run.started", data={})], run_id=run_id)
    body = {"digests": ledger.digests(tx, conversation.id, input="Hello")}
    ledger.append(tx, conversation.id, run_id, [Decision(node="deliver", kind="close", body=body)])
    if ended:
        runs.end(tx, run_id, "answered")
    return conversation.id


def rows(connection: Connection) -> dict[str, int]:
    """Return how many rows the tables hold, those that hold some."""
    counts = {
        name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for name, table in tables.metadata.tables.items()
    }
    return {name: count for name, count in counts.items() if count}


def days_of(connection: Connection) -> list[str]:
    return list(connection.execute(select(tables.event.c.conversation_id)).scalars())


async def test_old_conversations_go_with_all_that_is_theirs_and_the_ledger_keeps_that_they_went(
    tmp_path: Path,
) -> None:
    clock = FixedClock()
    async with open_database(tmp_path / "kept.db") as database:
        store = Store(
            database=database,
            clock=clock,
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=lambda _: None,
        )
        workspace = store.in_workspace("acme")
        old = await workspace.write(lambda tx: a_conversation(tx, "tea-shop", ended=True))
        one = await store.in_all_workspaces(rows)
        kept = [
            await workspace.write(lambda tx: a_conversation(tx, "tea-shop", ended=False)),
            await workspace.write(lambda tx: a_conversation(tx, "other", ended=True)),
        ]
        clock.advance(timedelta(days=31))
        kept.append(await workspace.write(lambda tx: a_conversation(tx, "tea-shop", ended=True)))
        assistant = an_assistant("{conversations_days: 30}")
        assert await erase_old_conversations(store, an_assistant("{}")) == 0
        assert await erase_old_conversations(store, assistant) == 1
        assert await erase_old_conversations(store, assistant) == 0
        left = await store.in_all_workspaces(rows)
        gone = await workspace.read(
            lambda tx: tx.all(select(tables.decision).where(tables.decision.c.stream == old))
        )
    stays = {name: 3 * count for name, count in one.items()} | {"decision": 5, "chain_head": 4}
    assert left == stays
    assert [row["kind"] for row in gone] == ["close", "conversation.erased"]
    assert len(kept) == 3


async def test_an_assistant_s_events_are_kept_for_as_long_as_its_policy_says(tmp_path: Path) -> None:
    clock = FixedClock()
    async with open_database(tmp_path / "kept.db") as database:
        store = Store(
            database=database,
            clock=clock,
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=lambda _: None,
        )
        workspace = store.in_workspace("acme")
        ours = await workspace.write(lambda tx: a_conversation(tx, "tea-shop", ended=True))
        theirs = await workspace.write(lambda tx: a_conversation(tx, "other", ended=True))
        clock.advance(timedelta(days=10))
        assert await trim_events(store, 30, an_assistant("{}")) == 0
        assert await trim_events(store, 5, an_assistant("{events_days: 20}")) == 1
        assert await store.in_all_workspaces(days_of) == [ours]
        assert await trim_events(store, 30, an_assistant("{events_days: 9}")) == 1
        assert await store.in_all_workspaces(days_of) == []
    assert ours != theirs
