"""The sample shop's own tools: what they look up and do, for whom, and what policy says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.arguments import ArgumentsRequest, LocalArguments
from policies.errors import Refused
from policies.personal_data import mask
from policies.rules import about_action, evaluate
from policies.rulings import action_facts, route_facts
from policies.types import Autonomy, Outcome, Route
from tools.actions import Action, ActionRequest, HasFacts, TakesArguments
from tools.assistants import Assistant, load_assistant
from tools.own_actions import load_actions

pytestmark = pytest.mark.anyio
SAMPLE = Path(__file__).resolve().parent.parent.parent / "handrail" / "samples" / "support"


@pytest.fixture(name="assistant", scope="module")
def assistant_fixture() -> Assistant:
    return load_assistant(SAMPLE)


@pytest.fixture(name="actions")
def actions_fixture(assistant: Assistant, tmp_path: Path) -> dict[str, Action]:
    return load_actions(assistant, tmp_path)


REQUEST = ActionRequest(
    key="run_1:act:x",
    workspace_id="default",
    conversation_id="con_1",
    run_id="run_1",
    intent="my_order",
    question="?",
    language="en",
    locale=None,
    attributes={},
)


async def done(action: Action, customer: str | None, key: str = "run_1:act:x", **arguments: Any) -> Any:
    return await action(replace(REQUEST, key=key, customer_id=customer, arguments=arguments))


async def test_a_visitor_hears_how_an_order_stands_and_no_more(actions: dict[str, Action]) -> None:
    found = await done(actions["order_status"], None, order="lo-10234")
    assert found == {"say": ["Order LO-10234 was shipped on 3 November 2026."], "_status": "shipped"}


async def test_a_customer_hears_more_of_an_order_of_theirs(actions: dict[str, Action]) -> None:
    found = await done(actions["order_status"], "trail-7", order="LO-10234")
    assert found["say"][1:] == ["It is on its way with UPS, tracking number 1Z88A1Y30310234518."]


@pytest.mark.parametrize(("customer", "order"), [("trail-9", "LO-10234"), (None, "LO-99999"), ("trail-7", "LO-1")])
async def test_an_unknown_order_and_another_customers_are_refused_alike(
    actions: dict[str, Action], customer: str | None, order: str
) -> None:
    with pytest.raises(Refused, match=f"There is no order {order} of this customer."):
        await done(actions["order_status"], customer, order=order)


async def test_a_return_is_opened_once(actions: dict[str, Action]) -> None:
    found = [await done(actions["start_return"], "trail-7", key=key, order="LO-10101") for key in ("a", "a", "b")]
    assert found == [{"say": ["A return is open for order LO-10101, with the return number 70001."]}] * 3
    for customer, order in ((None, "LO-10101"), ("trail-9", "LO-10101"), ("trail-7", "LO-10234")):
        with pytest.raises(Refused):
            await done(actions["start_return"], customer, order=order)


async def test_no_more_goes_back_than_was_paid(actions: dict[str, Action]) -> None:
    refund = actions["issue_refund"]
    for key in ("a", "a"):
        found = await done(refund, "trail-7", key=key, order="LO-10117", amount=40.0)
        assert found == {"say": ["A refund of $40.00 for order LO-10117 was sent to the card it was paid with."]}
    with pytest.raises(Refused, match=r"has \$44\.50 left"):
        await done(refund, "trail-7", key="b", order="LO-10117", amount=50.0)
    with pytest.raises(Refused, match="has come back yet"):
        await done(refund, "trail-7", key="c", order="LO-10101", amount=5.0)
    with pytest.raises(Refused, match="has not said who asks"):
        await done(refund, None, key="d", order="LO-10117", amount=5.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Refund $40 for LO-10117", {"order": "LO-10117", "amount": 40.0}),
        ("Refund $ 84.50 for lo-10117.", {"order": "lo-10117", "amount": 84.5}),
        ("Refund $1,200 for LO-10117", {"order": "LO-10117"}),
        ("Refund $40 or $50 for LO-10117", {"order": "LO-10117"}),
        ("Refund $0 for LO-10117", {"order": "LO-10117"}),
        ("Refund $1 000 for LO-10117", {"order": "LO-10117"}),
        ("Refund $100.00000001 for LO-10117", {"order": "LO-10117"}),
        ("Refund $1e9 for LO-10117", {"order": "LO-10117"}),
        ("Refund -$5 for LO-10117", {"order": "LO-10117"}),
        ("Refund $-5 for LO-10117", {"order": "LO-10117"}),
        ("Refund $2\u06649 for LO-10117", {"order": "LO-10117"}),
        ("Refund 30 dollars for LO-10117, I paid $84.50", {"order": "LO-10117"}),
        ("Refund 1,030 dollars for LO-10117", {"order": "LO-10117"}),
        ("Refund 30 dollars for LO-10117", {"order": "LO-10117", "amount": 30.0}),
        ("Refund $ 9\u200b0 for LO-10117\u200b2", {"order": "LO-101172", "amount": 90.0}),
        ("Refund 40 for my order", {}),
    ],
)
async def test_arguments_come_from_the_words(actions: dict[str, Action], text: str, said: dict[str, Any]) -> None:
    refund = actions["issue_refund"]
    assert isinstance(refund, TakesArguments)
    assert (await LocalArguments()(ArgumentsRequest(action=refund, question=text))).said == said


@pytest.mark.parametrize("order", ["LO-10234", "LO-12345", "lo-1023401"])
def test_order_numbers_are_no_personal_data(order: str) -> None:
    assert mask(f"Where is my order {order}?", {}).text == f"Where is my order {order}?"


@pytest.mark.parametrize(
    ("text", "intent", "confidence", "outcome"),
    [
        ("where is lo-10234", "my_order", 0.9, Outcome.PASS),
        ("where is lo-10234", "my_order", 0.4, Outcome.ESCALATE),
        ("can lo-10234 be changed", "change_or_cancel_order", 0.9, Outcome.ESCALATE),
        ("where is my order", "my_order", 0.9, Outcome.ESCALATE),
    ],
)
def test_policy_on_messages_that_name_an_order(
    assistant: Assistant, text: str, intent: str, confidence: float, outcome: Outcome
) -> None:
    found = Route(
        intent=intent, queue="q", priority="normal", confidence=confidence, in_scope=1, autonomy=Autonomy.AUTO
    )
    rules = [rule for rule in assistant.rules if rule.on == "route"]
    assert evaluate(rules, route_facts(text, found, customer={})).outcome is outcome


@pytest.mark.parametrize(
    ("amount", "before", "asked"),
    [
        (100.0, 0, []),
        (100.01, 0, ["large-refund"]),
        (30.0, 99.0, ["large-refund"]),
        (None, 0, ["large-refund"]),
        (5.0, None, ["large-refund"]),
    ],
)
def test_policy_on_refunds(
    assistant: Assistant, amount: float | None, before: float | None, asked: list[str]
) -> None:
    standing = None if before is None else {"refunded": before}
    facts = action_facts("issue_refund", {} if amount is None else {"amount": amount}, standing)
    ruling = evaluate(about_action(assistant.rules, "issue_refund"), facts)
    assert [reason.rule_id for reason in ruling.reasons] == asked
    assert about_action(assistant.rules, "start_return") == []


async def test_what_was_refunded_before_is_known_and_may_not_have_changed(actions: dict[str, Action]) -> None:
    refund = actions["issue_refund"]
    assert isinstance(refund, HasFacts)
    asked = replace(REQUEST, key="a", customer_id="trail-7", arguments={"order": "lo-10117", "amount": 40.0})
    found = [await refund.facts(asked)]
    await refund(replace(asked, facts={"refunded": 0.0}))
    # A refund that is tried again does not count itself.
    found += [await refund.facts(asked), await refund.facts(replace(asked, key="b"))]
    assert found == [{"refunded": 0.0}, {"refunded": 0.0}, {"refunded": 40.0}]
    with pytest.raises(Refused, match="at the same time"):
        await refund(replace(asked, key="b", facts={"refunded": 0.0}))
