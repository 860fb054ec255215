"""Events go after a time; what a run said, and why, stays, and late readers are told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

import pytest
from httpx_sse import ServerSentEvent, aconnect_sse

from tests.journeys.shop import JSON, Shop, take_until
from tools.storage import events
from tools.storage.store import stamp

pytestmark = pytest.mark.anyio

QUESTION = "How long does delivery take?"


async def trim(shop: Shop, before: str | None = None) -> None:
    """Trim what is older than a time; all that house-keeping may, by default."""
    await shop.settled()
    store = shop.product.service.store
    limit = before or stamp(store.clock.now() + timedelta(days=1))
    while await store.database.write(partial(events.trim, before=limit)):
        pass


def plain(told: list[ServerSentEvent]) -> list[tuple[str, str, JSON]]:
    return [(each.id, each.event, each.json()) for each in told]


def resync(path: str) -> tuple[str, str, JSON]:
    return "", "resync", {"snapshot": path}


@asynccontextmanager
async def followed(
    shop: Shop, path: str, after: str | None = None
) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    headers = {"Last-Event-ID": after} if after else {}
    async with aconnect_sse(shop.http, "GET", f"{path}/events", headers=headers) as source:
        yield source.aiter_sse()


@pytest.mark.parametrize("text", [QUESTION, "I want to complain", "How do I brew oolong?", "Write me a poem"])
async def test_a_run_reads_the_same_when_its_events_are_gone(shop: Shop, text: str) -> None:
    conversation = await shop.conversation()
    answer = (await shop.ask(conversation, text)).json()
    paths = [f"/v1/runs/{answer['run_id']}", f"/v1/conversations/{conversation}"]
    before = [await shop.get(path) for path in paths]
    await trim(shop)
    assert [await shop.get(path) for path in paths] == before
    assert before[0] == answer
    assert before[0]["route"]["queue"]


async def test_a_reviewed_run_reads_the_same_when_its_events_are_gone(shop: Shop) -> None:
    waiting = (await shop.ask(await shop.conversation(), "I want my money back")).json()
    await shop.decide(waiting["review_id"], decision="edit", text="It goes back today.")
    await shop.settled()
    path = f"/v1/runs/{waiting['run_id']}"
    before = await shop.get(path)
    await trim(shop)
    assert await shop.get(path) == before
    assert (before["text"], before["citations"], before["route"]["intent"]) == (
        "It goes back today.",
        [],
        "refund",
    )


async def test_an_answer_cites_its_sentences_by_index_for_good(shop: Shop) -> None:
    shop.drafter.script["both please"] = ("Boxes go out on weekdays.", "Delivery takes three days.")
    conversation = await shop.conversation()
    run = (await shop.ask(conversation, "both please")).json()
    await trim(shop)
    found = await shop.get(f"/v1/runs/{run['run_id']}")
    assert [each["index"] for each in found["citations"]] == [0, 1]
    assert (await shop.get(f"/v1/conversations/{conversation}"))["messages"][-1]["citations"] == found["citations"]


async def test_a_waiting_run_keeps_its_events_and_goes_on(shop: Shop) -> None:
    waiting = (await shop.ask(await shop.conversation(), "I want my money back")).json()
    path = f"/v1/runs/{waiting['run_id']}/events"
    before = plain(await shop.events(path))
    await trim(shop)
    assert plain(await shop.events(path)) == before
    await shop.decide(waiting["review_id"], decision="approve")
    await shop.settled()
    whole = plain(await shop.events(path))
    assert whole[: len(before)] == before
    assert [data["run_seq"] for _, _, data in whole] == list(range(1, len(whole) + 1))
    assert whole[-1][1] == "run.finished"


async def test_a_conversation_of_which_nothing_is_kept_resyncs_and_goes_on(shop: Shop) -> None:
    conversation = await shop.conversation()
    first = await shop.say(conversation, QUESTION)
    await trim(shop)
    path = f"/v1/conversations/{conversation}"
    async with followed(shop, path) as stream:
        assert plain(await take_until("resync", stream)) == [resync(path)]
        await shop.ask(conversation, QUESTION)
        rest = await take_until("run.finished", stream)
    numbers = range(len(first) + 1, len(first) + len(rest) + 1)
    assert [each.id for each in rest] == [f"{conversation}:{number}" for number in numbers]


async def test_a_conversation_of_which_some_is_kept_resyncs_only_whom_it_lacks(shop: Shop) -> None:
    conversation = await shop.conversation()
    first, second = await shop.say(conversation, QUESTION), await shop.say(conversation, QUESTION)
    await trim(shop, second[0].json()["at"])
    path = f"/v1/conversations/{conversation}"
    kept = [each.json() for each in second]
    for after in (None, f"{conversation}:1", f"{conversation}:{len(first) - 1}"):
        async with followed(shop, path, after) as stream:
            told = plain(await take_until("run.finished", stream))
        assert told[0] == resync(path)
        assert [data for _, _, data in told[1:]] == kept
    async with followed(shop, path, f"{conversation}:{len(first)}") as stream:
        assert [each.json() for each in await take_until("run.finished", stream)] == kept


async def test_a_run_of_which_nothing_is_kept_resyncs_and_ends(shop: Shop) -> None:
    first = await shop.say(await shop.conversation(), QUESTION)
    path = f"/v1/runs/{first[0].json()['run_id']}"
    await trim(shop)
    assert plain(await shop.events(f"{path}/events")) == [resync(path)]
    assert plain(await shop.events(f"{path}/events", **{"Last-Event-ID": first[3].id})) == [resync(path)]
    assert plain(await shop.events(f"{path}/events", **{"Last-Event-ID": first[-1].id})) == []


async def test_a_run_of_which_some_is_kept_resyncs_only_whom_it_lacks(shop: Shop) -> None:
    first = await shop.say(await shop.conversation(), QUESTION)
    path, middle = f"/v1/runs/{first[0].json()['run_id']}", first[6].json()["at"]
    await trim(shop, middle)
    kept = [each for each in first if each.json()["at"] >= middle]
    gone = first[: len(first) - len(kept)]
    assert plain(await shop.events(f"{path}/events")) == [resync(path), *plain(kept)]
    headers = {"Last-Event-ID": gone[-1].id}
    assert plain(await shop.events(f"{path}/events", **headers)) == plain(kept)


async def test_a_repeated_request_gets_its_answer_when_the_events_are_gone(shop: Shop) -> None:
    conversation = await shop.conversation()
    key = {"Idempotency-Key": "late"}
    answer = await shop.ask(conversation, QUESTION, **key)
    await trim(shop)
    again = await shop.ask(conversation, QUESTION, **key)
    assert (again.status_code, again.json()) == (200, answer.json())
    told = plain(await shop.say(conversation, QUESTION, **key))
    assert told == [resync(f"/v1/runs/{answer.json()['run_id']}")]
