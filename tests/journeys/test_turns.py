"""One customer turn at a time, and what ends a turn early."""

from __future__ import annotations

import anyio
import pytest

from tests.journeys.shop import Shop, finished, shown, take_until

pytestmark = pytest.mark.anyio


async def test_a_message_before_the_first_sentence_supersedes_the_run(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["first thought"] = (hold, "Never sent.")
    shop.drafter.script["second thought"] = ("Both answered.",)
    shop.drafter.script = dict(reversed(shop.drafter.script.items()))
    conversation = await shop.conversation()
    async with shop.listen(conversation, "first thought") as stream:
        early = await take_until("run.started", stream)
        second = await shop.say(conversation, "second thought")
        first = [*early, *[event async for event in stream]]
    hold.set()
    assert shown(first)[-1] == finished("superseded")
    assert shown(second)[-1] == finished("answered")
    assert shop.drafter.asked[-1].question == "first thought\nsecond thought"
    messages = (await shop.get(f"/v1/conversations/{conversation}"))["messages"]
    assert [each["text"] for each in messages] == ["first thought", "second thought", "Both answered."]


async def test_a_message_after_a_sentence_waits_its_turn(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["talkative"] = ("One.", hold, "Two.")
    conversation = await shop.conversation()
    async with shop.listen(conversation, "talkative") as stream:
        await take_until("message.delta", stream)
        response = await shop.ask(conversation, "How long does delivery take?", Prefer="respond-async")
        assert (response.status_code, response.json()["status"]) == (202, "queued")
        hold.set()
        assert (await take_until("run.finished", stream))[-1].json()["outcome"] == "answered"
    await shop.settled()
    messages = (await shop.get(f"/v1/conversations/{conversation}"))["messages"]
    assert [each["text"] for each in messages] == [
        "talkative",
        "How long does delivery take?",
        "One. Two.",
        "This is what the articles say.",
    ]


async def test_a_cancelled_run_sends_nothing_more(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["stop me"] = (hold, "Too late.")
    conversation = await shop.conversation()
    async with shop.listen(conversation, "stop me") as stream:
        begun = await take_until("run.started", stream)
        run = begun[0].json()["run_id"]
        response = await shop.http.post(f"/v1/runs/{run}/cancel")
        assert (response.status_code, response.json()["outcome"]) == (200, "cancelled")
        rest = [event async for event in stream]
    hold.set()
    await shop.settled()
    assert rest[-1].json()["outcome"] == "cancelled"
    messages = (await shop.get(f"/v1/conversations/{conversation}"))["messages"]
    assert [each["author"] for each in messages] == ["customer"]
    decisions = (await shop.get(f"/v1/runs/{run}/explanation"))["decisions"]
    assert [each["outcome"] for each in decisions if each["kind"] == "cancel"] == ["cancelled"]


async def test_a_finished_run_can_not_be_cancelled(shop: Shop) -> None:
    run = (await shop.ask(await shop.conversation(), "How long does delivery take?")).json()["run_id"]
    response = await shop.http.post(f"/v1/runs/{run}/cancel")
    assert (response.status_code, response.json()["code"]) == (409, "run.finished")


async def test_the_next_turn_knows_what_was_said(shop: Shop) -> None:
    conversation = await shop.conversation()
    await shop.ask(conversation, "How long does delivery take?")
    await shop.ask(conversation, "And on Saturdays?")
    said = [(each.author, each.text) for each in shop.drafter.asked[-1].history]
    assert said == [("customer", "How long does delivery take?"), ("bot", "This is what the articles say.")]
    assert shop.router.asked[-1].previous_intent == "delivery"
