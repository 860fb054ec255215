"""A question that the articles answer."""

from __future__ import annotations

import pytest

from server.schemas import Run, WholeConversation
from tests.journeys.shop import JSON, Shop, tidy, told

pytestmark = pytest.mark.anyio

QUESTION = "How long does delivery take?"
CITATION: JSON = {
    "index": 0,
    "passage_id": "doc:1:0",
    "document": "delivery.md",
    "document_version": "doc:1",
    "title": "Delivery",
    "quote": "Delivery takes three days. Delivery costs four euros, and nothing above fifty euros. "
    "Boxes go out on weekdays.",
    "start": 12,
    "end": 122,
}
ROUTE = {
    "intent": "delivery",
    "queue": "shipping",
    "priority": "normal",
    "confidence": 0.9,
    "in_scope": 0.95,
    "autonomy": "auto",
    "tier": "local",
    "reasons": [],
    "nearest": [],
}
TEXT = "This is what the articles say."


def source(number: int, name: str) -> JSON:
    return {
        "id": f"doc:{number}:0",
        "document": f"{name.lower()}.md",
        "document_version": f"doc:{number}",
        "title": name,
        "heading": "",
    }


async def test_an_answer_streams_with_its_steps_and_citations(shop: Shop) -> None:
    conversation = await shop.conversation(id="c-7", attributes={"member": True})
    sources = [source(1, "Delivery"), source(2, "Brewing"), source(3, "Refunds")]
    assert told(await shop.say(conversation, QUESTION)) == [
        ("run:1:1", "message.created", {"message_id": "msg:1", "author": "customer", "text": QUESTION}),
        ("run:1:2", "run.started", {}),
        ("run:1:3", "step.started", {"name": "intake"}),
        ("run:1:4", "step.finished", {"name": "intake", "language": "en"}),
        ("run:1:5", "step.started", {"name": "route"}),
        ("run:1:6", "step.finished", {"name": "route", "route": ROUTE}),
        ("run:1:7", "step.started", {"name": "retrieve"}),
        ("run:1:8", "retrieval", {"query": QUESTION, "sources": sources}),
        ("run:1:9", "step.finished", {"name": "retrieve", "passages": 3}),
        ("run:1:10", "step.started", {"name": "draft"}),
        ("run:1:11", "message.created", {"message_id": "msg:2", "author": "bot"}),
        (
            "run:1:12",
            "message.delta",
            {"message_id": "msg:2", "index": 0, "text": TEXT, "citations": ["doc:1:0"]},
        ),
        ("run:1:13", "step.finished", {"name": "draft", "sentences": 1}),
        ("run:1:14", "step.started", {"name": "check"}),
        ("run:1:15", "step.finished", {"name": "check", "verdict": {"outcome": "deliver"}}),
        (
            "run:1:16",
            "message.completed",
            {"message_id": "msg:2", "author": "bot", "text": TEXT, "citations": [CITATION]},
        ),
        ("run:1:17", "run.finished", {"status": "finished", "outcome": "answered"}),
    ]


async def test_the_stream_says_where_to_go_on(shop: Shop) -> None:
    conversation = await shop.conversation()
    path = f"/v1/conversations/{conversation}/messages"
    accept = {"Accept": "text/event-stream"}
    async with shop.http.stream("POST", path, json={"text": QUESTION}, headers=accept) as response:
        body = (await response.aread()).decode()
    run = body.partition('"run_id":"')[2].partition('"')[0]
    assert body.startswith(f"retry: 2000\nid: {run}:1\nevent: message.created\ndata: {{")
    named = {name: response.headers[name] for name in ("location", "content-location", "idempotency-replayed")}
    assert named == {
        "location": f"/v1/runs/{run}/events",
        "content-location": f"/v1/runs/{run}",
        "idempotency-replayed": "false",
    }
    assert response.headers["x-trace-id"] == (await shop.get(f"/v1/runs/{run}"))["trace_id"]
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache, no-transform"
    assert response.headers["x-accel-buffering"] == "no"


async def test_json_waits_for_the_run(shop: Shop) -> None:
    conversation = await shop.conversation()
    response = await shop.ask(conversation, QUESTION)
    assert response.status_code == 200
    run = Run.model_validate(response.json())
    assert response.headers["location"] == f"/v1/runs/{run.run_id}"
    assert tidy(response.json()) == {
        "run_id": "run:1",
        "conversation_id": "con:1",
        "status": "finished",
        "outcome": "answered",
        "text": TEXT,
        "citations": [CITATION],
        "route": ROUTE,
        "review_id": None,
    }


async def test_the_conversation_holds_both_messages(shop: Shop) -> None:
    conversation = await shop.conversation(id="c-7", locale="en-GB", attributes={"visits": 3})
    await shop.ask(conversation, QUESTION)
    found = WholeConversation.model_validate(await shop.get(f"/v1/conversations/{conversation}"))
    assert (found.owner, found.version, found.queue, found.handoffs) == ("bot", 3, None, [])
    assert found.customer == {"id": "c-7", "locale": "en-GB", "attributes": {"visits": 3}}
    said = [(each.position, each.author, each.text, each.state) for each in found.messages]
    assert said == [(1, "customer", QUESTION, "complete"), (2, "bot", TEXT, "complete")]


async def test_the_decisions_explain_the_run(shop: Shop) -> None:
    conversation = await shop.conversation()
    run = (await shop.ask(conversation, QUESTION)).json()["run_id"]
    explained = await shop.get(f"/v1/runs/{run}/explanation")
    assert explained["run_id"] == run
    assert [(each["node"], each["kind"], each["outcome"]) for each in explained["decisions"]] == [
        ("route", "route", "retrieve"),
        ("retrieve", "retrieve", "found"),
        ("draft", "gate", "passed"),
        ("check", "verdict", "deliver"),
        ("deliver", "close", "answered"),
    ]


async def test_a_sentence_that_fails_its_check_never_leaves(shop: Shop) -> None:
    from policies.types import Outcome, Reason, Verdict

    refused = Verdict(outcome=Outcome.REVISE, reasons=(Reason(code="check.unsupported", text="Made up."),))
    shop.checker.sentences["It is free"] = refused
    shop.drafter.script["What is free"] = ("Boxes go out on weekdays.", "It is free for ever.")
    events = await shop.say(await shop.conversation(), "What is free of charge?")
    public = [each.data for each in events if each.event.startswith("message.")]
    assert not any("for ever" in each for each in public)
    assert [each.json()["text"] for each in events if each.event == "message.completed"] == [
        "Boxes go out on weekdays."
    ]
