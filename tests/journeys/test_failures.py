"""When something breaks in between: no run stays behind, no answer of a person is lost, no checkpoint is left."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DatabaseError

from graphs import service
from graphs.accept import accept
from policies.errors import Unavailable
from policies.types import Brief
from tests.journeys.shop import OpenShop, Shop, take_until

pytestmark = pytest.mark.anyio

QUESTION = "How long does delivery take?"
REFUND = "I want my money back"


@pytest.fixture(name="own")
async def own_fixture(open_shop: OpenShop) -> AsyncIterator[Shop]:
    """Open a shop of one's own that works on one run at a time."""
    async with open_shop(concurrency=1) as opened:
        yield opened


async def threads(shop: Shop) -> set[str]:
    segments: Any = shop.product.service.prune.__self__  # type: ignore[attr-defined]
    found: set[str] = await segments.checkpoints.threads()
    return found


async def busy(shop: Shop, hold: anyio.Event) -> None:
    shop.router.hold["keep busy"] = hold
    await shop.ask(await shop.conversation(), "keep busy", Prefer="respond-async")


async def test_a_failing_escalation_agent_leaves_no_run_behind(own: Shop) -> None:
    async def down(_request: object) -> Brief:
        raise RuntimeError("The model is down.")

    segments: Any = own.product.service.prune.__self__  # type: ignore[attr-defined]
    object.__setattr__(await segments.team_of("any"), "escalation", down)
    run = (await own.ask(await own.conversation(), "I want to complain")).json()
    assert (run["status"], run["outcome"]) == ("finished", "degraded")


async def test_a_caller_who_goes_away_in_the_commit_leaves_a_run_that_is_worked_on(
    own: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slowly(*given: Any, **more: Any) -> Any:
        taken = accept(*given, **more)
        time.sleep(0.2)
        return taken

    monkeypatch.setattr(service, "accept", slowly)
    conversation = await own.conversation()
    with anyio.move_on_after(0.05):
        await own.product.service.post_message(own.product.principal, conversation, QUESTION)
    await own.settled()
    messages = (await own.get(f"/v1/conversations/{conversation}"))["messages"]
    assert [each["author"] for each in messages] == ["customer", "bot"]


async def test_an_approved_reply_goes_before_a_message_that_comes_now(own: Shop) -> None:
    conversation = await own.conversation()
    run = (await own.ask(conversation, REFUND)).json()
    hold = anyio.Event()
    await busy(own, hold)
    await own.decide(run["review_id"], decision="approve", note="Ask jo@example.com.")
    behind = (await own.ask(conversation, "Thanks!", Prefer="respond-async")).json()
    hold.set()
    await own.settled()
    outcomes = [(await own.get(f"/v1/runs/{each['run_id']}"))["outcome"] for each in (run, behind)]
    assert outcomes == ["reviewed", "answered"]
    decisions = (await own.get(f"/v1/runs/{run['run_id']}/explanation"))["decisions"]
    named = [(each["outcome"], each["actor"]["type"]) for each in decisions if each["kind"] == "review"]
    assert named == [("approve", "person")]


async def test_a_lost_checkpoint_is_made_again_from_the_review(own: Shop) -> None:
    sent = {}
    for decision in ("approve", "reject"):
        run = (await own.ask(await own.conversation(), REFUND)).json()
        await own.product.service.prune(run["run_id"])
        await own.decide(run["review_id"], decision=decision)
        await own.settled()
        sent[decision] = (await own.get(f"/v1/runs/{run['run_id']}"))["outcome"]
    assert sent == {"approve": "reviewed", "reject": "handed_over"}


async def test_only_runs_that_wait_keep_checkpoints(own: Shop) -> None:
    own.drafter.script["boom"] = (RuntimeError("boom"),)
    own.drafter.script["slow"] = (anyio.Event(),)
    degraded, stale, superseded = [await own.conversation() for _ in range(3)]
    await own.ask(degraded, "boom")
    await own.ask(stale, REFUND)
    await own.ask(stale, QUESTION)
    async with own.listen(superseded, "slow") as stream:
        await take_until("run.started", stream)
        own.drafter.script["slow"] = ("Now.",)
        await own.ask(superseded, QUESTION)
    cancelled = (await own.ask(await own.conversation(), REFUND)).json()
    await own.http.post(f"/v1/runs/{cancelled['run_id']}/cancel")
    waits = (await own.ask(await own.conversation(), REFUND)).json()
    await own.settled()
    assert await threads(own) == {waits["run_id"]}


async def test_house_keeping_forgets_what_is_left_of_ended_runs(
    own: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments: Any = own.product.service.prune.__self__  # type: ignore[attr-defined]
    waits = (await own.ask(await own.conversation(), REFUND)).json()
    ended = (await own.ask(await own.conversation(), REFUND)).json()
    with monkeypatch.context() as broken:
        broken.setattr(segments.checkpoints, "prune", None)
        await own.http.post(f"/v1/runs/{ended['run_id']}/cancel")
    assert await threads(own) == {waits["run_id"], ended["run_id"]}
    await segments.prune_finished()
    assert await threads(own) == {waits["run_id"]}


async def test_an_approved_reply_outlives_a_disk_that_fails_for_a_moment(
    own: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = (await own.ask(await own.conversation(), REFUND)).json()
    database = own.product.service.store.database
    write, calls = database.write, iter(range(100))

    async def attempt(work: Any, *, durable: bool = True) -> Any:
        if next(calls) in (2, 3):
            raise Unavailable("The disk is gone.")
        return await write(work, durable=durable)

    monkeypatch.setattr(database, "write", attempt)
    await own.decide(run["review_id"], decision="approve")
    await own.events(f"/v1/runs/{run['run_id']}/events")
    assert (await own.get(f"/v1/runs/{run['run_id']}"))["outcome"] == "reviewed"


async def test_too_many_words_before_an_answer_go_to_a_person_and_none_is_dropped(own: Shop) -> None:
    hold = anyio.Event()
    await busy(own, hold)
    conversation = await own.conversation()
    texts = [f"{number}: {'tell me more ' * 20}".strip() for number in range(4)]
    for each in texts:
        await own.ask(conversation, each, Prefer="respond-async")
    hold.set()
    await own.settled()
    found = await own.get(f"/v1/conversations/{conversation}")
    assert (found["owner"], len(found["handoffs"])) == ("queue", 1)
    assert [each["code"] for each in found["handoffs"][0]["brief"]["why"]] == ["intake.too_long"]
    assert [each["text"] for each in found["messages"] if each["author"] == "customer"] == texts


async def test_who_the_customer_is_enters_no_checkpoint(open_shop: OpenShop, tmp_path: Path) -> None:
    async with open_shop(data=tmp_path / "d") as shop:
        await shop.ask(await shop.conversation(id="jo@example.com"), REFUND)
        await shop.settled()
        assert len(await threads(shop)) == 1
        rows = await shop.product.service.store.database.read(checkpoint_rows)
    kept = b"".join(each.read_bytes() for each in (tmp_path / "d").glob("checkpoints*")) + rows
    assert REFUND.encode() in kept
    assert b"jo@example.com" not in kept


def checkpoint_rows(connection: Connection) -> bytes:
    """Return all that the database itself holds of checkpoints, which on SQLite is nothing."""
    names = [name for name in inspect(connection).get_table_names() if name.startswith("checkpoint")]
    rows = [row for name in names for row in connection.execute(text(f"select * from {name}"))]
    return b" ".join(cell if isinstance(cell, bytes) else str(cell).encode() for row in rows for cell in row)


async def test_a_failing_disk_is_unavailable_whatever_the_driver_calls_it(own: Shop) -> None:
    def malformed(_connection: Any) -> None:
        raise DatabaseError("select ?", ("jo@example.com",), Exception("database disk image is malformed"))

    database = own.product.service.store.database
    for attempt in (database.read, database.write):
        with pytest.raises(Unavailable) as failure:
            await attempt(malformed)
        assert "jo@example.com" not in str(failure.value)
