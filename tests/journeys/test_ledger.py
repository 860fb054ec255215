"""What auditors read over HTTP, what a customer is told, and that a reversal is on record and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from graphs.audit import Audit
from policies.errors import HandrailError
from policies.types import Principal
from server.schemas import Decisions, Explanation, Verification
from tests.journeys.shop import OpenShop, Shop, served
from tools.storage import ledger
from tools.storage.audit.keys import LedgerKey
from tools.storage.audit.signing import sign_daily
from tools.storage.ledger import Decision

pytestmark = pytest.mark.anyio
QUESTION = "How long does delivery take?"
CUSTOMER = Principal(workspace_id="default", id="jo", role="customer")
STORY = [
    "The message was understood to be about this: How tea is sent.",
    "The answer was taken from the article “Delivery”.",
    "Each drafted sentence was compared with the articles.",
    "The whole was checked: whether it answers the message, and whether the rules allow it.",
    "The answer was sent.",
]


async def a_run(shop: Shop, text: str = QUESTION) -> dict[str, Any]:
    run: dict[str, Any] = (await shop.ask(await shop.conversation(), text)).json()
    return run


async def test_staff_read_the_story_and_every_decision(shop: Shop) -> None:
    run = await a_run(shop)
    explained = Explanation.model_validate(await shop.get(f"/v1/runs/{run['run_id']}/explanation"))
    assert explained.story == STORY
    assert explained.details is not None
    assert explained.decisions is not None
    assert [each.seq for each in explained.details] == [each["seq"] for each in explained.decisions]
    assert explained.details[0].says.startswith("The router found delivery with a confidence of 90%; next is")
    assert "assistant tea-shop version" in explained.details[0].says


async def test_a_customer_reads_the_story_alone(shop: Shop) -> None:
    run = await a_run(shop)
    product = replace(shop.product, principal=replace(CUSTOMER, workspace_id=shop.product.principal.workspace_id))
    async with served(product) as (url, _stop), httpx.AsyncClient(base_url=url) as http:
        answer = await http.get(f"/v1/runs/{run['run_id']}/explanation")
        assert answer.json() == {"run_id": run["run_id"], "story": STORY}
        for path in ("/v1/decisions", "/v1/decisions/heads"):
            refused = await http.get(path)
            assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        refused = await http.post("/v1/decisions/verify", json={"stream": run["conversation_id"]})
        assert refused.status_code == 403
        refused = await http.post(f"/v1/decisions/{run['conversation_id']}/1/reversal", json={"reason": "no"})
        assert refused.status_code == 403


ASKED: dict[str, Callable[[Audit, Principal], Awaitable[object]]] = {
    "decisions": lambda audit, principal: audit.decisions(principal),
    "heads": lambda audit, principal: audit.signed_heads(principal),
    "verify": lambda audit, principal: audit.verify(principal, "workspace"),
    "reverse": lambda audit, principal: audit.reverse(principal, "con_0", 1, "why"),
}


@pytest.mark.parametrize("role", ["customer", "service"])
@pytest.mark.parametrize("name", ASKED)
async def test_what_is_for_auditors_is_refused_below_http(shop: Shop, name: str, role: Any) -> None:
    principal = replace(CUSTOMER, role=role)
    with pytest.raises(HandrailError) as error:
        await ASKED[name](shop.product.service.audit, principal)
    assert error.value.code == "forbidden"


async def test_decisions_come_in_pages_in_the_order_of_time(shop: Shop) -> None:
    since = (await shop.get("/v1/decisions"))["decisions"]
    first = since[0]["at"] if since else "2026-01-01T00:00:00+00:00"
    runs = [await a_run(shop) for _ in range(3)]
    page = await shop.get(f"/v1/decisions?limit=4&since={first.replace('+', '%2B')}")
    found = list(page["decisions"])
    while page["next"]:
        page = await shop.get(f"/v1/decisions?limit=4&since={first.replace('+', '%2B')}&after={page['next']}")
        assert 1 <= len(page["decisions"]) <= 4
        found += page["decisions"]
    places = [(each["at"], each["stream"], each["seq"]) for each in found]
    assert places == sorted(places)
    assert len(set(places)) == len(places)
    assert {run["run_id"] for run in runs} <= {each["run_id"] for each in found}


async def test_decisions_are_found_by_stream_run_and_kind(shop: Shop) -> None:
    run = await a_run(shop)
    await shop.ask(run["conversation_id"], "And on Saturdays?")
    whole = Decisions.model_validate(await shop.get(f"/v1/decisions?stream={run['conversation_id']}"))
    assert [each["seq"] for each in whole.decisions] == list(range(1, 11))
    halves = [await shop.get(f"/v1/decisions?stream={run['conversation_id']}&limit=6")]
    halves.append(await shop.get(f"/v1/decisions?stream={run['conversation_id']}&after={halves[0]['next']}"))
    assert halves[0]["decisions"] + halves[1]["decisions"] == whole.decisions
    of_run = await shop.get(f"/v1/decisions?run={run['run_id']}&kind=route")
    assert [(each["seq"], each["kind"]) for each in of_run["decisions"]] == [(1, "route")]
    malformed = await shop.http.get("/v1/decisions?after=no")
    assert (malformed.status_code, malformed.json()["code"]) == (400, "cursor.malformed")


async def test_a_stream_is_verified_over_http(shop: Shop) -> None:
    run = await a_run(shop)
    answer = await shop.http.post("/v1/decisions/verify", json={"stream": run["conversation_id"]})
    report = Verification.model_validate(answer.json())
    assert (report.clean, report.decisions, report.checked, report.findings) == (True, 5, 1, [])
    assert report.not_proven
    unknown = await shop.http.post("/v1/decisions/verify", json={"stream": "con_0"})
    assert unknown.status_code == 404


async def test_heads_are_signed_once_a_day_and_listed(open_shop: OpenShop) -> None:
    async with open_shop(works=False) as own:
        product = own.product
        workspace, key = product.service.store.in_workspace(product.principal.workspace_id), LedgerKey(bytes(32))
        added = [Decision(node="test", kind="test", body={})]
        await workspace.write(lambda tx: ledger.append(tx, "workspace", None, added))
        record = await workspace.write(lambda tx: sign_daily(tx, key))
        assert record is not None
        assert await workspace.write(lambda tx: sign_daily(tx, key)) is None
        assert await own.get("/v1/decisions/heads") == {"records": [vars(record)]}
        assert await own.get("/v1/decisions/heads?before=1") == {"records": []}


async def test_a_reversal_is_on_record_once_and_changes_nothing_else(shop: Shop) -> None:
    run = await a_run(shop)
    path = f"/v1/decisions/{run['conversation_id']}/4/reversal"
    before = await shop.get(f"/v1/conversations/{run['conversation_id']}")
    decisions = (await shop.get(f"/v1/decisions?stream={run['conversation_id']}"))["decisions"]
    made = await shop.http.post(path, json={"reason": "It was wrong, says jo@example.com."})
    assert made.status_code == 201
    reversal = made.json()
    assert reversal["reverses"] == {
        "stream": run["conversation_id"],
        "seq": 4,
        "hash": decisions[3]["hash"],
        "kind": "verdict",
        "outcome": "deliver",
    }
    assert (reversal["seq"], reversal["kind"], reversal["run_id"]) == (6, "reversal", run["run_id"])
    assert reversal["reasons"] == [{"code": "reversal.person", "text": "It was wrong, says [EMAIL_1]."}]
    again = await shop.http.post(path, json={"reason": "Again."})
    assert (again.status_code, again.json()["code"], again.json()["first"]) == (409, "decision.reversed", reversal)
    assert await shop.get(f"/v1/conversations/{run['conversation_id']}") == before
    explained = await shop.get(f"/v1/runs/{run['run_id']}/explanation")
    assert explained["story"][-1].startswith("Later a person reversed a decision that was made here")
    assert [each["reversed_by"] for each in explained["details"]] == [None, None, None, 6, None, None]
    verified = await shop.http.post("/v1/decisions/verify", json={"stream": run["conversation_id"]})
    assert verified.json()["clean"]
    unknown = await shop.http.post(f"/v1/decisions/{run['conversation_id']}/99/reversal", json={"reason": "x"})
    assert unknown.status_code == 404


async def test_the_workspaces_own_decisions_can_be_reversed(open_shop: OpenShop) -> None:
    async with open_shop() as own:
        decisions = (await own.get("/v1/decisions?stream=workspace"))["decisions"]
        if not decisions:
            pytest.skip("nothing was decided for the workspace")
        path = f"/v1/decisions/workspace/{decisions[0]['seq']}/reversal"
        made = await own.http.post(path, json={"reason": "jo@example.com did it."})
        assert made.json()["reasons"][0]["text"] == "[EMAIL_1] did it."
        assert (await own.http.post(path, json={"reason": "Again."})).status_code == 409
