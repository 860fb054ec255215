"""What the router promises: closed vocabulary, honest doubt, and never laxer than it may be."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from agents.router import LocalRouter, RouteRequest, RouterSettings
from policies.glossary import Glossary
from policies.types import Autonomy, Intent, KnownQuestion, Route, Turn
from tools.encoder.fake import HashingEncoder
from tools.known import KnownQuestions

pytestmark = pytest.mark.anyio


def intent(name: str, autonomy: Autonomy, *examples: str, queue: str = "general") -> Intent:
    return Intent(name=name, description="", examples=examples, queue=queue, autonomy=autonomy)


INTENTS = (
    intent(
        "opening_hours",
        Autonomy.AUTO,
        "when does the store open",
        "what are the opening hours on sunday",
        "when do you close on saturday",
        "is the store open on sunday",
    ),
    intent(
        "refund_status",
        Autonomy.REVIEW,
        "where is my refund",
        "my refund has not arrived",
        "when will my money be refunded",
        "i still wait for the refund",
        queue="billing",
    ),
    intent(
        "shipping_cost",
        Autonomy.AUTO,
        "how much is shipping to france",
        "what does shipping cost",
        "shipping price to france please",
        "how much does delivery cost",
    ),
    intent(
        "legal_complaint",
        Autonomy.HUMAN,
        "my lawyer will sue you",
        "i will take you to court",
        "this is a legal complaint from my lawyer",
        "expect a letter from my lawyer",
        queue="legal",
    ),
)
# The fake encoder knows shared words only, so its probabilities are lower than a real encoder's.
LENIENT = RouterSettings(in_scope=0.5, sure=0.5, second_question=0.4)


async def router(settings: RouterSettings = LENIENT) -> LocalRouter:
    outside = ("write a poem about autumn leaves", "who won the football match", "best jazz records ever")
    return await LocalRouter.fit(INTENTS, outside, HashingEncoder(), fallback_queue="front", settings=settings)


async def test_known_questions_are_examples_of_the_intents_that_they_name() -> None:
    asked = "can i drop in during the evening"
    known = KnownQuestion(
        document="hours.md", answer=("We close at nine.",), asked=(asked,), intent="opening_hours"
    )
    others = replace(known, asked=("does a parrot fly",), intent=None)
    encoder = HashingEncoder()
    learned = await KnownQuestions.learn([known, others], encoder, Glossary())
    made = await LocalRouter.fit(INTENTS, (), encoder, settings=LENIENT, known=learned)
    found = await made(RouteRequest(text=asked))
    assert (found.intent, found.nearest[0]) == ("opening_hours", asked)
    assert "does a parrot fly" not in (await made(RouteRequest(text="does a parrot fly"))).nearest


def codes(route: Route) -> list[str]:
    return [reason.code for reason in route.reasons]


async def test_a_clear_message_takes_queue_priority_and_autonomy_from_its_intent() -> None:
    route = await (await router())(RouteRequest(text="where is my refund"))
    expected = replace(
        route,
        intent="refund_status",
        queue="billing",
        priority="normal",
        autonomy=Autonomy.REVIEW,
        tier="local",
    )
    assert route == expected
    assert route.nearest[0] == "where is my refund"
    assert codes(route) == ["router.nearest"]
    assert route.confidence > 0.5


async def test_a_message_about_nothing_known_goes_to_a_person() -> None:
    route = await (await router())(RouteRequest(text="best records ever"))
    assert (route.intent, route.queue, route.autonomy) == (None, "front", Autonomy.HUMAN)
    assert route.confidence == pytest.approx(1 - route.in_scope)
    assert codes(route) == ["router.out_of_scope", "router.nearest"]


async def test_doubt_between_two_intents_takes_the_stricter_autonomy() -> None:
    doubtful = RouterSettings(in_scope=0.0, sure=1.0, rival=0.05)
    route = await (await router(doubtful))(RouteRequest(text="when does the store send my refund"))
    assert route.autonomy in (Autonomy.REVIEW, Autonomy.HUMAN)
    assert "router.unsure" in codes(route)


async def test_doubt_never_makes_a_route_laxer() -> None:
    doubtful = RouterSettings(in_scope=0.0, sure=1.0, rival=0.0)
    route = await (await router(doubtful))(RouteRequest(text="my lawyer asks where is the store"))
    assert route.autonomy is Autonomy.HUMAN


async def test_a_second_question_makes_the_whole_message_stricter() -> None:
    only = await (await router())(RouteRequest(text="when does the store open on sunday?"))
    both = await (await router())(
        RouteRequest(
            text="when does the store open on sunday? what are the hours? expect a letter from my lawyer."
        )
    )
    assert only.autonomy is Autonomy.AUTO
    assert both.autonomy is Autonomy.HUMAN


@pytest.mark.parametrize("text", ["and on saturday", "what about sunday?", "How about it"])
async def test_a_short_follow_up_is_read_with_the_message_before(text: str) -> None:
    history = (
        Turn(author="customer", text="when does the store open"),
        Turn(author="bot", text="At nine. Where is my refund is another question."),
    )
    request = RouteRequest(text=text, history=history, previous_intent="opening_hours")
    route = await (await router())(request)
    assert route.intent == "opening_hours"
    assert codes(route)[-1] == "router.follow_up"


async def test_a_message_that_stands_for_itself_ignores_the_one_before() -> None:
    history = (Turn(author="customer", text="when does the store open"),)
    alone = await (await router())(RouteRequest(text="where is my refund"))
    after = await (await router())(
        RouteRequest(text="where is my refund", history=history, previous_intent="opening_hours")
    )
    assert after == alone


async def test_an_unknown_previous_intent_changes_nothing() -> None:
    history = (Turn(author="customer", text="when does the store open"),)
    request = RouteRequest(text="and on sunday", history=history)
    known = await (await router())(request)
    assert await (await router())(replace(request, previous_intent="no_such_intent")) == known


@pytest.mark.parametrize("text", ["", "   ", "???", "?!\n\n..."])
async def test_a_message_without_words_is_routed_without_failing(text: str) -> None:
    route = await (await router())(RouteRequest(text=text))
    assert 0.0 <= route.confidence <= 1.0


async def test_no_examples_out_of_scope_are_needed() -> None:
    route = await (await LocalRouter.fit(INTENTS, (), HashingEncoder(), settings=LENIENT))(
        RouteRequest(text="where is my refund")
    )
    assert route.intent == "refund_status"


async def test_two_intents_are_the_least() -> None:
    with pytest.raises(ValueError, match="at least two intents"):
        await LocalRouter.fit(INTENTS[:1], (), HashingEncoder())


@pytest.mark.parametrize("between", [" also ", ", also ", ",   and also ", "; ", "\n"])
async def test_a_second_question_is_read_apart_however_it_is_joined(between: str) -> None:
    route = await (await router())(RouteRequest(text=f"when does the store open{between}where is my refund"))
    assert route.autonomy is Autonomy.REVIEW


async def test_a_message_full_of_blanks_is_routed_at_once() -> None:
    made = await router()
    began = time.process_time()
    await made(RouteRequest(text="where is" + " " * 20_000 + "my refund"))
    assert time.process_time() - began < 3


async def test_who_writes_is_no_second_question() -> None:
    made = await router(replace(LENIENT, second_question=0.0))
    for who in ("Hi, I am [NAME_1], [ADDRESS_1]. ", "Good morning! My name is [NAME_1]. "):
        assert "router.second_question" not in codes(
            await made(RouteRequest(text=f"{who}when does the store open"))
        )
    asked = "My lawyer will sue you. when does the store open"
    assert "router.second_question" in codes(await made(RouteRequest(text=asked)))


async def test_two_intents_with_an_example_each_are_enough() -> None:
    two = (
        intent("tea", Autonomy.AUTO, "how long do i brew tea"),
        intent("post", Autonomy.AUTO, "when does it arrive"),
    )
    small = await LocalRouter.fit(two, (), HashingEncoder(), settings=LENIENT)
    route = await small(RouteRequest(text="how long do i brew tea"))
    assert (route.intent, route.nearest) == ("tea", ("how long do i brew tea", "when does it arrive"))
