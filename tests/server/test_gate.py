from __future__ import annotations

import logging
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from server.gate import LOOPBACK, Catch, Gate

pytestmark = pytest.mark.anyio


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    await PlainTextResponse(body)(scope, receive, send)


async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("the secret is jo@example.com")


def client(app: ASGIApp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8080")


@dataclass(frozen=True, kw_only=True)
class Case:
    id: str
    status: int
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


JSON = {"Content-Type": "application/json"}
CASES = [
    Case(id="json", status=200, headers=JSON, body=b"{}"),
    Case(id="json of a kind", status=200, headers={"Content-Type": "application/merge-patch+json"}, body=b"{}"),
    Case(
        id="json in utf-8", status=200, headers={"Content-Type": 'application/json; charset="UTF-8"'}, body=b"{}"
    ),
    Case(id="no body", status=200),
    Case(id="own origin", status=200, headers={"Origin": "http://localhost:8080"}),
    Case(id="reading from another origin", status=200, method="GET", headers={"Origin": "http://a.example"}),
    Case(id="own port, another name", status=403, headers={"Origin": "http://a.example:8080"}),
    Case(id="own name, another port", status=403, headers={"Origin": "http://localhost:9999"}),
    Case(id="loopback", status=200, method="GET", headers={"Host": "127.0.0.1:8080"}),
    Case(id="loopback of IPv6", status=200, method="GET", headers={"Host": "[::1]:8080"}),
    Case(id="in capitals, with the root's dot", status=200, method="GET", headers={"Host": "LocalHost.:8080"}),
    Case(id="a name that only begins alike", status=421, method="GET", headers={"Host": "localhost.a.example"}),
    Case(id="no name", status=421, method="GET", headers={"Host": ""}),
    Case(id="at the limit", status=200, headers=JSON, body=b"1" * 262_144),
    Case(id="past the limit", status=413, headers=JSON, body=b"1" * 262_145),
    Case(id="announced past all limits", status=413, headers={**JSON, "Content-Length": "9" * 30}, body=b"1"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_the_gate_lets_in_what_it_should(case: Case) -> None:
    async with client(Gate(echo, LOOPBACK)) as http:
        response = await http.request(case.method, "/", headers=case.headers, content=case.body)
    assert response.status_code == case.status
    if case.status == 200:
        assert response.content == case.body
    else:
        assert response.headers["content-type"] == "application/problem+json"


async def test_beyond_the_loopback_any_host_name_is_taken() -> None:
    async with client(Gate(echo, None)) as http:
        assert (await http.get("/", headers={"Host": "shop.example"})).status_code == 200


async def test_a_crash_is_a_problem_with_an_id_that_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        async with client(Catch(broken)) as http:
            response = await http.get("/somewhere")
    problem = response.json()
    assert response.status_code == 500
    assert "secret" not in response.text
    assert problem == {
        "type": "urn:handrail:problem:internal",
        "title": "Internal",
        "status": 500,
        "detail": "Something went wrong here; the log has it under this id.",
        "code": "internal",
        "instance": "/somewhere",
        "error_id": problem["error_id"],
    }
    assert [record.getMessage() for record in caplog.records] == [
        f"{problem['error_id']}: GET an unknown path failed"
    ]
