"""What every store must hold to: no lost update, no gap, no write by a stale attempt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from policies.errors import Conflict, Fenced, IdempotencyMismatch, NotFound, Overtaken, Unavailable
from policies.types import Owner
from tools.clock import CountedIds, FixedClock
from tools.storage import conversations, events, idempotency, ledger, reviews, runs, tables, vault
from tools.storage.database import open_database
from tools.storage.events import NewEvent
from tools.storage.ledger import Decision
from tools.storage.runs import Run
from tools.storage.sealing import Sealer
from tools.storage.store import Store, StoredEvent, Tx, Workspace

pytestmark = pytest.mark.anyio


@pytest.fixture(name="published")
def published_fixture() -> list[StoredEvent]:
    """Collect what the store publishes."""
    return []


@pytest.fixture(name="store")
async def store_fixture(where: Path | str, published: list[StoredEvent]) -> AsyncIterator[Store]:
    """Open an empty store."""
    async with open_database(where) as database:
        yield Store(
            database=database,
            clock=FixedClock(),
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=published.extend,
        )


@pytest.fixture(name="workspace")
def workspace_fixture(store: Store) -> Workspace:
    """Return one tenant of it."""
    return store.in_workspace("acme")


async def a_conversation(workspace: Workspace) -> str:
    made = await workspace.write(lambda tx: conversations.create(tx, assistant="a", customer={}))
    return made.id


async def a_run(workspace: Workspace, conversation_id: str) -> Run:
    values = {
        "conversation_id": conversation_id,
        "assistant_version": "v",
        "conversation_version": 1,
        "input": {"question": "q"},
        "trace_id": "t",
        "principal": "p",
    }
    return await workspace.write(lambda tx: runs.create(tx, run_id=tx.ids.new("run"), values=values))


async def test_a_thousand_concurrent_read_compare_writes_lose_nothing(workspace: Workspace) -> None:
    conversation_id = await a_conversation(workspace)
    table = tables.conversation

    def read_then_write(tx: Tx) -> None:
        before = conversations.lock(tx, conversation_id).version
        tx.change(
            update(table)
            .where(table.c.id == conversation_id, table.c.version == before)
            .values(version=before + 1)
        )

    async def task() -> None:
        for _ in range(50):
            await workspace.write(read_then_write)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(task)

    after = await workspace.read(lambda tx: conversations.get(tx, conversation_id))
    assert after.version == 1 + 20 * 50


async def test_a_function_that_fails_undoes_itself_and_none_of_its_group(workspace: Workspace) -> None:
    conversation_id = await a_conversation(workspace)

    def say(tx: Tx, words: str, fail: bool) -> None:
        conversations.add_message(tx, conversation_id, author="customer", text=words, run_id="r")
        if fail:
            raise Conflict("no")

    async def attempt(number: int) -> None:
        try:
            await workspace.write(lambda tx: say(tx, str(number), number % 3 == 0))
        except Conflict:
            assert number % 3 == 0

    async with anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(attempt, number)

    said = await workspace.read(lambda tx: conversations.messages(tx, conversation_id))
    assert sorted(int(each.text) for each in said) == [number for number in range(30) if number % 3]
    assert [each.position for each in said] == list(range(1, 21))


async def test_events_are_numbered_without_gaps_by_many_writers(
    workspace: Workspace, published: list[StoredEvent]
) -> None:
    conversation_id = await a_conversation(workspace)
    run = await a_run(workspace, conversation_id)

    async def write(number: int) -> None:
        new = [NewEvent(type="usage", data={"n": number}), NewEvent(type="usage", data={"n": number})]
        await workspace.write(lambda tx: events.append(tx, conversation_id, new, run_id=run.id))

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(write, number)

    stored = await workspace.read(lambda tx: events.of_conversation(tx, conversation_id, after=0))
    assert [(each.seq, each.run_seq) for each in stored] == [(n, n) for n in range(1, 101)]
    assert sorted(published, key=lambda each: each.seq) == stored


async def test_a_stale_attempt_can_append_nothing(workspace: Workspace) -> None:
    conversation_id = await a_conversation(workspace)
    run = await a_run(workspace, conversation_id)
    first = await workspace.write(lambda tx: runs.claim(tx, run.id))
    second = await workspace.write(lambda tx: runs.claim(tx, run.id))
    assert (first.epoch, second.epoch) == (1, 2)

    new = [NewEvent(type="error", data={})]
    with pytest.raises(Fenced):
        await workspace.write(lambda tx: events.append(tx, conversation_id, new, run_id=run.id, epoch=first.epoch))
    with pytest.raises(Fenced):
        await workspace.write(lambda tx: conversations.require_unmoved(tx, conversation_id, first))
    assert await workspace.read(lambda tx: events.of_conversation(tx, conversation_id, after=0)) == []


async def test_a_run_that_ended_can_not_be_claimed(workspace: Workspace) -> None:
    run = await a_run(workspace, await a_conversation(workspace))
    assert await workspace.write(lambda tx: runs.end(tx, run.id, "cancelled")) is True
    assert await workspace.write(lambda tx: runs.end(tx, run.id, "cancelled")) is False
    with pytest.raises(Fenced):
        await workspace.write(lambda tx: runs.claim(tx, run.id))


async def test_sending_is_refused_once_a_person_owns_the_conversation(workspace: Workspace) -> None:
    conversation_id = await a_conversation(workspace)
    run = await a_run(workspace, conversation_id)
    claimed = await workspace.write(lambda tx: runs.claim(tx, run.id))
    await workspace.write(lambda tx: conversations.require_unmoved(tx, conversation_id, claimed))
    await workspace.write(lambda tx: conversations.set_owner(tx, conversation_id, Owner.HUMAN))
    with pytest.raises(Overtaken) as overtaken:
        await workspace.write(lambda tx: conversations.require_unmoved(tx, conversation_id, claimed))
    assert overtaken.value.data == {"owner": "human"}


async def test_one_answer_to_a_review_wins_and_the_others_see_it(workspace: Workspace) -> None:
    conversation_id = await a_conversation(workspace)
    run = await a_run(workspace, conversation_id)
    values = {
        "id": "rev_1",
        "run_id": run.id,
        "conversation_id": conversation_id,
        "kind": "approve_reply",
        "queue": "general",
        "draft": [],
        "response_schema": {},
        "reasons": [],
        "due_at": "2026-01-05T13:00:00.000000+00:00",
    }
    await workspace.write(lambda tx: reviews.create(tx, values))
    outcomes: list[str] = []

    async def answer(name: str) -> None:
        try:
            await workspace.write(
                lambda tx: reviews.close(tx, "rev_1", status="decided", answer={"by": name}, by=name)
            )
            outcomes.append("won")
        except Conflict as conflict:
            outcomes.append(conflict.data["first"]["answer"]["by"])

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(answer, f"p{number}")

    review = await workspace.read(lambda tx: reviews.get(tx, "rev_1"))
    assert sorted(outcomes) == sorted(["won", *[str(review.decided_by)] * 4])


async def test_decisions_form_one_chain_with_its_head(workspace: Workspace) -> None:
    decisions = [
        Decision(node="route", kind="route", body={"outcome": "a"}, step=1),
        Decision(node="x", kind="y", body={}),
    ]
    await workspace.write(lambda tx: ledger.append(tx, "con_1", "run_1", decisions))
    await workspace.write(lambda tx: ledger.append(tx, "con_1", None, [Decision(node="x", kind="y", body={})]))

    def rows(tx: Tx) -> list[tuple[int, str, str]]:
        found = tx.connection.execute(
            select(tables.decision.c.seq, tables.decision.c.previous, tables.decision.c.hash)
        )
        return [(row[0], row[1], row[2]) for row in found]

    chain = await workspace.read(rows)
    head = await workspace.read(lambda tx: tx.one(select(tables.chain_head)))
    assert head is not None
    assert [seq for seq, _, _ in chain] == [1, 2, 3]
    assert [previous for _, previous, _ in chain] == [ledger.GENESIS, chain[0][2], chain[1][2]]
    assert (head["count"], head["hash"]) == (3, chain[2][2])


async def test_the_same_decision_is_never_written_twice(workspace: Workspace) -> None:
    twice = [Decision(node="route", kind="route", body={}, step=1)]
    await workspace.write(lambda tx: ledger.append(tx, "con_1", "run_1", twice))
    with pytest.raises(IntegrityError):
        await workspace.write(lambda tx: ledger.append(tx, "con_1", "run_1", twice))
    assert len(await workspace.read(lambda tx: ledger.of_run(tx, "run_1"))) == 1


async def test_the_vault_keeps_values_sealed_and_forgets_them(store: Store, workspace: Workspace) -> None:
    values = {"[EMAIL_1]": "ann@example.com"}
    await workspace.write(lambda tx: vault.put(tx, "con_1", values))
    sealed = await store.in_all_workspaces(lambda c: c.execute(text("select ciphertext from vault")).scalar_one())
    assert b"example" not in sealed
    assert await workspace.read(lambda tx: vault.values(tx, "con_1")) == values
    assert await workspace.write(lambda tx: vault.erase(tx, "con_1")) == 1
    assert await workspace.read(lambda tx: vault.values(tx, "con_1")) == {}


async def test_a_value_keeps_its_placeholder_and_a_new_one_gets_the_next(workspace: Workspace) -> None:
    said = ["a@b.co and c@d.co", "c@d.co again, then e@f.co", "nobody"]
    masked = [
        await workspace.write(lambda tx, text=each: vault.masked(tx, "con_1", text))  # type: ignore[misc]
        for each in said
    ]
    assert masked == ["[EMAIL_1] and [EMAIL_2]", "[EMAIL_2] again, then [EMAIL_3]", "nobody"]
    wanted = await workspace.read(lambda tx: vault.values(tx, "con_1", {"[EMAIL_2]", "[EMAIL_9]"}))
    assert wanted == {"[EMAIL_2]": "c@d.co"}
    assert await workspace.read(lambda tx: vault.values(tx, "con_1", set())) == {}


async def test_history_leaves_out_later_questions_and_keeps_answers_to_earlier_ones(workspace: Workspace) -> None:
    conversation_id = await a_conversation(workspace)
    told = [("customer", "a", "A?"), ("customer", "b", "B?"), ("bot", "a", "A."), ("customer", "c", "C?")]

    def tell(tx: Tx) -> None:
        for author, run_id, words in told:
            conversations.add_message(tx, conversation_id, author=author, text=words, run_id=run_id)  # type: ignore[arg-type]

    def seen(tx: Tx, run_id: str) -> tuple[list[str], int]:
        turns = conversations.history(tx, conversation_id, before_run=run_id)
        return [each.text for each in turns], conversations.asked_before(tx, conversation_id, before_run=run_id)

    await workspace.write(tell)
    assert [await workspace.read(lambda tx, run=run: seen(tx, run)) for run in "abc"] == [  # type: ignore[misc]
        ([], 0),
        (["A?", "A."], 1),
        (["A?", "B?", "A."], 2),
    ]


async def test_an_idempotency_key_recalls_its_result_for_its_body_alone(workspace: Workspace) -> None:
    scope = {"principal": "p", "route": "r", "key": "k"}
    await workspace.write(lambda tx: idempotency.remember(tx, **scope, body={"a": 1}, result={"run_id": "run_1"}))
    assert await workspace.read(lambda tx: idempotency.recall(tx, **scope, body={"a": 1})) == {"run_id": "run_1"}
    with pytest.raises(IdempotencyMismatch):
        await workspace.read(lambda tx: idempotency.recall(tx, **scope, body={"a": 2}))


async def test_a_workspace_never_sees_another_ones_rows(store: Store, workspace: Workspace) -> None:
    conversation_id = await a_conversation(workspace)
    run = await a_run(workspace, conversation_id)
    other = store.in_workspace("other")
    with pytest.raises(NotFound):
        await other.read(lambda tx: conversations.get(tx, conversation_id))
    with pytest.raises(NotFound):
        await other.read(lambda tx: runs.get(tx, run.id))
    assert await other.write(lambda tx: runs.end(tx, run.id, "cancelled")) is False


async def test_what_was_written_is_there_after_reopening(where: Path | str) -> None:
    def store_on(database: object) -> Store:
        return Store(
            database=database,  # type: ignore[arg-type]
            clock=FixedClock(),
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=lambda _: None,
        )

    async with open_database(where) as database:
        conversation_id = await a_conversation(store_on(database).in_workspace("w"))
    async with open_database(where) as database:
        kept = await store_on(database).in_workspace("w").read(lambda tx: conversations.get(tx, conversation_id))
    assert kept.id == conversation_id


async def test_what_is_written_to_a_closed_database_is_refused(where: Path | str) -> None:
    async with open_database(where) as database:
        pass
    if isinstance(where, Path):
        with anyio.fail_after(30), pytest.raises(Unavailable):
            await database.write(lambda _connection: None)
