"""A draft that a person must see first: the interrupt is real, and one answer wins."""

from __future__ import annotations

from dataclasses import dataclass

import anyio
import pytest

from server.schemas import Review
from tests.journeys.shop import JSON, NewPlace, OpenShop, Shop, asked, finished, said, shown, tidy, told

pytestmark = pytest.mark.anyio

ASKED = "I want my money back."
DRAFT = "This is what the articles say."
PAUSED = ("run.paused", {"reason": "review", "text": "A colleague is looking at this."})


async def waiting(shop: Shop, text: str = ASKED) -> Review:
    conversation = await shop.conversation()
    run = (await shop.ask(conversation, text)).json()
    assert (run["status"], run["outcome"], run["text"]) == ("waiting", "review", "")
    return Review.model_validate(await shop.get(f"/v1/reviews/{run['review_id']}"))


async def test_the_stream_ends_when_a_person_is_asked(shop: Shop) -> None:
    events = await shop.say(await shop.conversation(), ASKED)
    kinds = [kind for _, kind, _ in told(events)]
    assert kinds[-2:] == ["review.requested", "run.paused"]
    assert "message.delta" not in kinds
    assert shown(events)[0] == asked(ASKED)
    assert shown(events)[-1] == PAUSED


async def test_the_queue_shows_what_waits(shop: Shop) -> None:
    review = await waiting(shop)
    listed = (await shop.get("/v1/reviews?status=open"))["reviews"]
    assert [each for each in listed if each["id"] == review.id] == [review.model_dump()]
    assert (review.status, review.kind, review.queue) == ("open", "approve_reply", "returns")
    assert [each["text"] for each in review.draft] == [DRAFT]
    assert review.response_schema["required"] == ["decision"]
    assert review.due_at > review.created_at


@dataclass(frozen=True, kw_only=True)
class Case:
    id: str
    answer: dict[str, str]
    sent: str
    outcome: str


CASES = [
    Case(id="approve", answer={"decision": "approve", "note": "fine"}, sent=DRAFT, outcome="reviewed"),
    Case(
        id="edit",
        answer={"decision": "edit", "text": "Within five days."},
        sent="Within five days.",
        outcome="reviewed",
    ),
    Case(
        id="reject", answer={"decision": "reject"}, sent="A colleague will answer you here.", outcome="handed_over"
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_the_answer_resumes_the_run(shop: Shop, case: Case) -> None:
    review = await waiting(shop)
    response = await shop.decide(review.id, **case.answer)
    assert response.status_code == 200
    closed = Review.model_validate(response.json())
    assert (closed.status, closed.decided_by) == ("decided", "local-admin")
    assert closed.answer == {**case.answer, "by": "local-admin"}
    events = await shop.events(f"/v1/runs/{review.run_id}/events")
    run = await shop.get(f"/v1/runs/{review.run_id}")
    assert (run["status"], run["outcome"], run["text"]) == ("finished", case.outcome, case.sent)
    endings = [each.event for each in events if each.event in ("run.paused", "run.finished")]
    assert endings == ["run.paused", "run.finished"]
    assert shown(events)[-1] == finished(case.outcome)


async def test_an_approved_draft_is_sent_with_its_citations(shop: Shop) -> None:
    review = await waiting(shop)
    await shop.decide(review.id, decision="approve")
    events = await shop.events(f"/v1/runs/{review.run_id}/events")
    after = shown(events)[shown(events).index(PAUSED) + 1 :]
    passage = review.draft[0]["citations"][0]["passage_id"]
    named: dict[str, str] = {}
    cited = tidy([ask.data for ask in events], named) and named[passage.partition(":")[0]]
    assert after[:2] == said(2, DRAFT, [f"{cited}:0"])
    assert [kind for kind, _ in after] == [
        "message.created",
        "message.delta",
        "message.completed",
        "run.finished",
    ]


async def test_a_second_answer_is_told_the_first(shop: Shop) -> None:
    review = await waiting(shop)
    await shop.decide(review.id, decision="edit", text="Within five days.")
    response = await shop.decide(review.id, decision="reject")
    problem: JSON = response.json()
    assert response.status_code == 409
    assert problem["code"] == "review.closed"
    assert problem["first"]["status"] == "decided"
    assert problem["first"]["answer"] == {"decision": "edit", "text": "Within five days.", "by": "local-admin"}
    await shop.settled()
    assert (await shop.get(f"/v1/runs/{review.run_id}"))["text"] == "Within five days."


async def test_of_many_answers_at_once_one_wins(shop: Shop) -> None:
    review = await waiting(shop)
    statuses: list[int] = []

    async def answer(text: str) -> None:
        statuses.append((await shop.decide(review.id, decision="edit", text=text)).status_code)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(answer, f"Answer {number}.")
    assert sorted(statuses) == [200] + [409] * 7
    events = await shop.events(f"/v1/runs/{review.run_id}/events")
    assert [each.event for each in events].count("message.completed") == 1


async def test_a_message_meanwhile_makes_the_draft_stale(shop: Shop) -> None:
    review = await waiting(shop)
    answer = (await shop.ask(review.conversation_id, "How long does delivery take?")).json()
    assert answer["outcome"] == "answered"
    assert (await shop.get(f"/v1/reviews/{review.id}"))["status"] == "stale"
    assert (await shop.get(f"/v1/runs/{review.run_id}"))["outcome"] == "stale"
    late = await shop.decide(review.id, decision="approve")
    assert (late.status_code, late.json()["first"]["status"]) == (409, "stale")


async def test_an_edit_without_text_changes_nothing(shop: Shop) -> None:
    review = await waiting(shop)
    response = await shop.decide(review.id, decision="edit")
    assert (response.status_code, response.json()["code"]) == (400, "input.invalid")
    assert (await shop.get(f"/v1/reviews/{review.id}"))["status"] == "open"
    assert (await shop.decide(review.id, decision="approve")).status_code == 200


async def test_a_run_that_waits_can_be_cancelled(shop: Shop) -> None:
    review = await waiting(shop)
    response = await shop.http.post(f"/v1/runs/{review.run_id}/cancel")
    assert (response.status_code, response.json()["outcome"]) == (200, "cancelled")
    assert (await shop.decide(review.id, decision="approve")).status_code == 409
    again = await shop.http.post(f"/v1/runs/{review.run_id}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "run.finished")


async def test_a_review_waits_through_a_restart(open_shop: OpenShop, new_place: NewPlace) -> None:
    place = new_place()
    async with open_shop(**place) as before:
        conversation_id = await before.conversation()
        asked = await before.say(conversation_id, "I want my money back")
        run_id = asked[0].json()["run_id"]
        review = (await before.get("/v1/reviews"))["reviews"][0]
    async with open_shop(**place) as after:
        assert (await after.decide(review["id"], decision="approve")).status_code == 200
        await after.settled()
        run = await after.get(f"/v1/runs/{run_id}")
    assert (run["status"], run["outcome"]) == ("finished", "reviewed")
    assert run["text"] == " ".join(sentence["text"] for sentence in review["draft"])
