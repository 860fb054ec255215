"""What language models cost, as staff read it over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from graphs.settings import Settings
from handrail.usage import show_usage
from policies.types import Principal
from server.schemas import UsageReport
from tests.journeys.shop import OpenShop, Shop, served
from tools.clock import FixedClock
from tools.models.costs import Wanted
from tools.models.ports import Account, Usage
from tools.storage.lock import announced, owned
from tools.storage.spending import StoredSpending

pytestmark = pytest.mark.anyio
USED = Usage(input_tokens=20, output_tokens=10, money=0.25)
SUM: dict[str, Any] = {
    **dict.fromkeys(("calls", "unpriced_calls", "input_tokens", "output_tokens"), 0),
    **dict.fromkeys(("held_tokens", "saved_calls", "saved_tokens"), 0),
    **dict.fromkeys(("money", "held_money", "saved_money"), 0.0),
}
ONCE = SUM | {"calls": 1, "input_tokens": 20, "output_tokens": 10, "money": 0.25}
TWICE = SUM | {"calls": 2, "input_tokens": 40, "output_tokens": 20, "money": 0.5}
KEPT = {"saved_calls": 1, "saved_tokens": 30, "saved_money": 0.25}
HELD = {"held_tokens": 30, "held_money": 0.25}


@dataclass(frozen=True, kw_only=True)
class Spent:
    """A shop in which models were called for two of three runs, on two days."""

    shop: Shop
    asked: str
    again: str
    lost: str
    """The runs: of two days ago, of yesterday, and one whose call was never settled."""
    conversation: str
    now: datetime


async def a_run(shop: Shop, conversation_id: str) -> str:
    return str((await shop.ask(conversation_id, "How long does delivery take?")).json()["run_id"])


@pytest.fixture(scope="module")
async def spent(open_shop: OpenShop) -> AsyncIterator[Spent]:
    """Have two runs call models on two days, one call never end, and one run ask no model."""
    async with open_shop() as shop:
        conversation, other = await shop.conversation(), await shop.conversation()
        runs = [await a_run(shop, each) for each in (conversation, conversation, other, other)]
        store = shop.product.service.store
        now = store.clock.now()
        clock = FixedClock(now - timedelta(days=2))
        spending = StoredSpending(replace(store, clock=clock))
        account = Account(workspace_id="default", conversation_id=conversation, run_id=runs[0], intent="delivery")
        await spending.settle(await spending.hold(account, USED), USED, calls=1)
        clock.advance(timedelta(days=1))
        account = replace(account, run_id=runs[1])
        await spending.settle(await spending.hold(account, USED), USED, calls=1)
        await spending.save(account, USED)
        await spending.hold(replace(account, conversation_id=other, run_id=runs[2], intent=""), USED)
        yield Spent(shop=shop, asked=runs[0], again=runs[1], lost=runs[2], conversation=conversation, now=now)


def day(spent: Spent, ago: int) -> str:
    return (spent.now - timedelta(days=ago)).date().isoformat()


async def report(spent: Spent, **asked: str) -> UsageReport:
    answer = await spent.shop.http.get("/v1/usage", params=asked)
    assert answer.status_code == 200, answer.text
    return UsageReport.model_validate(answer.json())


def told(found: UsageReport) -> list[dict[str, Any]]:
    return [each.model_dump() for each in found.sums]


async def test_staff_see_what_each_day_cost_and_what_all_came_to(spent: Spent) -> None:
    found = await report(spent)
    yesterday, before = day(spent, 1), day(spent, 2)
    assert told(found) == [ONCE | KEPT | HELD | {"name": yesterday}, ONCE | {"name": before}]
    assert found.total.model_dump() == TWICE | KEPT | HELD | {"name": ""}
    assert (found.workspace_id, found.by, found.next) == ("default", "day", None)
    assert found.runs.model_dump() == {"ended": 4, "without_model": 2}


async def test_sums_are_of_intents_conversations_and_runs_too(spent: Spent) -> None:
    intents = told(await report(spent, by="intent"))
    assert intents == [SUM | HELD | {"name": ""}, TWICE | KEPT | {"name": "delivery"}]
    conversations = {each["name"]: each for each in told(await report(spent, by="conversation"))}
    assert conversations[spent.conversation] == TWICE | KEPT | {"name": spent.conversation}
    runs = [(each["name"], each["calls"], each["held_tokens"]) for each in told(await report(spent, by="run"))]
    assert runs == [(spent.lost, 0, 30), (spent.again, 1, 0), (spent.asked, 1, 0)]


async def test_a_call_that_was_never_settled_is_named(spent: Spent) -> None:
    found = await report(spent)
    (lost,) = found.unsettled
    assert (lost.run_id, lost.intent, lost.tokens, lost.money) == (spent.lost, "", 30, 0.25)
    assert lost.since.startswith(day(spent, 1))


async def test_days_can_be_chosen(spent: Spent) -> None:
    found = await report(spent, **{"from": day(spent, 2), "to": day(spent, 2)})
    assert told(found) == [ONCE | {"name": day(spent, 2)}]
    assert (found.total.model_dump(), found.runs.ended) == (ONCE | {"name": ""}, 0)
    assert told(await report(spent, to="2020-01-01")) == []


async def test_sums_come_page_by_page(spent: Spent) -> None:
    found = await report(spent, by="intent", limit="1")
    assert (found.next, [each.name for each in found.sums]) == ("", [""])
    found = await report(spent, by="intent", limit="1", after="")
    assert (found.next, [each.name for each in found.sums]) == (None, ["delivery"])


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"by": "customer"}, "/by"),
        ({"colour": "blue"}, "/colour"),
        ({"first": "2026-01-01"}, "/first"),
        ({"from": "yesterday"}, "/from"),
        ({"from": "1767225600"}, "/from"),
        ({"to": "2026-02-30"}, "/to"),
        ({"limit": "501"}, "/limit"),
        ({"after": "a\x07b"}, "/after"),
    ],
)
async def test_what_can_not_be_asked_is_refused(spent: Spent, asked: dict[str, str], pointer: str) -> None:
    answer = await spent.shop.http.get("/v1/usage", params=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]


async def test_days_in_no_order_are_refused(spent: Spent) -> None:
    answer = await spent.shop.http.get("/v1/usage", params={"from": "2026-01-02", "to": "2026-01-01"})
    assert (answer.status_code, answer.json()["remedy"]) == (400, "Name the earlier day first.")


async def test_customers_do_not_see_it(spent: Spent) -> None:
    customer = Principal(workspace_id="default", id="jo", role="customer")
    product = replace(spent.shop.product, principal=customer)
    async with served(product) as (url, _stop), httpx.AsyncClient(base_url=url) as http:
        refused = await http.get("/v1/usage")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_another_workspace_sees_its_own(spent: Spent) -> None:
    elsewhere = Principal(workspace_id="elsewhere", id="kim", role="staff")
    product = replace(spent.shop.product, principal=elsewhere)
    async with served(product) as (url, _stop), httpx.AsyncClient(base_url=url) as http:
        found = UsageReport.model_validate((await http.get("/v1/usage")).json())
    assert (told(found), found.unsettled) == ([], [])
    assert found.total.model_dump() == SUM | {"name": ""}


async def test_the_command_asks_the_server_that_runs(spent: Spent, tmp_path: Path) -> None:
    out = Console(file=StringIO(), width=200)
    url = str(spent.shop.http.base_url)
    with owned(tmp_path), announced(tmp_path, url):
        wanted = Wanted(by="conversation", first=(spent.now - timedelta(days=2)).date(), limit=1)
        await show_usage(Settings(data=tmp_path), out, wanted, as_json=True)
    assert isinstance(out.file, StringIO)
    found = UsageReport.model_validate_json(out.file.getvalue())
    assert (found.by, len(found.sums), found.total.calls) == ("conversation", 1, 2)
