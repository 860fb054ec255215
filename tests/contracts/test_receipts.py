"""A receipt is written before an effect and settled once after it, by the attempt that owns the run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from policies.errors import Fenced
from tools.clock import CountedIds, FixedClock
from tools.storage import conversations, receipts, runs
from tools.storage.database import open_database
from tools.storage.receipts import Receipt
from tools.storage.runs import Run
from tools.storage.sealing import Sealer
from tools.storage.store import Store, Tx, Workspace, stamp

pytestmark = pytest.mark.anyio

KEY = "run_1:act:refund"
NOW = stamp(FixedClock().now())


@pytest.fixture(name="workspace")
async def workspace_fixture(where: Path | str) -> AsyncIterator[Workspace]:
    async with open_database(where) as database:
        store = Store(
            database=database,
            clock=FixedClock(),
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=lambda _events: None,
        )
        yield store.in_workspace("acme")


@pytest.fixture(name="run")
async def run_fixture(workspace: Workspace) -> Run:
    def begin(tx: Tx) -> Run:
        conversation = conversations.create(tx, assistant="shop", customer={})
        values = {
            "conversation_id": conversation.id,
            "assistant_version": "v1",
            "conversation_version": 1,
            "input": {"question": "?"},
            "trace_id": "t",
            "principal": "me",
        }
        runs.create(tx, run_id="run_1", values=values)
        return runs.claim(tx, "run_1")

    return await workspace.write(begin)


def receipt(run: Run, status: receipts.Status = "pending", **more: object) -> Receipt:
    finished = None if status == "pending" else NOW
    values = {"result": None, "idempotent": False, "created_at": NOW, "finished_at": finished, **more}
    return Receipt(
        key=KEY,
        run_id=run.id,
        conversation_id=run.conversation_id,
        action="refund",
        status=status,
        **values,  # type: ignore[arg-type]
    )


async def test_an_effect_is_promised_once(workspace: Workspace, run: Run) -> None:
    first = await workspace.write(lambda tx: receipts.begin(tx, run, "refund", idempotent=False))
    second = await workspace.write(lambda tx: receipts.begin(tx, run, "refund", idempotent=True))
    assert (first.receipt, first.fresh) == (receipt(run), True)
    assert (second.receipt, second.fresh) == (receipt(run), False)
    assert await workspace.read(lambda tx: receipts.of_run(tx, run.id)) == [receipt(run)]


async def test_it_is_settled_once(workspace: Workspace, run: Run) -> None:
    await workspace.write(lambda tx: receipts.begin(tx, run, "refund", idempotent=True))
    done = await workspace.write(lambda tx: receipts.settle(tx, run, KEY, "done", {"paid": 5}))
    assert done == receipt(run, "done", result={"paid": 5}, idempotent=True)
    with pytest.raises(Fenced):
        await workspace.write(lambda tx: receipts.settle(tx, run, KEY, "unknown"))
    assert await workspace.read(lambda tx: receipts.of_run(tx, run.id)) == [done]


async def test_a_stale_attempt_neither_promises_nor_settles(workspace: Workspace, run: Run) -> None:
    await workspace.write(lambda tx: receipts.begin(tx, run, "refund", idempotent=False))
    await workspace.write(lambda tx: runs.claim(tx, run.id))
    with pytest.raises(Fenced):
        await workspace.write(lambda tx: receipts.begin(tx, run, "letter", idempotent=False))
    with pytest.raises(Fenced):
        await workspace.write(lambda tx: receipts.settle(tx, run, KEY, "done"))
    assert await workspace.read(lambda tx: receipts.of_run(tx, run.id)) == [receipt(run)]


async def test_a_run_that_has_ended_promises_nothing(workspace: Workspace, run: Run) -> None:
    await workspace.write(lambda tx: runs.end(tx, run.id, "cancelled"))
    with pytest.raises(Fenced):
        await workspace.write(lambda tx: receipts.begin(tx, run, "refund", idempotent=False))
    assert not await workspace.read(lambda tx: receipts.has_any(tx, run.id))


async def test_what_is_open_at_the_end_becomes_unknown_once(workspace: Workspace, run: Run) -> None:
    await workspace.write(lambda tx: receipts.begin(tx, run, "refund", idempotent=False))
    assert await workspace.write(lambda tx: receipts.abandon(tx, run.id)) == [receipt(run, "unknown")]
    assert await workspace.write(lambda tx: receipts.abandon(tx, run.id)) == []
    assert await workspace.read(lambda tx: receipts.has_any(tx, run.id))


async def test_a_workspace_does_not_see_anothers_receipts(workspace: Workspace, run: Run) -> None:
    await workspace.write(lambda tx: receipts.begin(tx, run, "refund", idempotent=False))
    other = workspace.store.in_workspace("other")
    assert await other.write(lambda tx: receipts.abandon(tx, run.id)) == []
    assert await other.read(lambda tx: receipts.of_run(tx, run.id)) == []
