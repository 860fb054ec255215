from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import anyio
import pytest
from pydantic import BaseModel, ConfigDict

from policies.sections import Budget, Budgets
from tests.tools.models.requests import ACCOUNT, opened_scripts, pieces_of, quick, request, tried
from tools.models import InMemorySpending, Usage
from tools.models.costs import Wanted
from tools.models.fakes import Reply, ScriptedFault, ScriptedModel
from tools.models.settings import ModelSettings

pytestmark = pytest.mark.anyio


class Verdict(BaseModel):
    outcome: Literal["yes", "no"]


class Strict(Verdict):
    model_config = ConfigDict(extra="forbid")


PRIVATE = quick("scripted:large", private=True)


@pytest.mark.parametrize(
    ("consent", "private_only", "code"),
    [
        ({}, False, "model.no_consent"),
        ({"third_party_llm": "yes"}, False, "model.no_consent"),
        ({"third_party_llm": True}, True, "model.not_private"),
    ],
)
async def test_without_leave_only_private_models_are_asked(
    consent: Mapping[str, object], private_only: bool, code: str
) -> None:
    small, large = ScriptedModel(["never"]), ScriptedModel(["From our own."])
    async with opened_scripts(settings={"large": PRIVATE}, small=small, large=large) as models:
        completion = await models.complete(request(consent=consent, private_only=private_only))
    assert (completion.tier, completion.text) == ("large", "From our own.")
    assert (tried(completion), small.log.calls) == ([("small", code, 0)], [])


async def test_without_leave_and_private_models_the_local_tier_must_do() -> None:
    small, large = ScriptedModel(["never"]), ScriptedModel(["never"])
    async with opened_scripts(small=small, large=large) as models:
        (only,) = await pieces_of(models, request(consent={}))
    assert only.completion is not None
    assert (only.completion.tier, only.completion.text) == ("local", None)
    assert tried(only.completion) == [("small", "model.no_consent", 0), ("large", "model.no_consent", 0)]
    assert (small.log.calls, large.log.calls) == ([], [])


async def test_a_chain_ends_where_it_says_local_and_a_tier_without_models_is_named() -> None:
    large = ScriptedModel(["never"])
    async with opened_scripts(large=large) as models:
        completion = await models.complete(request(tiers=("small", "local", "large")))
    assert (completion.tier, tried(completion)) == ("local", [("small", "model.none", 0)])


async def test_the_next_tier_begins_anew_where_the_first_broke_off() -> None:
    small = ScriptedModel([Reply(text="one two three", fault=ScriptedFault(500), after_tokens=2)])
    settings = {"small": quick("scripted:small", retries=0)}
    async with opened_scripts(settings=settings, small=small, large=ScriptedModel(["four"])) as models:
        pieces = await pieces_of(models, request())
    assert [(each.text, each.restart) for each in pieces[:-1]] == [
        ("one ", False),
        ("two ", False),
        ("", True),
        ("four", False),
    ]


async def test_what_failed_tiers_used_is_paid_for_too() -> None:
    spending = InMemorySpending()
    cut = Reply(text="one two three four five six", fault=ScriptedFault(500), after_tokens=4)
    settings = {"small": quick("scripted:small", retries=0)}
    async with opened_scripts(
        spending, settings, small=ScriptedModel([cut]), large=ScriptedModel([Reply(text="well", usage=(10, 2))])
    ) as models:
        completion = await models.complete(request())
    assert completion.usage.estimated
    assert (completion.usage.output_tokens, completion.calls) == (7, 2)
    spent = await spending.spent(ACCOUNT)
    assert set(spent) == {"run", "conversation", "day"}
    assert {each.tokens for each in spent.values()} == {completion.usage.tokens}
    assert [each.money for each in spent.values()] == pytest.approx([completion.usage.money] * 3)


@pytest.mark.parametrize(
    ("action", "tier"), [("warn", "small"), ("review", "small"), ("local", "local"), ("escalate", "local")]
)
async def test_what_a_spent_budget_asks_for_is_done_or_handed_on(action: Any, tier: str) -> None:
    spending = InMemorySpending()
    await spending.settle(await spending.hold(ACCOUNT, Usage()), Usage(money=1.0))
    budgets = Budgets(day=Budget(money=1.0, at_80="warn", at_100=action))
    async with opened_scripts(spending, small=ScriptedModel(lambda _: "Said.")) as models:
        completion = await models.complete(request(budgets=budgets))
    assert (completion.tier, completion.budget.action) == (tier, action)


async def test_calls_at_the_same_time_see_what_the_others_set_aside() -> None:
    small = ScriptedModel(lambda _: Reply(text="Said.", first_seconds=0.02))
    budgets = Budgets(day=Budget(tokens=1000))
    tiers: list[str] = []
    settings = {"small": quick("scripted:small", max_tokens=450)}
    async with opened_scripts(settings=settings, small=small) as models, anyio.create_task_group() as group:

        async def ask(number: int) -> None:
            asked = request(budgets=budgets, prompt_version=str(number))
            tiers.append((await models.complete(asked)).tier)

        for number in range(20):
            group.start_soon(ask, number)
    assert (sorted(tiers), small.log.most_running) == (["local"] * 18 + ["small"] * 2, 2)


async def test_a_reply_in_a_schema_comes_from_a_tool_call_and_a_cached_one_is_a_copy() -> None:
    small = ScriptedModel([Reply(data={"outcome": "yes"})])
    async with opened_scripts(small=small) as models:
        first = await models.complete(request(), Verdict)
        assert isinstance(first.value, Verdict)
        first.value.outcome = "no"
        again = await models.complete(request(), Verdict)
    assert (again.value, again.cached, len(small.log.calls)) == (Verdict(outcome="yes"), True, 1)


async def test_tool_calls_are_handed_on() -> None:
    small = ScriptedModel([Reply(tool_calls=(("order_status", {"number": "1017"}),))])
    async with opened_scripts(small=small) as models:
        completion = await models.complete(request())
    assert [(each.name, each.arguments) for each in completion.tool_calls] == [
        ("order_status", {"number": "1017"})
    ]


async def test_kept_replies_belong_to_a_workspace_and_can_be_forgotten() -> None:
    small = ScriptedModel(lambda messages: f"Reply {len(messages)}")
    async with opened_scripts(small=small) as models:
        await models.complete(request())
        assert (await models.complete(request())).cached
        models.forget()
        assert not (await models.complete(request())).cached
        other = replace(ACCOUNT, workspace_id="other")
        assert not (await models.complete(request(account=other))).cached
        assert models.cache.saved("other").calls == 0


@pytest.mark.parametrize("finish", ["length", "max_tokens", "MAX_TOKENS", "content_filter"])
async def test_a_reply_that_was_cut_is_not_kept(finish: str) -> None:
    small = ScriptedModel(lambda _: Reply(text="It ends in the mid", finish=finish))
    async with opened_scripts(small=small) as models:
        first = await models.complete(request())
        assert (first.finish, first.whole, (await models.complete(request())).cached) == (finish, False, False)


@pytest.mark.parametrize("finish", ["stop", "STOP", "end_turn", "tool_use"])
async def test_a_reply_that_ended_by_itself_is_kept(finish: str) -> None:
    small = ScriptedModel(lambda _: Reply(text="It ends here.", finish=finish))
    async with opened_scripts(small=small) as models:
        await models.complete(request())
        assert (await models.complete(request())).cached


async def test_what_is_wrong_with_a_reply_is_told_without_its_words() -> None:
    wrong = Reply(data={"outcome": "perhaps", "ada@example.org": 1})
    async with opened_scripts(small=ScriptedModel([wrong, wrong])) as models:
        completion = await models.complete(request(tiers=("small",)), Strict)
    assert [each.text for each in completion.degraded] == [
        "Its reply does not fit the schema Strict: a field of its own, outcome."
    ]


async def test_what_a_kept_reply_saves_is_counted_for_whoever_asked_again() -> None:
    spending = InMemorySpending()
    async with opened_scripts(spending, small=ScriptedModel([Reply(text="Said.", usage=(10, 2))])) as models:
        first = await models.complete(request())
        again = await models.complete(request(account=replace(ACCOUNT, run_id="run_2")))
    found = {each.name: each for each in await spending.costs("ws", Wanted(by="run"))}
    assert (again.usage, set(found)) == (Usage(), {"run_1", "run_2"})
    assert (found["run_1"].calls, found["run_1"].saved_calls, found["run_2"].calls) == (1, 0, 0)
    assert (found["run_2"].saved_calls, found["run_2"].saved_tokens) == (1, 12)
    assert found["run_2"].saved_money == pytest.approx(first.usage.money)


async def test_a_model_without_a_known_price_says_so() -> None:
    settings: dict[str, ModelSettings] = {"small": quick("scripted:small", price=None)}
    async with opened_scripts(
        settings=settings, small=ScriptedModel([Reply(text="Said.", usage=(5, 1))])
    ) as models:
        completion = await models.complete(request())
    assert completion.usage == Usage(input_tokens=5, output_tokens=1, priced=False)


async def test_a_refused_key_is_a_warning_once_until_the_model_answers(caplog: pytest.LogCaptureFixture) -> None:
    refused, broken = Reply(fault=ScriptedFault(401)), Reply(fault=ScriptedFault(500))
    small = ScriptedModel([refused, refused, broken, "Yes.", refused])
    settings = {"small": quick("scripted:small", retries=0)}
    with caplog.at_level(logging.INFO, "handrail.models"):
        async with opened_scripts(settings=settings, small=small) as models:
            for number in range(5):
                await models.complete(request(tiers=("small",), prompt_version=f"p{number}"))
    assert [(each.levelname, "model.key" in each.getMessage()) for each in caplog.records] == [
        ("WARNING", True),
        ("INFO", True),
        ("INFO", False),
        ("WARNING", True),
    ]
