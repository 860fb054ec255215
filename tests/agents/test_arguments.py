"""What an action is told: found in the words, told by the app, pointed out by a model, and never made up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import TypeAdapter

from agents.arguments import Arguments, ArgumentsRequest, LocalArguments
from agents.model_arguments import ModelArguments
from agents.prompts import load_prompt
from policies.types import JSON, Turn
from tests.agents.mandates import TIERS, a_mandate
from tests.tools.models.requests import opened_scripts
from tools.actions import Parameter
from tools.models.fakes import Reply, ScriptedFault, ScriptedModel
from tools.models.mandate import Asked

pytestmark = pytest.mark.anyio
KINDS: dict[str, Any] = {"string": str, "number": float, "boolean": bool, "integer": int}


@dataclass(frozen=True)
class Refund:
    """An action that takes arguments."""

    parameters: tuple[Parameter, ...]
    description: str = "Send money back."

    def read(self, name: str, value: Any) -> Any:
        """Return a value as its type."""
        schema = next(each.schema for each in self.parameters if each.name == name)
        return TypeAdapter(KINDS[schema.get("type", "string")]).validate_python(value)


def parameter(name: str, schema: JSON | None = None, pattern: str | None = None, **more: Any) -> Parameter:
    found = re.compile(pattern, re.IGNORECASE) if pattern else None
    return Parameter(name=name, about=f"the {name}", schema=schema or {"type": "string"}, pattern=found, **more)


ORDER = parameter("order", pattern=r"LO-\d+")
AMOUNT = parameter("amount", {"type": "number"})
WHY = parameter("why", {"enum": ["late", "broken"]})
NOTE = parameter("note", required=False)


def asked(question: str, *parameters: Parameter, earlier: Sequence[str] = (), **more: Any) -> ArgumentsRequest:
    history = tuple(Turn(author="customer", text=text) for text in earlier)
    return ArgumentsRequest(action=Refund(parameters or (ORDER,)), question=question, history=history, **more)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (asked("where is LO-12345?"), {"order": "LO-12345"}),
        (asked("where is lo-7, LO-7?"), {"order": "lo-7"}),
        (asked("where are LO-7 and LO-8?"), {}),
        (asked("and when will it come?", earlier=["LO-1", "where is LO-7"]), {"order": "LO-7"}),
        (asked("refund it", earlier=["where is LO-7"], only_now=True), {}),
        (asked("where is it?"), {}),
        (asked("$40", parameter("amount", {"type": "number"}, r"\$(\d+)")), {"amount": 40.0}),
        (asked("$1,000", parameter("amount", {"type": "number"}, r"\$(\d+)")), {}),
        (asked("LO-7 and LO-8", attributes={"order": "LO-9"}), {}),
        (asked("L\u041e-7 please"), {"order": "LO-7"}),
        (asked("$many", parameter("amount", {"type": "number"}, r"\$(\w+)")), {}),
    ],
)
async def test_the_local_tier_takes_what_the_words_have_once(request_: ArgumentsRequest, said: JSON) -> None:
    found = await LocalArguments()(request_)
    missing = tuple(each for each in request_.action.parameters if each.name not in said)
    assert found == Arguments(said=said, missing=missing)


async def test_what_the_app_told_of_the_customer_is_kept_apart() -> None:
    members = parameter("member", {"type": "boolean"})
    request = asked(
        "LO-7 please", ORDER, members, AMOUNT, attributes={"member": True, "order": "LO-9", "amount": "x"}
    )
    assert await LocalArguments()(request) == Arguments(
        said={"order": "LO-7"}, known={"member": True}, missing=(AMOUNT,)
    )


def pointed(**words: str) -> Reply:
    return Reply(data={"arguments": [{"name": name, "words": each} for name, each in words.items()]})


async def filled(request: ArgumentsRequest, *replies: Any, noted: list[Asked] | None = None) -> Arguments:
    request = ArgumentsRequest(**{**vars(request), "mandate": a_mandate(noted)})
    async with opened_scripts(small=ScriptedModel(list(replies))) as models:
        return await ModelArguments(LocalArguments(), models, TIERS)(request)


async def test_a_model_points_out_what_has_no_pattern() -> None:
    noted: list[Asked] = []
    request = asked("Refund forty, no, 40.50 for LO-7, it came late. Be quick", ORDER, AMOUNT, WHY, NOTE)
    found = await filled(request, pointed(amount="40.50", why="late", note="Be quick"), noted=noted)
    assert found == Arguments(said={"order": "LO-7", "amount": 40.5, "why": "late", "note": "Be quick"})
    assert [(each.task, each.prompt) for each in noted] == [("act", load_prompt("act").id)]


@pytest.mark.parametrize(
    "words",
    [
        {"amount": "41"},
        {"amount": "4"},
        {"amount": "40"},
        {"amount": "50"},
        {"amount": ""},
        {"amount": "forty"},
        {"order": "LO-9"},
        {"order": "LO-7"},
        {"order": "10234"},
        {"why": "angry"},
        {"other": "40.50"},
    ],
)
async def test_what_a_model_makes_up_does_not_count(words: dict[str, str]) -> None:
    request = asked("Refund 40.50 for LO-7 or LO-8, forty", ORDER, AMOUNT, WHY)
    found = await filled(request, pointed(**words))
    assert found == Arguments(said={}, missing=(ORDER, AMOUNT, WHY))


@pytest.mark.parametrize(
    ("text", "words"), [("$250 and $99.99", "99.99"), ("$1.249,00", "1.24"), ("$150.50", "50"), ("99 euros", "99")]
)
async def test_no_model_chooses_where_a_pattern_says_how_a_value_is_written(text: str, words: str) -> None:
    noted: list[Asked] = []
    money = parameter("amount", {"type": "number"}, r"\$(\d+)")
    found = await filled(asked(f"Refund {text} for LO-7", ORDER, money), pointed(amount=words), noted=noted)
    assert (found, noted) == (Arguments(said={"order": "LO-7"}, missing=(money,)), [])


async def test_two_answers_are_none() -> None:
    reply = Reply(data={"arguments": [{"name": "amount", "words": "7"}, {"name": "amount", "words": "8"}]})
    assert (await filled(asked("7 or 8", AMOUNT), reply)).said == {}


async def test_an_earlier_message_counts_for_what_only_looks() -> None:
    before = asked("yes please", AMOUNT, earlier=["what of 40?"])
    assert (await filled(before, pointed(amount="40"))).said == {"amount": 40.0}
    now = asked("yes please", AMOUNT, earlier=["what of 40?"], only_now=True)
    assert (await filled(now, pointed(amount="40"))).said == {}


async def test_no_model_is_asked_for_what_can_not_be_there() -> None:
    noted: list[Asked] = []
    assert (await filled(asked("How can I track an order?"), noted=noted)).said == {}
    assert noted == []


async def test_without_an_answer_the_local_tier_stands() -> None:
    fault = ScriptedFault(400)
    assert await filled(asked("40 for LO-7", ORDER, AMOUNT), fault, fault, fault) == Arguments(
        said={"order": "LO-7"}, missing=(AMOUNT,)
    )


async def test_what_the_app_tells_is_not_taken_from_the_words() -> None:
    model = ScriptedModel([pointed(member="M-7")])
    only = asked("I am M-7", parameter("member"), mandate=a_mandate())
    async with opened_scripts(small=model) as models:
        assert (await ModelArguments(LocalArguments(), models, TIERS, tells={"member"})(only)).said == {}
    assert model.log.calls == []
