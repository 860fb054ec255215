"""The router on models: asked only in doubt, believed within the vocabulary, never laxer than an intent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import pytest

from agents.model_router import ModelRouter, ModelRouterSettings
from agents.prompts import load_prompt
from agents.router import LocalRouter, Reading, RouteRequest
from evals.stub_model import Answer, serving
from policies.types import Autonomy, Intent, Reason, Route, Turn
from tests.agents.mandates import TIERS, a_mandate, told
from tests.tools.models.requests import opened, opened_scripts, quick
from tools.encoder.fake import HashingEncoder
from tools.models import Models
from tools.models.fakes import Reply, ScriptedFault, ScriptedModel
from tools.models.mandate import Asked

pytestmark = pytest.mark.anyio


def intent(name: str, autonomy: Autonomy, queue: str = "general") -> Intent:
    examples = (f"tell me about {name}", f"what of {name} please")
    return Intent(name=name, description=f"All on {name}.", examples=examples, queue=queue, autonomy=autonomy)


INTENTS = (
    intent("hours", Autonomy.AUTO),
    intent("refunds", Autonomy.REVIEW, "billing"),
    intent("lawsuits", Autonomy.HUMAN, "legal"),
)
UNSURE = Route(
    intent="hours",
    queue="general",
    priority="normal",
    confidence=0.4,
    in_scope=0.7,
    autonomy=Autonomy.REVIEW,
    reasons=(Reason(code="router.unsure", text="Only 40% sure of hours."),),
    nearest=("tell me about hours",),
)
SURE = replace(UNSURE, confidence=0.9, in_scope=0.95, autonomy=Autonomy.AUTO, reasons=())
OUTSIDE = replace(UNSURE, intent=None, confidence=0.5, in_scope=0.5, autonomy=Autonomy.HUMAN)
PROMPT = load_prompt("route").id


@dataclass
class Local:
    """A local router that reads every message in the same way."""

    reading: Reading
    asked: list[RouteRequest] = field(default_factory=list)

    async def read(self, request: RouteRequest) -> Reading:
        self.asked.append(request)
        return self.reading


def router(models: Models, reading: Reading) -> ModelRouter:
    return ModelRouter(Local(reading), models, TIERS, intents=INTENTS)


def request(noted: list[Asked] | None = None, **more: Any) -> RouteRequest:
    return RouteRequest(**{"text": "and on sunday?", "mandate": a_mandate(noted), **more})


def sorted_as(intent: str, *also: str, confidence: float = 0.9) -> Reply:
    return Reply(data={"intent": intent, "also": list(also), "confidence": confidence})


async def routed(reply: Reply, reading: Reading | None = None) -> Route:
    async with opened_scripts(small=ScriptedModel([reply])) as models:
        return await router(models, reading or Reading(route=UNSURE))(request())


async def test_a_model_decides_where_the_local_router_is_unsure() -> None:
    assert await routed(sorted_as("refunds")) == Route(
        intent="refunds",
        queue="billing",
        priority="normal",
        confidence=0.9,
        in_scope=0.9,
        autonomy=Autonomy.REVIEW,
        tier="small",
        reasons=(
            Reason(
                code="router.model", text="The local router was unsure; a model (small) is 90% sure of refunds."
            ),
        ),
        nearest=("tell me about hours",),
    )


@pytest.mark.parametrize(
    ("reading", "unsure"),
    [
        (Reading(route=SURE), False),
        (Reading(route=SURE, asked_too=("hours",)), False),
        (Reading(route=SURE, rivals=("refunds",)), True),
        (Reading(route=replace(SURE, confidence=0.5)), True),
        (Reading(route=replace(SURE, in_scope=0.8)), True),
        (Reading(route=OUTSIDE), True),
        (Reading(route=replace(OUTSIDE, in_scope=0.1)), False),
    ],
)
async def test_a_model_is_asked_in_doubt_alone(reading: Reading, unsure: bool) -> None:
    model = ScriptedModel([sorted_as("hours")])
    async with opened_scripts(small=model) as models:
        mine = router(models, reading)
        found = await mine(request())
    assert (mine.is_unsure(reading), len(model.log.calls)) == (unsure, int(unsure))
    assert found.tier == ("small" if unsure else "local")


async def test_without_a_mandate_the_local_route_stands() -> None:
    model = ScriptedModel(["never"])
    async with opened_scripts(small=model) as models:
        assert await router(models, Reading(route=UNSURE))(request(mandate=None)) == UNSURE
    assert model.log.calls == []


async def test_it_reads_the_intents_and_what_was_said_before() -> None:
    model, noted = ScriptedModel([sorted_as("hours")]), list[Asked]()
    history = (Turn(author="customer", text="are you open on saturday?"),)
    async with opened_scripts(small=model) as models:
        await router(models, Reading(route=UNSURE))(request(noted, history=history))
    system, said = (str(each.content) for each in model.log.calls[0])
    assert "- refunds: All on refunds. For example: “tell me about refunds”" in system
    assert '<data kind="customer">\nare you open on saturday?\n</data>' in said
    assert said.endswith('<data kind="message">\nand on sunday?\n</data>')
    assert told(noted) == [("route", PROMPT, "small", [])]


@pytest.mark.parametrize(
    ("reply", "reading", "intent", "autonomy"),
    [
        (sorted_as("hours"), Reading(route=UNSURE), "hours", Autonomy.AUTO),
        (sorted_as("hours", "refunds"), Reading(route=UNSURE), "hours", Autonomy.REVIEW),
        (sorted_as("hours", "refunds", "lawsuits"), Reading(route=UNSURE), "hours", Autonomy.HUMAN),
        (sorted_as("lawsuits", "hours"), Reading(route=UNSURE), "lawsuits", Autonomy.HUMAN),
        (sorted_as("hours"), Reading(route=UNSURE, asked_too=("lawsuits",)), "hours", Autonomy.HUMAN),
        (sorted_as("hours"), Reading(route=UNSURE, rivals=("lawsuits",)), "hours", Autonomy.AUTO),
        (sorted_as("none"), Reading(route=SURE, rivals=("lawsuits",)), None, Autonomy.HUMAN),
        (sorted_as("hours"), Reading(route=OUTSIDE), "hours", Autonomy.AUTO),
    ],
)
async def test_the_strictest_of_all_that_is_asked_holds(
    reply: Reply, reading: Reading, intent: str | None, autonomy: Autonomy
) -> None:
    found = await routed(reply, reading)
    assert (found.intent, found.autonomy, found.tier) == (intent, autonomy, "small")


async def test_what_a_model_finds_in_no_intent_goes_to_people() -> None:
    found = await routed(sorted_as("none", confidence=0.8), Reading(route=replace(SURE, in_scope=0.8)))
    assert (found.intent, found.queue, found.confidence, round(found.in_scope, 2)) == (None, "general", 0.8, 0.2)


async def test_a_model_that_is_unsure_too_is_not_believed() -> None:
    found = await routed(sorted_as("refunds", confidence=0.5))
    assert replace(found, reasons=()) == replace(UNSURE, reasons=())
    assert [reason.code for reason in found.reasons] == ["router.unsure", "router.model_unsure"]


@pytest.mark.parametrize(
    ("line", "code", "calls"),
    [
        (sorted_as("weather"), "model.bad_reply", 2),
        (sorted_as("hours", "weather"), "model.bad_reply", 2),
        (sorted_as("hours", confidence=7), "model.bad_reply", 2),
        (Reply(text="I think it is about hours."), "model.bad_reply", 2),
        (Reply(text='{"intent": "hours", "also": [], "conf'), "model.bad_reply", 2),
        (Reply(text=""), "model.bad_reply", 2),
        (ScriptedFault(500), "model.failed", 3),
        (ScriptedFault(429), "model.rate_limited", 3),
        (ScriptedFault(403), "model.key", 1),
    ],
)
async def test_without_an_answer_in_the_vocabulary_the_local_route_stands(
    line: Reply | Exception, code: str, calls: int
) -> None:
    noted: list[Asked] = []
    async with opened_scripts(small=ScriptedModel([line] * calls)) as models:
        assert await router(models, Reading(route=UNSURE))(request(noted)) == UNSURE
    assert [(each[2], each[3][0]) for each in told(noted)] == [("local", ("small", code, calls))]


async def test_a_reply_that_is_mended_counts() -> None:
    async with opened_scripts(small=ScriptedModel([sorted_as("weather"), sorted_as("refunds")])) as models:
        assert (await router(models, Reading(route=UNSURE))(request())).intent == "refunds"


async def test_a_kept_reply_serves_another_router_with_the_same_intents() -> None:
    async with opened_scripts(small=ScriptedModel([sorted_as("refunds")])) as models:
        found = [await router(models, Reading(route=UNSURE))(request()) for _ in range(2)]
    assert [each.intent for each in found] == ["refunds", "refunds"]


async def test_a_slow_model_is_not_waited_for_beyond_the_deadline() -> None:
    model, noted = ScriptedModel([replace(sorted_as("refunds"), first_seconds=30)]), list[Asked]()
    async with opened_scripts(small=model, large=ScriptedModel(["never"])) as models:
        with anyio.fail_after(10):
            found = await router(models, Reading(route=UNSURE))(request(mandate=a_mandate(noted, seconds=0.1)))
    assert (found, len(model.log.calls) <= 1) == (UNSURE, True)
    assert [each[1] for each in told(noted)[0][3]] == ["model.deadline", "model.deadline"]


async def test_a_message_that_gives_orders_gets_no_more_than_an_intent_allows() -> None:
    # The model obeys the message and names the laxest intent; a sentence of it alone is about something stricter.
    reading = Reading(route=replace(UNSURE, intent="lawsuits", autonomy=Autonomy.HUMAN), asked_too=("lawsuits",))
    found = await routed(sorted_as("hours", confidence=1.0), reading)
    assert found.autonomy is Autonomy.HUMAN


async def test_over_the_wire() -> None:
    answer = Answer(tool=("Sorted", {"intent": "refunds", "also": [], "confidence": 0.9}))
    async with serving([answer]) as stub, opened({"small": quick(url=stub.url)}) as models:
        assert (await router(models, Reading(route=UNSURE))(request())).intent == "refunds"
        stub.plays(Answer(status=500))
        assert await router(models, Reading(route=UNSURE))(request(text="and on monday?")) == UNSURE


async def test_the_local_router_tells_what_else_a_message_may_be_about() -> None:
    local = await LocalRouter.fit(INTENTS, (), HashingEncoder())
    reading = await local.read(RouteRequest(text="tell me about hours please. what of lawsuits please?"))
    assert reading.route == await local(RouteRequest(text="tell me about hours please. what of lawsuits please?"))
    assert {*reading.asked_too, *reading.rivals} <= {each.name for each in INTENTS}


def test_the_lines_can_be_drawn_elsewhere() -> None:
    mine = ModelRouter(
        Local(Reading(route=SURE)),
        None,  # type: ignore[arg-type]  # nothing is asked
        TIERS,
        intents=INTENTS,
        settings=ModelRouterSettings(sure=0.95),
    )
    assert mine.is_unsure(Reading(route=SURE))
