"""Whatever is wrong with a request is told in a clear 4xx, and nothing is lost or begun by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from server.schemas import Problem
from tests.journeys.shop import Shop

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Case:
    id: str
    status: int
    code: str
    path: str = "/v1/conversations/{conversation}/messages"
    method: str = "POST"
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=lambda: JSON)


def text(value: str) -> bytes:
    return b'{"text": "%b"}' % value.encode()


def key(value: str) -> dict[str, str]:
    return {**JSON, "Idempotency-Key": value}


RUN, EVENTS = "/v1/runs/{run}", "/v1/runs/{run}/events"
CONVERSATIONS, DECISION = "/v1/conversations", "/v1/reviews/{review}/decision"
CASES = [
    # bodies
    Case(id="no body", status=422, code="request.invalid"),
    Case(id="not JSON", status=400, code="body.malformed", body=b'{"text": '),
    Case(id="a JSON list", status=422, code="request.invalid", body=b"[]"),
    Case(id="JSON null", status=422, code="request.invalid", body=b"null"),
    Case(id="no text", status=422, code="request.invalid", body=b"{}"),
    Case(id="text is a number", status=422, code="request.invalid", body=b'{"text": 5}'),
    Case(id="text is null", status=422, code="request.invalid", body=b'{"text": null}'),
    Case(id="unknown member", status=422, code="request.invalid", body=b'{"text": "hi", "texts": 1}'),
    Case(id="empty text", status=400, code="message.empty", body=text("")),
    Case(id="blank text", status=400, code="message.empty", body=text(r" \n\u00a0\t ")),
    Case(id="only control characters", status=400, code="message.empty", body=text(r"\u0000\u0007\u202e")),
    Case(id="half a surrogate pair", status=422, code="request.invalid", body=text(r"hi \ud800 there")),
    Case(id="too long", status=413, code="message.too_long", body=text("a" * 401)),
    Case(id="not UTF-8", status=400, code="body.not_utf8", body=b'{"text": "caf\xe9"}'),
    Case(id="UTF-16", status=400, code="body.not_utf8", body='{"text": "hi"}'.encode("utf-16")),
    Case(id="nested too deeply", status=400, code="body.malformed", body=b"[" * 100_000),
    Case(id="a number without end", status=400, code="body.malformed", body=b'{"text": %b}' % (b"9" * 5000)),
    Case(id="too large", status=413, code="body.too_large", body=text("a" * 300_000)),
    Case(id="a form", status=415, code="body.not_json", body=b"text=hi", headers={"Content-Type": "text/plain"}),
    Case(id="no content type", status=415, code="body.not_json", body=text("hi"), headers={}),
    Case(
        id="another charset",
        status=415,
        code="body.not_json",
        body=text("hi"),
        headers={"Content-Type": "application/json; charset=latin-1"},
    ),
    Case(
        id="compressed",
        status=415,
        code="body.not_json",
        body=b"\x1f\x8b",
        headers={**JSON, "Content-Encoding": "gzip"},
    ),
    # headers
    Case(id="empty key", status=400, code="idempotency.key", body=text("hi"), headers=key("")),
    Case(id="long key", status=400, code="idempotency.key", body=text("hi"), headers=key("k" * 256)),
    Case(id="key with a tab", status=400, code="idempotency.key", body=text("hi"), headers=key("a\tb")),
    Case(
        id="another origin",
        status=403,
        code="origin.foreign",
        body=text("hi"),
        headers={**JSON, "Origin": "http://a.example"},
    ),
    Case(
        id="no origin to name",
        status=403,
        code="origin.foreign",
        body=text("hi"),
        headers={**JSON, "Origin": "null"},
    ),
    Case(
        id="another host", status=421, code="host.unknown", method="GET", path=RUN, headers={"Host": "a.example"}
    ),
    # unknown things
    Case(
        id="unknown conversation",
        status=404,
        code="not_found",
        path="/v1/conversations/con_0/messages",
        body=text("hi"),
    ),
    Case(
        id="unknown conversation read", status=404, code="not_found", method="GET", path="/v1/conversations/con_0"
    ),
    Case(
        id="unknown conversation's events",
        status=404,
        code="not_found",
        method="GET",
        path="/v1/conversations/x/events",
    ),
    Case(id="unknown run", status=404, code="not_found", method="GET", path="/v1/runs/run_0"),
    Case(id="unknown run's events", status=404, code="not_found", method="GET", path="/v1/runs/run_0/events"),
    Case(
        id="unknown run explained", status=404, code="not_found", method="GET", path="/v1/runs/run_0/explanation"
    ),
    Case(id="unknown run cancelled", status=404, code="not_found", path="/v1/runs/run_0/cancel"),
    Case(id="unknown review", status=404, code="not_found", method="GET", path="/v1/reviews/rev_0"),
    Case(
        id="unknown review decided",
        status=404,
        code="not_found",
        path="/v1/reviews/rev_0/decision",
        body=b'{"decision": "approve"}',
    ),
    Case(id="an id with a null byte", status=404, code="not_found", method="GET", path="/v1/runs/a%00b"),
    Case(id="an id that is not UTF-8", status=404, code="not_found", method="GET", path="/v1/runs/%ff%fe"),
    Case(id="unknown path", status=404, code="path.unknown", method="GET", path="/v2/runs"),
    Case(id="trailing slash", status=404, code="path.unknown", method="GET", path="/v1/reviews/"),
    Case(id="wrong method", status=405, code="method.not_allowed", method="DELETE", path=RUN),
    # cursors
    Case(
        id="malformed cursor",
        status=400,
        code="last_event_id.malformed",
        method="GET",
        path=EVENTS,
        headers={"Last-Event-ID": "7"},
    ),
    Case(
        id="negative cursor",
        status=400,
        code="last_event_id.malformed",
        method="GET",
        path=EVENTS,
        headers={"Last-Event-ID": "run_1:-1"},
    ),
    Case(
        id="huge cursor",
        status=400,
        code="last_event_id.malformed",
        method="GET",
        path=EVENTS,
        headers={"Last-Event-ID": "run_1:" + "9" * 30},
    ),
    Case(
        id="another run's cursor",
        status=400,
        code="last_event_id.foreign",
        method="GET",
        path=EVENTS,
        headers={"Last-Event-ID": "run_1:1"},
    ),
    Case(id="since is no number", status=422, code="request.invalid", method="GET", path=EVENTS + "?since=x"),
    Case(id="since is negative", status=422, code="request.invalid", method="GET", path=EVENTS + "?since=-1"),
    Case(id="since is huge", status=422, code="request.invalid", method="GET", path=EVENTS + "?since=" + "9" * 30),
    # conversations
    Case(
        id="unknown attribute",
        status=400,
        code="input.invalid",
        path=CONVERSATIONS,
        body=b'{"customer": {"attributes": {"x": 1}}}',
    ),
    Case(
        id="attribute of another type",
        status=400,
        code="input.invalid",
        path=CONVERSATIONS,
        body=b'{"customer": {"attributes": {"member": "yes"}}}',
    ),
    Case(
        id="attribute is a list",
        status=422,
        code="request.invalid",
        path=CONVERSATIONS,
        body=b'{"customer": {"attributes": {"visits": [1]}}}',
    ),
    Case(
        id="attribute is no number",
        status=422,
        code="request.invalid",
        path=CONVERSATIONS,
        body=b'{"customer": {"attributes": {"visits": NaN}}}',
    ),
    Case(
        id="attribute is too large",
        status=422,
        code="request.invalid",
        path=CONVERSATIONS,
        body=b'{"customer": {"attributes": {"visits": 9007199254740993}}}',
    ),
    Case(
        id="customer is a text", status=422, code="request.invalid", path=CONVERSATIONS, body=b'{"customer": "me"}'
    ),
    Case(
        id="locale is no locale",
        status=422,
        code="request.invalid",
        path=CONVERSATIONS,
        body=b'{"customer": {"locale": "\\n"}}',
    ),
    Case(
        id="customer id with a null",
        status=422,
        code="request.invalid",
        path=CONVERSATIONS,
        body=b'{"customer": {"id": "a\\u0000"}}',
    ),
    Case(
        id="customer id with half a pair",
        status=422,
        code="request.invalid",
        path=CONVERSATIONS,
        body=b'{"customer": {"id": "\\udfff"}}',
    ),
    # reviews, knowledge, search
    Case(id="unknown decision", status=422, code="request.invalid", path=DECISION, body=b'{"decision": "maybe"}'),
    Case(id="edit without text", status=400, code="input.invalid", path=DECISION, body=b'{"decision": "edit"}'),
    Case(
        id="edit with a null byte",
        status=422,
        code="request.invalid",
        path=DECISION,
        body=b'{"decision": "edit", "text": "a\\u0000"}',
    ),
    Case(id="unknown status", status=422, code="request.invalid", method="GET", path="/v1/reviews?status=late"),
    Case(id="limit of none", status=422, code="request.invalid", method="GET", path="/v1/reviews?limit=0"),
    Case(
        id="no such folder",
        status=400,
        code="knowledge.no_folder",
        path="/v1/knowledge/ingest",
        body=b'{"folder": "/no/such"}',
    ),
    Case(id="search for nothing", status=422, code="request.invalid", method="GET", path="/v1/search?q="),
    Case(
        id="search for all too much",
        status=422,
        code="request.invalid",
        method="GET",
        path="/v1/search?q=" + "a" * 1001,
    ),
]


@pytest.fixture(scope="module")
async def named(shop: Shop) -> dict[str, str]:
    """Return a conversation with a run that waits for its review."""
    conversation = await shop.conversation()
    run = (await shop.ask(conversation, "I want my money back.")).json()
    return {"conversation": conversation, "run": run["run_id"], "review": run["review_id"]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_it_is_refused_in_plain_words(shop: Shop, named: dict[str, str], case: Case) -> None:
    path = case.path.format(**named)
    response = await shop.http.request(case.method, path, content=case.body, headers=case.headers)
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate(response.json())
    assert (response.status_code, problem.status, problem.code) == (case.status, case.status, case.code)
    assert problem.type == f"urn:handrail:problem:{case.code}"
    assert problem.detail
    assert "Traceback" not in response.text
    view = await shop.get(f"/v1/conversations/{named['conversation']}")
    assert [each["text"] for each in view["messages"]] == ["I want my money back."]
    assert (await shop.get(f"/v1/reviews/{named['review']}"))["status"] == "open"


async def test_validation_names_the_place_and_not_the_value(shop: Shop, named: dict[str, str]) -> None:
    path = f"/v1/conversations/{named['conversation']}/messages"
    response = await shop.http.post(path, json={"text": ["jo@example.com"]})
    assert response.json()["errors"] == [
        {"in": "body", "pointer": "/text", "detail": "Input should be a valid string"}
    ]
    assert "jo@example.com" not in response.text


async def test_a_wrong_method_is_told_the_right_ones(shop: Shop, named: dict[str, str]) -> None:
    response = await shop.http.delete(f"/v1/runs/{named['run']}")
    assert response.headers["allow"] == "GET"


async def test_a_body_of_unknown_length_is_measured_too(shop: Shop, named: dict[str, str]) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"a" * 1024

    path = f"/v1/conversations/{named['conversation']}/messages"
    response = await shop.http.post(path, content=pieces(), headers=JSON)
    assert (response.status_code, response.json()["code"]) == (413, "body.too_large")


@dataclass(frozen=True, kw_only=True)
class Kept:
    id: str
    sent: str
    read: str


KEPT = [
    Kept(id="spaces that are none", sent="how\u00a0long\u2003does it take", read="how long does it take"),
    Kept(
        id="joined emoji",
        sent="is it \U0001f468\u200d\U0001f469\u200d\U0001f467 safe",
        read="is it \U0001f468\u200d\U0001f469\u200d\U0001f467 safe",
    ),
    Kept(id="control characters", sent="how\x00 long\x07?", read="how long?"),
    Kept(id="turned direction", sent="how \u202elong\u202c", read="how long"),
    Kept(id="lines", sent="one\r\ntwo\n\tthree", read="one\ntwo\n\tthree"),
    Kept(id="other scripts", sent="配送はいつ届きますか", read="配送はいつ届きますか"),
    Kept(id="as long as may be", sent="é" * 400, read="é" * 400),
]


@pytest.mark.parametrize("case", KEPT, ids=lambda case: case.id)
async def test_what_can_be_read_is_kept(shop: Shop, case: Kept) -> None:
    conversation = await shop.conversation()
    assert (await shop.ask(conversation, case.sent)).status_code == 200
    messages = (await shop.get(f"/v1/conversations/{conversation}"))["messages"]
    assert messages[0]["text"] == case.read
