"""Coming back to a stream: each event exactly once, whatever the reader has already."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from httpx_sse import ServerSentEvent, aconnect_sse

from tests.journeys.shop import Shop, take_until

pytestmark = pytest.mark.anyio

QUESTION = "How long does delivery take?"


def plain(events: list[ServerSentEvent]) -> list[tuple[str, str, str]]:
    return [(each.id, each.event, each.data) for each in events]


async def test_from_every_position_the_rest_of_a_run_comes_once(shop: Shop) -> None:
    first = await shop.say(await shop.conversation(), QUESTION)
    path = f"/v1/runs/{first[0].json()['run_id']}/events"
    for position, event in enumerate(first, start=1):
        assert plain(await shop.events(path, **{"Last-Event-ID": event.id})) == plain(first[position:])
        assert plain(await shop.events(f"{path}?since={position}")) == plain(first[position:])


async def test_the_header_wins_over_the_query(shop: Shop) -> None:
    first = await shop.say(await shop.conversation(), QUESTION)
    path = f"/v1/runs/{first[0].json()['run_id']}/events?since=1"
    assert plain(await shop.events(path, **{"Last-Event-ID": first[-2].id})) == plain(first[-1:])


async def test_a_reader_who_comes_in_the_middle_gets_the_rest_live(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["live please"] = ("First.", hold, "Second.")
    async with shop.listen(await shop.conversation(), "live please") as stream:
        seen = await take_until("message.delta", stream)
    path, headers = f"/v1/runs/{seen[-1].json()['run_id']}/events", {"Last-Event-ID": seen[-1].id}
    async with aconnect_sse(shop.http, "GET", path, headers=headers) as source:
        stream = source.aiter_sse()
        between = await take_until("step.finished", _releasing(stream, hold))
        rest = [*between, *[event async for event in stream]]
    whole = [*seen, *rest]
    assert [each.json()["run_seq"] for each in whole] == list(range(1, len(whole) + 1))
    assert [each.json()["text"] for each in whole if each.event == "message.delta"] == ["First.", " Second."]
    assert whole[-1].event == "run.finished"


async def _releasing(stream: AsyncIterator[ServerSentEvent], hold: anyio.Event) -> AsyncIterator[ServerSentEvent]:
    hold.set()
    async for event in stream:
        yield event


async def test_an_id_that_was_never_given_out_is_answered_with_resync(shop: Shop) -> None:
    first = await shop.say(await shop.conversation(), QUESTION)
    run = first[0].json()["run_id"]
    found = await shop.events(f"/v1/runs/{run}/events", **{"Last-Event-ID": f"{run}:999"})
    assert [(each.id, each.event, each.json()) for each in found] == [
        ("", "resync", {"snapshot": f"/v1/runs/{run}"})
    ]


async def test_a_conversation_is_followed_through_all_its_runs(shop: Shop) -> None:
    conversation = await shop.conversation()
    await shop.ask(conversation, QUESTION)
    path = f"/v1/conversations/{conversation}/events"
    async with aconnect_sse(shop.http, "GET", path) as source:
        stream = source.aiter_sse()
        first = await take_until("run.finished", stream)
        await shop.ask(conversation, "And on Saturdays?")
        second = await take_until("run.finished", stream)
    whole = [*first, *second]
    assert [each.id for each in whole] == [f"{conversation}:{n}" for n in range(1, len(whole) + 1)]
    async with aconnect_sse(shop.http, "GET", path, headers={"Last-Event-ID": first[-1].id}) as source:
        assert plain(await take_until("run.finished", source.aiter_sse())) == plain(second)
    async with aconnect_sse(shop.http, "GET", f"{path}?since={len(first)}") as source:
        assert plain(await take_until("run.finished", source.aiter_sse())) == plain(second)


async def test_a_conversation_resyncs_and_goes_on(shop: Shop) -> None:
    conversation = await shop.conversation()
    headers = {"Last-Event-ID": f"{conversation}:77"}
    path = f"/v1/conversations/{conversation}/events"
    async with aconnect_sse(shop.http, "GET", path, headers=headers) as source:
        stream = source.aiter_sse()
        assert [each.event for each in await take_until("resync", stream)] == ["resync"]
        await shop.ask(conversation, QUESTION)
        assert [each.event for each in await take_until("run.started", stream)] == [
            "message.created",
            "run.started",
        ]


async def test_the_same_key_gives_the_finished_stream_again(shop: Shop) -> None:
    conversation = await shop.conversation()
    key = {"Idempotency-Key": "again"}
    first = await shop.say(conversation, QUESTION, **key)
    assert plain(await shop.say(conversation, QUESTION, **key)) == plain(first)
    response = await shop.ask(conversation, QUESTION, **key)
    assert (response.status_code, response.headers["idempotency-replayed"]) == (200, "true")
    assert response.json()["run_id"] == first[0].json()["run_id"]
    assert len((await shop.get(f"/v1/conversations/{conversation}"))["messages"]) == 2


async def test_the_same_key_joins_a_running_stream(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["twice please"] = ("Once.", hold, "Twice.")
    conversation = await shop.conversation()
    key = {"Idempotency-Key": "running"}
    async with shop.listen(conversation, "twice please", **key) as one:
        begun = await take_until("message.delta", one)
        async with shop.listen(conversation, "twice please", **key) as two:
            again = await take_until("message.delta", two)
            assert plain(again) == plain(begun)
            hold.set()
            assert plain([event async for event in one]) == plain([event async for event in two])


async def test_many_posts_with_one_key_are_one_message(shop: Shop) -> None:
    conversation = await shop.conversation()
    runs: list[str] = []

    async def post() -> None:
        runs.append((await shop.ask(conversation, QUESTION, **{"Idempotency-Key": "storm"})).json()["run_id"])

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(post)
    assert len(set(runs)) == 1
    assert len((await shop.get(f"/v1/conversations/{conversation}"))["messages"]) == 2


async def test_the_same_key_with_another_body_is_refused(shop: Shop) -> None:
    conversation = await shop.conversation()
    key = {"Idempotency-Key": "other"}
    await shop.ask(conversation, QUESTION, **key)
    response = await shop.ask(conversation, "Something else.", **key)
    assert (response.status_code, response.json()["code"]) == (422, "idempotency.mismatch")
    assert len((await shop.get(f"/v1/conversations/{conversation}"))["messages"]) == 2


async def test_a_refused_request_does_not_use_up_its_key(shop: Shop) -> None:
    conversation = await shop.conversation()
    key = {"Idempotency-Key": "spared"}
    assert (await shop.ask(conversation, " ", **key)).status_code == 400
    assert (await shop.ask(conversation, QUESTION, **key)).status_code == 200


async def test_a_conversation_is_begun_once_for_a_key(shop: Shop) -> None:
    async def begin(customer: str) -> tuple[int, str]:
        body = {"customer": {"id": customer}}
        response = await shop.http.post("/v1/conversations", json=body, headers={"Idempotency-Key": "begin"})
        return response.status_code, response.json().get("id", "")

    first = await begin("c-1")
    assert first[0] == 201
    assert await begin("c-1") == first
    assert await begin("c-2") == (422, "")


async def test_json_stops_waiting_when_it_was_asked_to(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["slow please"] = (hold, "At last.")
    conversation = await shop.conversation()
    response = await shop.ask(conversation, "slow please", Prefer="wait=0")
    assert (response.status_code, response.json()["status"] in ("queued", "running")) == (202, True)
    path = response.headers["location"]
    assert path == f"/v1/runs/{response.json()['run_id']}"
    hold.set()
    await shop.settled()
    assert (await shop.get(path))["text"] == "At last."


async def test_a_client_that_goes_away_does_not_stop_its_run(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["leaving"] = ("Going.", hold, "Gone.")
    async with shop.listen(await shop.conversation(), "leaving") as stream:
        seen = await take_until("message.delta", stream)
    hold.set()
    await shop.settled()
    run = await shop.get(f"/v1/runs/{seen[-1].json()['run_id']}")
    assert (run["outcome"], run["text"]) == ("answered", "Going. Gone.")
