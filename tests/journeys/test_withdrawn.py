"""What was shown and will not be finished is closed by one event and kept in the transcript."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
from httpx_sse import ServerSentEvent

from policies.errors import Unavailable
from policies.types import Outcome, Owner, Reason, Verdict
from tests.journeys.shop import JSON, Shop, take_until
from tools.storage import conversations

pytestmark = pytest.mark.anyio

HANDED = "A colleague will answer you here."


async def transcript(shop: Shop, conversation: str) -> list[tuple[str, str]]:
    messages = (await shop.get(f"/v1/conversations/{conversation}"))["messages"]
    return [(each["text"], each["state"]) for each in messages[1:]]


def replaced(events: list[ServerSentEvent]) -> list[tuple[str, str]]:
    taken: list[JSON] = [each.json() for each in events if each.event == "message.replaced"]
    return [(each["reason"], each["text"]) for each in taken]


def closings_per_message(events: list[ServerSentEvent]) -> list[int]:
    begun = [each.json()["message_id"] for each in events if each.event == "message.created"]
    closed = [
        each.json()["message_id"] for each in events if each.event in ("message.completed", "message.replaced")
    ]
    return [closed.count(message_id) for message_id in begun[1:]]


def failing(shop: Shop, times: int) -> Callable[..., Any]:
    write = shop.product.service.store.database.write
    left = [times]

    async def attempt(work: Callable[..., Any], *, durable: bool = True) -> Any:
        if left[0]:
            left[0] -= 1
            raise Unavailable("The disk is gone.")
        return await write(work, durable=durable)

    return attempt


async def test_a_message_that_an_earlier_attempt_began_is_taken_back_by_the_next(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = anyio.Event()
    shop.drafter.script["flicker"] = ("First.", hold, "Second.")
    conversation = await shop.conversation()
    async with shop.listen(conversation, "flicker") as stream:
        begun = await take_until("message.delta", stream)
        monkeypatch.setattr(shop.product.service.store.database, "write", failing(shop, 2))
        hold.set()
        events = [*begun, *await take_until("run.finished", stream)]
    assert replaced(events) == [("retried", "First.")]
    assert closings_per_message(events) == [1, 1]
    assert await transcript(shop, conversation) == [("First.", "retried"), ("First. Second.", "complete")]
    assert events[-1].json()["outcome"] == "answered"
    run = events[-1].json()["run_id"]
    kinds = [each["kind"] for each in (await shop.get(f"/v1/runs/{run}/explanation"))["decisions"]]
    assert {"route", "retrieve", "gate", "verdict", "close"} <= set(kinds)


async def test_cancelling_takes_back_what_was_shown(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["cancel late"] = ("Shown.", hold, "Never.")
    conversation = await shop.conversation()
    async with shop.listen(conversation, "cancel late") as stream:
        begun = await take_until("message.delta", stream)
        assert (await shop.http.post(f"/v1/runs/{begun[0].json()['run_id']}/cancel")).status_code == 200
        events = [*begun, *await take_until("run.finished", stream)]
    await shop.settled()
    assert replaced(events) == [("cancelled", "Shown.")]
    assert await transcript(shop, conversation) == [("Shown.", "cancelled")]
    answer = (await shop.ask(conversation, "How long does delivery take?")).json()
    assert answer["outcome"] == "answered"


async def test_a_draft_that_needs_a_person_after_all_is_taken_back_and_sent_once_approved(shop: Shop) -> None:
    doubt = Verdict(outcome=Outcome.REVIEW, reasons=(Reason(code="x", text="Doubtful."),))
    shop.drafter.script["wobbly"] = ("Wrong claim.", "Other.")
    shop.checker.answers["wobbly"] = doubt
    conversation = await shop.conversation()
    events = await shop.say(conversation, "wobbly")
    assert replaced(events) == [("withdrawn", "Wrong claim. Other.")]
    run = events[0].json()["run_id"]
    review = (await shop.get(f"/v1/runs/{run}"))["review_id"]
    assert (await shop.decide(review, decision="edit", text="The right claim.")).status_code == 200
    await shop.settled()
    assert await transcript(shop, conversation) == [
        ("Wrong claim. Other.", "withdrawn"),
        ("The right claim.", "complete"),
    ]
    assert closings_per_message(await shop.events(f"/v1/runs/{run}/events")) == [1, 1]


async def test_a_person_who_takes_over_gets_what_passed_as_a_suggestion(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["taken over"] = ("Shown.", hold, "Unsent.")
    conversation = await shop.conversation()
    workspace = shop.product.service.store.in_workspace(shop.product.principal.workspace_id)
    async with shop.listen(conversation, "taken over") as stream:
        begun = await take_until("message.delta", stream)
        await workspace.write(lambda tx: conversations.set_owner(tx, conversation, Owner.HUMAN))
        hold.set()
        events = [*begun, *await take_until("run.finished", stream)]
    assert events[-1].json()["outcome"] == "handed_over"
    assert replaced(events) == [("handed_over", "Shown.")]
    suggested = [each.json()["sentences"] for each in events if each.event == "suggestion"]
    assert [[sentence["text"] for sentence in each] for each in suggested] == [["Shown.", "Unsent."]]
    assert await transcript(shop, conversation) == [("Shown.", "handed_over")]


async def test_a_run_behind_one_that_hands_over_ends_without_work(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["goes wrong"] = ("Shown.", hold, "More.")
    shop.checker.answers["goes wrong"] = Verdict(outcome=Outcome.ESCALATE)
    conversation = await shop.conversation()
    async with shop.listen(conversation, "goes wrong") as stream:
        await take_until("message.delta", stream)
        behind = (await shop.ask(conversation, "I want my money back", Prefer="respond-async")).json()
        hold.set()
        await take_until("run.finished", stream)
    await shop.settled()
    events = await shop.events(f"/v1/runs/{behind['run_id']}/events")
    assert [each.event for each in events] == ["message.created", "run.finished"]
    assert events[-1].json()["outcome"] == "handed_over"
    assert [each for each, _ in await transcript(shop, conversation)] == [
        "I want my money back",
        "Shown. More.",
        HANDED,
    ]
