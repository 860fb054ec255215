"""What the bot has under way when a person takes over: it is closed, kept for the person, never brought back."""

from __future__ import annotations

import anyio
import pytest

from policies.types import Abstention, Owner
from tests.journeys.desk import explained, owner_of, rest_of, staff, told_to, transcript
from tests.journeys.shop import OpenShop, Shop, finished, shown, take_until
from tools.storage import reviews, runs
from tools.storage.store import Tx

pytestmark = pytest.mark.anyio

QUESTION = "How long does delivery take?"
ANSWER = "This is what the articles say."
COMPLAINT = "I want to complain."
MONEY_BACK = "I want my money back."


async def test_a_run_that_has_shown_nothing_ends_when_a_person_takes_over(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["silent so far"] = (hold, "Never sent.")
    conversation = await shop.conversation()
    async with shop.listen(conversation, "silent so far") as stream:
        run = (await take_until("run.started", stream))[-1].json()["run_id"]
        await shop.product.service.desk.take(staff(shop, "ann"), conversation)
        assert shown(await rest_of(stream))[-1] == finished("handed_over")
    await shop.settled()
    assert await transcript(shop, conversation) == [("customer", "silent so far", "complete")]
    assert await explained(shop, run, "close") == [("ann", "handed_over")]
    found = await shop.get(f"/v1/conversations/{conversation}")
    assert found["messages"][0]["created_at"] <= found["waiting_since"] < found["owner_since"]


async def test_a_person_takes_over_between_two_sentences(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["in mid-stream"] = ("One.", hold, "Two.", "Three.")
    conversation = await shop.conversation()
    async with shop.listen(conversation, "in mid-stream") as stream:
        await take_until("message.delta", stream)
        await shop.product.service.desk.reply(staff(shop, "ann"), conversation, "I take this.")
        hold.set()
        rest = await rest_of(stream)
    await shop.settled()
    kinds = [each.event for each in rest if not each.event.startswith("step.")]
    assert kinds == ["message.replaced", "suggestion", "run.finished"]
    replaced, suggestion = (next(e.json() for e in rest if e.event == kind) for kind in kinds[:2])
    assert (replaced["reason"], replaced["text"]) == ("handed_over", "One.")
    assert [each["text"] for each in suggestion["sentences"]] == ["One.", "Two."]
    assert shown(rest)[-1] == finished("handed_over")
    assert await transcript(shop, conversation) == [
        ("customer", "in mid-stream", "complete"),
        ("bot", "One.", "handed_over"),
        ("human", "I take this.", "complete"),
    ]


async def test_a_reply_that_races_with_the_bots_answer_leaves_one_transcript(shop: Shop) -> None:
    desk, ann, rounds = shop.product.service.desk, staff(shop, "ann"), 20
    outcomes: list[str] = []
    for number in range(rounds):
        hold = anyio.Event()
        shop.drafter.script["race"] = (hold, "One.", "Two.")
        conversation = await shop.conversation()
        async with shop.listen(conversation, "race") as stream:
            run = (await take_until("run.started", stream))[-1].json()["run_id"]
            async with anyio.create_task_group() as tasks:
                # The first reply surely comes first, the last surely comes last, the others come in between.
                (hold.set if number else lambda: None)()
                await anyio.sleep(number * 0.001)
                if number == rounds - 1:
                    await take_until("run.finished", stream)
                tasks.start_soon(desk.reply, ann, conversation, "Mine.")
            hold.set()
        await shop.settled()
        outcomes.append(await consistent(shop, conversation, run))
    assert (outcomes[0], outcomes[-1]) == ("handed_over", "answered")


async def consistent(shop: Shop, conversation: str, run: str) -> str:
    """Make sure that what was said fits the way a run ended; return which way."""
    outcome = str((await shop.product.service.run(shop.product.principal, run)).outcome)
    said = [each for each in await transcript(shop, conversation) if each[0] != "customer"]
    human = ("human", "Mine.", "complete")
    if outcome == "answered":
        assert said == [("bot", "One. Two.", "complete"), human]
    else:
        parts = [("bot", text, "handed_over") for text in ("One.", "One. Two.")]
        assert said in ([human], *([part, human] for part in parts))
    kinds = [kind for kind, _ in await told_to(shop, shop.product.principal, conversation)]
    begun = kinds.count("message.created") - 1
    assert begun == kinds.count("message.completed") + kinds.count("message.replaced") == len(said)
    assert kinds.count("run.finished") == 1
    return outcome


async def test_a_waiting_draft_becomes_a_suggestion_and_its_review_is_closed(shop: Shop) -> None:
    conversation = await shop.conversation()
    run = (await shop.ask(conversation, MONEY_BACK)).json()
    await shop.product.service.desk.take(staff(shop, "ann"), conversation)
    events = await shop.events(f"/v1/runs/{run['run_id']}/events")
    assert [each.event for each in events][-2:] == ["suggestion", "run.finished"]
    assert [each["text"] for each in events[-2].json()["sentences"]] == [ANSWER]
    review = await shop.get(f"/v1/reviews/{run['review_id']}")
    assert (review["status"], review["decided_by"]) == ("stale", "ann")
    late = await shop.decide(run["review_id"], decision="approve")
    assert (late.status_code, late.json()["code"], late.json()["first"]["status"]) == (
        409,
        "review.closed",
        "stale",
    )
    assert await transcript(shop, conversation) == [("customer", MONEY_BACK, "complete")]
    assert (await shop.get(f"/v1/runs/{run['run_id']}"))["outcome"] == "handed_over"


async def test_an_approval_that_has_not_been_sent_yet_is_not_sent_any_more(open_shop: OpenShop) -> None:
    async with open_shop(works=False) as shop:
        conversation, desk = await shop.conversation(), shop.product.service.desk
        await shop.ask(conversation, QUESTION, Prefer="respond-async")
        await desk.take(staff(shop, "ann"), conversation)
        await desk.hand_back(staff(shop, "ann"), conversation)
        waits = await shop.ask(conversation, MONEY_BACK, Prefer="respond-async")
        run = waits.json()["run_id"]
        await approved(shop, run, conversation)
        await desk.take(staff(shop, "ann"), conversation)
        assert (await shop.get(f"/v1/runs/{run}"))["status"] == "queued"
        await desk.hand_back(staff(shop, "ann"), conversation)
        assert (await shop.get(f"/v1/runs/{run}"))["outcome"] == "handed_over"
        told = await told_to(shop, shop.product.principal, conversation)
        assert [[each["text"] for each in data["sentences"]] for kind, data in told if kind == "suggestion"] == [
            ["Five days."]
        ]


async def approved(shop: Shop, run_id: str, conversation: str) -> None:
    """Leave a run as it is right after a person has edited its draft."""

    def ask(tx: Tx) -> str:
        runs.update_claimed(tx, run_id, runs.claim(tx, run_id).epoch, status="waiting")
        values = {
            "id": tx.ids.new("rev"),
            "run_id": run_id,
            "conversation_id": conversation,
            "kind": "approve_reply",
            "queue": "returns",
            "due_at": tx.now(),
            "draft": [],
            "reasons": [],
            "response_schema": {},
        }
        return reviews.create(tx, values).id

    workspace = shop.product.service.store.in_workspace(shop.product.settings.workspace)
    review = await workspace.write(ask)
    assert (await shop.decide(review, decision="edit", text="Five days.")).status_code == 200


async def test_the_bot_answers_nothing_that_came_while_a_person_had_it(shop: Shop) -> None:
    conversation, desk = await shop.conversation(), shop.product.service.desk
    await desk.take(staff(shop, "ann"), conversation)
    run = (await shop.ask(conversation, QUESTION)).json()
    assert (run["status"], run["outcome"], run["text"]) == ("finished", "handed_over", "")
    found = await shop.get(f"/v1/conversations/{conversation}")
    assert found["waiting_since"] == found["messages"][0]["created_at"]
    await desk.hand_back(staff(shop, "ann"), conversation)
    await shop.settled()
    assert await transcript(shop, conversation) == [("customer", QUESTION, "complete")]
    assert await owner_of(shop, conversation) == ("bot", None)


async def test_a_message_while_a_closed_stream_is_at_work_does_not_bring_it_back(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["cut in"] = ("One.", hold, "Two.")
    conversation = await shop.conversation()
    async with shop.listen(conversation, "cut in") as stream:
        await take_until("message.delta", stream)
        await shop.product.service.desk.take(staff(shop, "ann"), conversation)
        assert (await shop.ask(conversation, "Hello?")).json()["outcome"] == "handed_over"
        hold.set()
        assert shown(await rest_of(stream))[-1] == finished("handed_over")
    assert await transcript(shop, conversation) == [
        ("customer", "cut in", "complete"),
        ("bot", "One.", "handed_over"),
        ("customer", "Hello?", "complete"),
    ]


async def test_a_return_in_mid_stream_brings_nothing_back(shop: Shop) -> None:
    hold = anyio.Event()
    shop.drafter.script["there and back"] = ("One.", hold, "Two.")
    conversation, desk = await shop.conversation(), shop.product.service.desk
    async with shop.listen(conversation, "there and back") as stream:
        await take_until("message.delta", stream)
        await desk.take(staff(shop, "ann"), conversation)
        await desk.hand_back(staff(shop, "ann"), conversation)
        assert shown(await rest_of(stream))[-1] == finished("handed_over")
    hold.set()
    await shop.settled()
    assert (await transcript(shop, conversation))[1:] == [("bot", "One.", "handed_over")]


async def test_after_the_return_the_bot_answers_with_what_people_said_before_it(shop: Shop) -> None:
    conversation, desk = await shop.conversation(), shop.product.service.desk
    await shop.ask(conversation, COMPLAINT)
    await desk.reply(staff(shop, "ann"), conversation, "I am sorry about the tea.")
    await desk.hand_back(staff(shop, "ann"), conversation, note="She is happy now.")
    run = (await shop.ask(conversation, QUESTION)).json()
    assert (run["outcome"], run["text"]) == ("answered", ANSWER)
    for agent in (shop.router, shop.drafter):
        seen = [(each.author, each.text, each.handed_back) for each in agent.asked[-1].history]
        assert seen == [("customer", COMPLAINT, False), ("human", "I am sorry about the tea.", True)]
    assert shop.router.asked[-1].previous_intent is None
    decisions = (await shop.get(f"/v1/runs/{run['run_id']}/explanation"))["decisions"]
    assert [each["handed_back"] for each in decisions if each["kind"] == "route"] == [True]
    await shop.ask(conversation, "And on Saturdays?")
    assert shop.router.asked[-1].previous_intent == "delivery"


async def test_a_return_without_a_word_is_marked_too(shop: Shop) -> None:
    conversation, desk = await shop.conversation(), shop.product.service.desk
    await shop.ask(conversation, COMPLAINT)
    await desk.take(staff(shop, "ann"), conversation)
    await desk.hand_back(staff(shop, "ann"), conversation)
    again = await desk.hand_back(staff(shop, "bo"), conversation)
    assert (again.owner, again.queue, again.priority, again.waiting_since) == (Owner.BOT, None, None, None)
    await shop.ask(conversation, QUESTION)
    seen = [(each.author, each.text, each.handed_back) for each in shop.drafter.asked[-1].history]
    assert seen == [("customer", COMPLAINT, True)]


async def test_a_takeover_while_the_bot_hands_over_leaves_no_handoff_message(shop: Shop) -> None:
    hold = anyio.Event()
    nothing = Abstention(code="draft.unsure", text="The articles do not say.", confidence=0.2)
    shop.drafter.script["handing over"] = ("One.", hold, RuntimeError("gone"))
    shop.drafter.script["unsure"] = (nothing,)
    conversation, desk = await shop.conversation(), shop.product.service.desk
    async with shop.listen(conversation, "handing over") as stream:
        await take_until("message.delta", stream)
        await desk.take(staff(shop, "ann"), conversation)
        hold.set()
        rest = await rest_of(stream)
    assert "handoff" not in [each.event for each in rest]
    assert await transcript(shop, conversation) == [
        ("customer", "handing over", "complete"),
        ("bot", "One.", "handed_over"),
    ]
    assert await owner_of(shop, conversation) == ("human", "ann")
