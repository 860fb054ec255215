"""An effect that a person must approve: the run waits for that, and the effect is done once or not at all."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import anyio
import httpx
import pytest

from agents.arguments import LocalArguments
from agents.model_arguments import ModelArguments
from policies.errors import Conflict, InputError
from policies.types import JSON, Autonomy
from tests.journeys.refunds import ACTIONS, LARGE, SENT, SMALL, Counter, opened, write_folder
from tests.journeys.shop import NewPlace, served
from tests.tools.models.requests import opened_scripts
from tools.clock import FixedClock
from tools.models.fakes import Reply, ScriptedModel

pytestmark = pytest.mark.anyio


@pytest.fixture(name="folder", scope="module")
def folder_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("approval"))


@pytest.fixture(name="counter", scope="module")
async def counter_fixture(folder: Path, new_place: NewPlace) -> AsyncIterator[Counter]:
    async with opened(folder, new_place()) as counter:
        yield counter


@pytest.fixture(autouse=True)
def _nothing_done(counter: Counter) -> None:
    counter.calls.unlink(missing_ok=True)


async def test_an_effect_within_policy_is_done_without_a_person(counter: Counter) -> None:
    run = await counter.ask(SMALL)
    assert await counter.ending(run) == ("answered", SENT)
    assert (counter.done, await counter.receipts(run)) == (["T-7 20 True"], ["done"])
    told = [(each["action"], each["outcome"]) for each in await counter.decisions(run, "action")]
    assert told == [("look_up", "done"), ("refund", "done")]


async def test_a_person_is_asked_what_is_to_be_done_and_why(counter: Counter) -> None:
    run = await counter.ask(LARGE)
    review = await counter.review(run)
    assert (review.kind, review.queue, review.status) == ("approve_action", "shipping", "open")
    assert review.draft == [
        {
            "action": "refund",
            "arguments": {"order": "T-7", "amount": 60.0},
            "from_customer": ["member"],
            "question": LARGE,
            "text": "May this be done: Refund, with order T-7, amount 60.0, member as the app says?",
        }
    ]
    assert review.reasons == [{"code": "rule.require", "text": "Over 50.", "rule_id": "large"}]
    assert review.response_schema["properties"]["decision"] == {"enum": ["approve", "reject"]}
    assert (counter.done, await counter.receipts(run), (await counter.ending(run))[0]) == ([], [], "review")
    await counter.decide(run, "reject")


async def test_an_approved_effect_is_done_once_and_the_answer_sent(counter: Counter) -> None:
    run = await counter.ask(LARGE)
    await counter.decide(run, "approve", note="Fine.")
    assert await counter.ending(run) == ("answered", SENT)
    assert (counter.done, await counter.receipts(run)) == (["T-7 60 True"], ["done"])
    approval, review = await counter.decisions(run, "approval", "review")
    assert (approval["outcome"], approval["rules"], approval["action"]) == ("asked", ["large"], "refund")
    assert (review["outcome"], review["actor"]["type"], review["action"]) == ("approve", "person", "refund")
    with pytest.raises(Conflict):
        await counter.decide(run, "approve")
    assert counter.done == ["T-7 60 True"]


async def test_an_explanation_tells_of_the_approval_in_plain_words(counter: Counter) -> None:
    run = await counter.ask(LARGE)
    audit, me = counter.product.service.audit, counter.product.principal
    asked = (
        "A person was asked whether something may be done, because a rule of this assistant asks for a person in "
    )
    waiting = (await audit.explanation(me, run)).story
    assert waiting[-2:] == [f"{asked}such a case.", "It waits for that person now."]
    await counter.decide(run, "approve")
    told = await audit.explanation(me, run)
    place = told.story.index(f"{asked}such a case.")
    assert told.story[place + 1 : place + 3] == ["A person approved it.", "Then it was done."]
    assert told.story[place + 3].startswith("The answer was taken from ")
    assert told.story[-1] == "The answer was sent."
    says = " ".join(each.says for each in told.details or [])
    assert "The action refund waits for a person's approval. Why: Over 50. [rule.require; rule large]" in says
    assert "The review whether refund may be done was answered: approve." in says


async def test_a_rejected_effect_is_not_done_and_a_person_gets_the_conversation(counter: Counter) -> None:
    conversation = await counter.begin()
    run = await counter.ask(LARGE, conversation)
    await counter.decide(run, "reject", note="Not yet.")
    assert await counter.ending(run) == ("handed_over", "A colleague will answer you here.")
    view = await counter.product.service.get_conversation(counter.product.principal, conversation)
    assert view.handoffs[0]["brief"]["why"] == [{"code": "approval.reject", "text": "Not yet.", "rule_id": None}]
    assert (counter.done, await counter.receipts(run)) == ([], [])


async def test_an_action_is_not_edited(counter: Counter) -> None:
    run = await counter.ask(LARGE)
    with pytest.raises(InputError, match="not edited"):
        await counter.decide(run, "edit", text="Send 600 euros")
    assert (await counter.review(run)).status == "open"
    await counter.decide(run, "reject")


async def test_an_answer_that_is_none_is_told_which_there_are(counter: Counter) -> None:
    run = await counter.ask(LARGE)
    path = f"/v1/reviews/{(await counter.review(run)).id}/decision"
    async with served(counter.product) as (url, _), httpx.AsyncClient(base_url=url) as http:
        refused = await http.post(path, json={"decision": "yes"})
    assert (refused.status_code, refused.json()["errors"]) == (
        422,
        [{"in": "body", "pointer": "/decision", "detail": "Input should be 'approve' or 'reject'"}],
    )
    await counter.decide(run, "reject")


async def test_an_approval_that_nobody_gives_in_time_goes_to_a_person(folder: Path, tmp_path: Path) -> None:
    # On PostgreSQL timers go by the clock of the server.
    clock = FixedClock()
    async with opened(folder, {"data": tmp_path}, clock) as counter:
        run = await counter.ask(LARGE)
        clock.advance(timedelta(minutes=481))
        with anyio.fail_after(30):
            while (await counter.ending(run))[0] != "handed_over":  # noqa: ASYNC110
                await anyio.sleep(0.02)
        assert ((await counter.review(run)).status, counter.done) == ("expired", [])


async def test_a_newer_message_makes_an_approval_stale(counter: Counter) -> None:
    conversation = await counter.begin()
    first = await counter.ask(LARGE, conversation)
    second = await counter.ask(SMALL, conversation)
    assert ((await counter.review(first)).status, (await counter.ending(first))[0]) == ("stale", "stale")
    assert (await counter.ending(second))[0] == "answered"
    with pytest.raises(Conflict):
        await counter.decide(first, "approve")
    assert counter.done == ["T-7 20 True"]


async def test_a_person_who_takes_over_leaves_nothing_to_approve(counter: Counter) -> None:
    conversation = await counter.begin()
    run = await counter.ask(LARGE, conversation)
    await counter.product.service.desk.take(counter.product.principal, conversation)
    assert ((await counter.review(run)).status, (await counter.ending(run))[0]) == ("stale", "handed_over")
    told = [
        event
        async for batch in counter.product.service.run_events(counter.product.principal, run)
        for event in batch
        if event.type == "suggestion"
    ]
    assert (told, counter.done) == ([], [])


@pytest.mark.parametrize(
    ("text", "code", "queue", "said"),
    [
        ("Refund 20 euros for T-13", "rule.escalate", "shipping", "A colleague will answer you here."),
        ("Refund 600 euros for T-7", "rule.block", "care", "I can't help with that here."),
        ("Refund 20 euros", "act.missing", "shipping", "A colleague will answer you here."),
        ("Refund 20 euros for T-7 or T-8", "act.missing", "shipping", "A colleague will answer you here."),
    ],
)
async def test_what_policy_or_the_words_do_not_allow_goes_to_a_person(
    counter: Counter, text: str, code: str, queue: str, said: str
) -> None:
    conversation = await counter.begin()
    run = await counter.ask(text, conversation)
    outcome, answer = await counter.ending(run)
    view = await counter.product.service.get_conversation(counter.product.principal, conversation)
    assert (outcome, answer[: len(said)], counter.done) == ("handed_over", said, [])
    assert [each["code"] for each in view.handoffs[0]["brief"]["why"]][-1] == code
    assert view.handoffs[0]["queue"] == queue


async def test_a_rule_that_lacks_an_argument_counts_as_fired(counter: Counter) -> None:
    run = await counter.ask(SMALL, await counter.begin(attributes={}))
    assert ((await counter.ending(run))[0], counter.done) == ("handed_over", [])


async def test_a_model_says_what_has_no_pattern_and_is_accounted_for(folder: Path, new_place: NewPlace) -> None:
    said = Reply(data={"arguments": [{"name": "order", "words": "T-8"}, {"name": "member", "words": "true"}]})
    async with opened_scripts(small=ScriptedModel([said, said])) as models:
        filler = ModelArguments(LocalArguments(), models, ("small",))
        async with opened(folder, new_place(), arguments=filler, models=models) as counter:
            service, me = counter.product.service, counter.product.principal
            endings = []
            for text in ("Refund 20 euros for T-8, as a member", "I have T-7 and T-8. Refund 20 euros for T-8"):
                customer: JSON = {"attributes": {}}
                consent = {"third_party_llm": True}
                conversation = await service.create_conversation(me, customer=customer, consent=consent)
                run = await counter.ask(text, conversation.id)
                [asked, *_] = await counter.decisions(run, "model")
                assert (asked["node"], asked["outcome"]) == ("act", "small")
                endings.append((await counter.ending(run))[0])
            # Of two orders no model chooses one.
            assert (counter.done, endings) == (["T-8 20 True"], ["answered", "handed_over"])


@pytest.mark.parametrize("words", ["Do not refund 20 euros for T-7", "Refund 20 euros for T-7 if it broke"])
async def test_a_person_is_asked_about_an_effect_that_the_message_denies_or_ties_to_something(
    counter: Counter, words: str
) -> None:
    run = await counter.ask(words)
    assert [each["code"] for each in (await counter.review(run)).reasons] == ["act.reserved"]
    assert counter.done == []
    await counter.decide(run, "reject")


@pytest.mark.parametrize("autonomy", [Autonomy.REVIEW, Autonomy.SUGGEST])
async def test_where_answers_wait_so_do_effects(autonomy: Autonomy, tmp_path: Path, new_place: NewPlace) -> None:
    async with opened(write_folder(tmp_path / "folder", autonomy), new_place()) as counter:
        run = await counter.ask(SMALL)
        assert [each["code"] for each in (await counter.review(run)).reasons] == ["act.not_allowed"]
        await counter.decide(run, "approve")
        after = (await counter.ending(run))[0]
        assert (after, counter.done) == (
            "review" if autonomy is Autonomy.REVIEW else "handed_over",
            ["T-7 20 True"],
        )


async def test_a_run_that_waits_is_approved_after_a_restart(folder: Path, new_place: NewPlace) -> None:
    place = new_place()
    async with opened(folder, place) as counter:
        run = await counter.ask(LARGE)
    async with opened(folder, place) as counter:
        await counter.decide(run, "approve")
        assert await counter.ending(run) == ("answered", SENT)
        assert (counter.done, await counter.receipts(run)) == (["T-7 60 True"], ["done"])


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_an_answer_holds_even_if_the_checkpoint_is_lost(
    folder: Path, new_place: NewPlace, decision: str
) -> None:
    place = new_place()
    async with opened(folder, place) as counter:
        run = await counter.ask(LARGE)
        await counter.product.service.prune(run)
        await counter.decide(run, decision)
        done = ["T-7 60 True"] if decision == "approve" else []
        ended = (
            ("answered", SENT) if decision == "approve" else ("handed_over", "A colleague will answer you here.")
        )
        assert (await counter.ending(run), counter.done) == (ended, done)


async def test_a_waiting_run_goes_on_with_the_folders_code_and_not_with_what_a_row_says(
    folder: Path, tmp_path: Path, new_place: NewPlace
) -> None:
    mine = tmp_path / "folder"
    shutil.copytree(folder, mine)
    place = new_place()
    async with opened(mine, place) as counter:
        run = await counter.ask(LARGE)
    (mine / "actions.py").write_text(ACTIONS.replace("amount: Annotated", "sum_of_money: Annotated"))
    async with opened(mine, place) as counter:
        await counter.decide(run, "approve")
        # What was approved does not fit the function any more: nothing is done, and a person learns why.
        assert ((await counter.ending(run))[0], counter.done) == ("handed_over", [])
