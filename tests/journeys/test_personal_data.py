"""Personal data: placeholders wherever it is kept, the customer's own words in what the customer reads."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, inspect, text

from policies.personal_data import Found
from tests.journeys.shop import OpenShop, Shop, told

pytestmark = pytest.mark.anyio

MAIL = "jo.bloggs@example.com"
QUESTION = f"My mail is {MAIL}. How long does delivery take?"
MASKED = "My mail is [EMAIL_1]. How long does delivery take?"


def everything(connection: Connection) -> str:
    """Return all that is stored, in tables that are ours and others."""
    tables = inspect(connection).get_table_names()
    rows = [connection.execute(text(f'select * from "{name}"')).all() for name in tables]
    return repr(rows)


async def test_it_is_stored_nowhere_and_read_back_everywhere(shop: Shop) -> None:
    shop.drafter.script[MASKED] = ("We wrote to [EMAIL_1].",)
    conversation = await shop.conversation()
    events = await shop.say(conversation, QUESTION)
    assert [data["text"] for _, kind, data in told(events) if kind == "message.delta"] == [f"We wrote to {MAIL}."]
    assert events[0].json()["text"] == QUESTION
    assert (await shop.get(f"/v1/runs/{events[0].json()['run_id']}"))["text"] == f"We wrote to {MAIL}."
    messages = (await shop.get(f"/v1/conversations/{conversation}"))["messages"]
    assert [each["text"] for each in messages] == [QUESTION, f"We wrote to {MAIL}."]
    stored = await shop.product.service.store.database.read(everything)
    assert MASKED in stored
    assert MAIL not in stored


async def test_agents_see_placeholders_only(shop: Shop) -> None:
    await shop.ask(await shop.conversation(), QUESTION)
    assert shop.router.asked[-1].text == MASKED
    assert shop.drafter.asked[-1].question == MASKED


async def test_a_placeholder_that_stands_for_nothing_never_leaves(shop: Shop) -> None:
    shop.drafter.script["who am I"] = ("Boxes go out on weekdays.", "You are [EMAIL_9].")
    run = (await shop.ask(await shop.conversation(), "who am I")).json()
    assert run["text"] == "Boxes go out on weekdays."
    shop.drafter.script["who was I"] = ("You were [EMAIL_9].", "Boxes go out on weekdays.")
    run = (await shop.ask(await shop.conversation(), "who was I")).json()
    assert (run["outcome"], run["text"]) == ("review", "")


async def test_staff_read_it_and_write_it_without_its_being_stored(shop: Shop) -> None:
    conversation = await shop.conversation()
    run = (await shop.ask(conversation, f"Send my money back, {MAIL}")).json()
    answer = {"decision": "edit", "text": f"We write to {MAIL} and call +44 20 7946 0018."}
    closed = (await shop.decide(run["review_id"], **answer)).json()
    assert closed["answer"]["text"] == answer["text"]
    late = (await shop.decide(run["review_id"], decision="approve")).json()
    assert late["first"]["answer"]["text"] == answer["text"]
    await shop.settled()
    assert (await shop.get(f"/v1/runs/{run['run_id']}"))["text"] == answer["text"]
    stored = await shop.product.service.store.database.read(everything)
    assert MAIL not in stored
    assert "20 7946 0018" not in stored


async def test_a_reviewers_note_is_kept_masked_and_read_back_by_staff(shop: Shop) -> None:
    run = (await shop.ask(await shop.conversation(), "Send my money back")).json()
    answer = {"decision": "approve", "note": "The customer is eve@example.com."}
    closed = (await shop.decide(run["review_id"], **answer)).json()
    assert closed["answer"]["note"] == answer["note"]
    await shop.settled()
    stored = await shop.product.service.store.database.read(everything)
    assert "eve@example.com" not in stored
    decisions = (await shop.get(f"/v1/runs/{run['run_id']}/explanation"))["decisions"]
    noted = [each["reasons"][0]["text"] for each in decisions if each["kind"] == "review"]
    assert noted == ["The customer is [EMAIL_1]."]


async def test_an_edited_reply_may_use_the_conversations_placeholders_and_no_other(shop: Shop) -> None:
    run = (await shop.ask(await shop.conversation(), f"Send my money back, {MAIL}")).json()
    refused = await shop.decide(run["review_id"], decision="edit", text="We write to [EMAIL_2].")
    assert (refused.status_code, refused.json()["code"]) == (400, "input.invalid")
    assert (await shop.decide(run["review_id"], decision="edit", text="To [EMAIL_1].")).status_code == 200
    await shop.settled()
    assert (await shop.get(f"/v1/runs/{run['run_id']}"))["text"] == f"To {MAIL}."


async def test_the_brief_names_it_to_staff(shop: Shop) -> None:
    conversation = await shop.conversation()
    await shop.ask(conversation, f"I want to complain, {MAIL}")
    brief = (await shop.get(f"/v1/conversations/{conversation}"))["handoffs"][0]["brief"]
    assert brief["asked"] == f"I want to complain, {MAIL}"


async def crashing(text: str) -> list[Found]:
    """Find nothing, and crash."""
    raise ExceptionGroup("several", [RuntimeError(text)])


async def test_a_finder_that_crashes_loses_no_message_and_patterns_mask_it(
    open_shop: OpenShop, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_shop(team={"finder": crashing}) as shop:
        answer = await shop.ask(await shop.conversation(), QUESTION)
        assert (answer.status_code, shop.drafter.asked[-1].question) == (200, MASKED)
    assert "personal data is looked for by patterns alone: ExceptionGroup" in caplog.messages
    assert MAIL not in caplog.text
