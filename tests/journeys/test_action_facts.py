"""What was done before counts: a tool says how things stand, and policy and who approves go by that."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journeys.refunds import ACTIONS, RULES, Counter, opened, write_folder
from tests.journeys.shop import NewPlace

pytestmark = pytest.mark.anyio
FACTS = """\
def so_far(order: Order, context: ToolContext) -> dict[str, float | bool]:
    if (context.data / "fails").exists():
        raise RuntimeError("down")
    file = context.data / "calls"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return {"sent": sum(float(line[2]) for line in lines if line[1] == order and line[0] != context.key)}

@tool(effect=True, facts=so_far)
"""
THIRTY = "Refund 30 euros for T-7"


@pytest.fixture(name="counter")
async def counter_fixture(tmp_path: Path, new_place: NewPlace) -> AsyncIterator[Counter]:
    folder = write_folder(tmp_path / "folder")
    (folder / "actions.py").write_text(ACTIONS.replace("@tool(effect=True)\n", FACTS))
    policy = (folder / "policy.yaml").read_text()
    assert RULES in policy
    (folder / "policy.yaml").write_text(
        policy.replace("arguments.amount > 50.0", "arguments.amount + facts.sent > 50.0")
    )
    async with opened(folder, new_place()) as counter:
        yield counter


async def test_what_is_split_is_added_up(counter: Counter) -> None:
    await counter.ask(THIRTY)
    await counter.ask("Refund 30 euros for T-8")
    run = await counter.ask(THIRTY)
    assert counter.done == ["T-7 30 True", "T-8 30 True"]
    review = await counter.review(run)
    [draft] = review.draft
    assert draft["facts"] == {"sent": 30.0}
    assert draft["text"].endswith("How it stands now: sent 30.0.")
    assert [each["rule_id"] for each in review.reasons] == ["large"]
    await counter.decide(run, "approve")
    assert ((await counter.ending(run))[0], counter.done[2:]) == ("answered", ["T-7 30 True"])


async def test_an_approval_holds_for_how_things_stood(counter: Counter) -> None:
    await counter.ask(THIRTY)
    run = await counter.ask(THIRTY)
    await counter.ask("Refund 20 euros for T-7")
    await counter.decide(run, "approve")
    assert ((await counter.ending(run))[0], counter.done) == ("review", ["T-7 30 True", "T-7 20 True"])
    service, me = counter.product.service, counter.product.principal
    [again] = await service.list_reviews(me, status="open")
    assert [each["facts"] for each in again.draft] == [{"sent": 50.0}]
    await service.decide(me, again.id, {"decision": "approve"})
    await counter.settled()
    assert counter.done[2:] == ["T-7 30 True"]


async def test_where_it_can_not_be_found_out_a_person_is_asked(counter: Counter) -> None:
    fails = counter.calls.with_name("fails")
    fails.parent.mkdir(parents=True, exist_ok=True)
    fails.touch()
    run = await counter.ask(THIRTY)
    review = await counter.review(run)
    assert [each["code"] for each in review.reasons] == ["rule.require", "act.no_facts"]
    assert counter.done == []
    await counter.decide(run, "approve")
    assert counter.done == ["T-7 30 True"]
