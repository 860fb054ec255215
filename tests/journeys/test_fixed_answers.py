"""What policy answers itself, and what customers agree to, as an app meets them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.shop import FILES, NewPlace, Shop, opener

pytestmark = pytest.mark.anyio

POLICY = """\
answers:
  delivery: Our boxes take three days.
  refund: Refunds take five days.
  brewing: Look at the packet.
templates: {hello: Hello to you.}
rules:
- {id: greets, when: 'text.contains("good morning")', effect: say, template: hello, reason: A greeting.}
- {id: member, when: 'has(attributes.member) && attributes.member', effect: review, reason: A member asks.}
- {id: days, 'on': answer, when: 'reply.contains("three") && "promise" in [text]', effect: escalate, reason: R.}
consent: {train_eval: true}
"""


@pytest.fixture(name="fixed", scope="module")
async def fixed_fixture(
    assistant_folder: Path, new_place: NewPlace, tmp_path_factory: pytest.TempPathFactory, shop: Shop
) -> AsyncIterator[Shop]:
    """Open a shop that has some answers ready."""
    del shop  # It opens first, so that both close in turn.
    folder = tmp_path_factory.mktemp("fixed") / "tea-shop"
    shutil.copytree(assistant_folder, folder)
    (folder / "policy.yaml").write_text(FILES["policy.yaml"] + POLICY)
    async with opener(folder, new_place)() as opened:
        yield opened


async def test_an_intent_with_an_answer_needs_no_draft(fixed: Shop) -> None:
    asked = len(fixed.drafter.asked)
    run = (await fixed.ask(await fixed.conversation(), "When does my box come?")).json()
    assert (run["outcome"], run["text"], run["citations"]) == ("said", "Our boxes take three days.", [])
    assert len(fixed.drafter.asked) == asked


async def test_rules_on_the_answer_hold_for_a_fixed_one(fixed: Shop) -> None:
    run = (await fixed.ask(await fixed.conversation(), "promise")).json()
    assert (run["outcome"], run["text"]) == ("handed_over", "A colleague will answer you here.")


async def test_a_fixed_answer_is_reviewed_where_answers_are(fixed: Shop) -> None:
    conversation = await fixed.conversation()
    run = (await fixed.ask(conversation, "I want my money back")).json()
    assert run["outcome"] == "review"
    await fixed.decide(run["review_id"], decision="approve")
    await fixed.settled()
    ended = await fixed.get(f"/v1/runs/{run['run_id']}")
    assert (ended["outcome"], ended["text"]) == ("reviewed", "Refunds take five days.")


async def test_a_fixed_answer_is_only_suggested_where_answers_are(fixed: Shop) -> None:
    conversation = await fixed.conversation()
    events = await fixed.say(conversation, "How do I brew it?")
    suggested = [event.json()["sentences"] for event in events if event.event == "suggestion"]
    assert [[each["text"] for each in sentences] for sentences in suggested] == [["Look at the packet."]]
    assert events[-1].json()["outcome"] == "handed_over"


async def test_what_a_rule_says_is_a_person_s_to_approve_where_answers_are(fixed: Shop) -> None:
    assert (await fixed.ask(await fixed.conversation(), "Good morning!")).json()["text"] == "Hello to you."
    run = (await fixed.ask(await fixed.conversation(), "good morning, I want my money back")).json()
    assert (run["outcome"], run["text"]) == ("review", "")


async def test_a_rule_on_a_declared_attribute_asks_whether_it_is_there(fixed: Shop) -> None:
    member = await fixed.conversation(attributes={"member": True})
    assert (await fixed.ask(member, "When does my box come?")).json()["outcome"] == "review"


async def test_what_the_app_says_of_consent_goes_before_policy(fixed: Shop) -> None:
    silent = (await fixed.http.post("/v1/conversations", json={})).json()
    said = {"consent": {"third_party_llm": True, "train_eval": False}}
    spoken = (await fixed.http.post("/v1/conversations", json=said)).json()
    assert [silent["consent"], spoken["consent"]] == [
        {"third_party_llm": False, "train_eval": True},
        {"third_party_llm": True, "train_eval": False},
    ]
    assert (await fixed.get(f"/v1/conversations/{spoken['id']}"))["consent"] == said["consent"]


async def test_consent_to_what_nobody_knows_is_refused(fixed: Shop) -> None:
    response = await fixed.http.post("/v1/conversations", json={"consent": {"marketing": True}})
    assert (response.status_code, response.json()["code"]) == (422, "request.invalid")
