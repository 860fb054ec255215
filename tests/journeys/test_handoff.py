"""When a person takes over: by policy, by doubt, or because something broke."""

from __future__ import annotations

import anyio
import pytest

from policies.errors import GuardFailed
from policies.types import Abstention
from tests.journeys.shop import NewPlace, OpenShop, Shop, asked, finished, said, shown, take_until, tidy

pytestmark = pytest.mark.anyio

COMPLAINT = "I want to complain."
HANDED = "A colleague will answer you here."
BROKEN = "Something broke, so a colleague will answer you."


async def test_policy_hands_a_complaint_to_a_person(shop: Shop) -> None:
    conversation = await shop.conversation()
    completed = {"message_id": "msg:2", "author": "bot", "text": HANDED, "citations": []}
    assert shown(await shop.say(conversation, COMPLAINT)) == [
        asked(COMPLAINT),
        *said(2, HANDED),
        ("message.completed", completed),
        ("handoff", {"queue": "care", "priority": "high"}),
        ("owner.changed", {"owner": "queue", "queue": "care"}),
        finished("handed_over"),
    ]
    found = await shop.get(f"/v1/conversations/{conversation}")
    assert (found["owner"], found["queue"], len(found["handoffs"])) == ("queue", "care", 1)
    brief = tidy(found["handoffs"][0]["brief"])
    assert (brief["asked"], brief["queue"], brief["priority"]) == (COMPLAINT, "care", "high")
    assert [reason["code"] for reason in brief["why"]] == ["route.human"]


async def test_the_bot_is_silent_while_a_person_owns_the_conversation(shop: Shop) -> None:
    conversation = await shop.conversation()
    await shop.ask(conversation, COMPLAINT)
    events = await shop.say(conversation, "Hello? How long does delivery take?")
    assert shown(events) == [asked("Hello? How long does delivery take?"), finished("handed_over")]
    messages = (await shop.get(f"/v1/conversations/{conversation}"))["messages"]
    assert [each["author"] for each in messages] == ["customer", "bot", "customer"]


async def test_what_is_out_of_scope_goes_to_a_person(shop: Shop) -> None:
    run = (await shop.ask(await shop.conversation(), "Write me a poem.")).json()
    assert (run["outcome"], run["text"], run["route"]["intent"]) == ("handed_over", HANDED, None)


async def test_a_drafter_that_abstains_leaves_it_to_a_person(shop: Shop) -> None:
    nothing = Abstention(code="draft.unsure", text="The articles do not say.", confidence=0.2)
    shop.drafter.script["nobody knows"] = (nothing,)
    conversation = await shop.conversation()
    run = (await shop.ask(conversation, "nobody knows")).json()
    assert (run["outcome"], run["text"]) == ("handed_over", HANDED)
    brief = (await shop.get(f"/v1/conversations/{conversation}"))["handoffs"][0]["brief"]
    assert [reason["text"] for reason in brief["why"]] == ["The articles do not say."]


async def test_a_suggestion_reaches_staff_and_not_the_customer(shop: Shop) -> None:
    events = await shop.say(await shop.conversation(), "How do I brew oolong?")
    told = [each.event for each in events]
    assert told.count("suggestion") == 1
    deltas = [each.json()["text"] for each in events if each.event == "message.delta"]
    assert deltas == [HANDED]


@pytest.mark.parametrize("failure", [RuntimeError("boom at jo@example.com"), GuardFailed("The guard is down.")])
async def test_a_failing_agent_ends_with_a_person(shop: Shop, failure: Exception) -> None:
    shop.drafter.script[f"break {type(failure).__name__}"] = (failure,)
    conversation = await shop.conversation()
    events = await shop.say(conversation, f"break {type(failure).__name__}")
    assert [kind for kind, _ in shown(events)] == [
        "message.created",
        "degraded",
        "message.created",
        "message.delta",
        "message.completed",
        "handoff",
        "owner.changed",
        "run.finished",
    ]
    assert shown(events)[-1] == finished("degraded")
    assert [each.json()["text"] for each in events if each.event == "message.completed"] == [BROKEN]
    assert not any("boom" in each.data for each in events)
    assert (await shop.get(f"/v1/conversations/{conversation}"))["owner"] == "queue"


async def test_a_failure_after_a_sentence_takes_it_back(shop: Shop) -> None:
    shop.drafter.script["half"] = ("Half an answer.", RuntimeError("gone"))
    conversation = await shop.conversation()
    events = await shop.say(conversation, "half")
    replaced = [each.json() for each in events if each.event == "message.replaced"]
    assert [(each["reason"], each["text"]) for each in replaced] == [("withdrawn", "Half an answer.")]
    messages = (await shop.get(f"/v1/conversations/{conversation}"))["messages"]
    assert [(each["text"], each["state"]) for each in messages[1:]] == [
        ("Half an answer.", "withdrawn"),
        (BROKEN, "complete"),
    ]


async def test_a_run_past_its_deadline_goes_to_a_person(open_shop: OpenShop) -> None:
    async with open_shop(run_seconds=0.2) as shop:
        shop.drafter.script["for ever"] = (anyio.Event(),)
        run = (await shop.ask(await shop.conversation(), "for ever")).json()
        assert (run["outcome"], run["text"]) == ("degraded", BROKEN)


async def test_streams_end_in_order_when_the_server_stops(open_shop: OpenShop) -> None:
    async with open_shop() as shop:
        conversation = await shop.conversation()
        path = f"/v1/conversations/{conversation}/events"
        async with shop.http.stream("GET", path, headers={"Accept": "text/event-stream"}) as response:
            shop.stop()
            with anyio.fail_after(30):
                assert await response.aread() == b""


async def test_a_run_that_was_cut_off_is_finished_by_the_next_process(
    open_shop: OpenShop, new_place: NewPlace
) -> None:
    hold = anyio.Event()
    place = new_place()
    async with open_shop(**place, drain_seconds=0) as shop:
        shop.drafter.script["cut off"] = (hold,)
        conversation = await shop.conversation()
        async with shop.listen(conversation, "cut off") as stream:
            run = (await take_until("run.started", stream))[0].json()["run_id"]
    async with open_shop(**place) as shop:
        await shop.settled()
        events = await shop.events(f"/v1/runs/{run}/events")
        kinds = [each.event for each in events]
        assert (kinds.count("run.started"), kinds.count("retry"), kinds.count("run.finished")) == (1, 1, 1)
        assert (await shop.get(f"/v1/runs/{run}"))["outcome"] == "answered"
