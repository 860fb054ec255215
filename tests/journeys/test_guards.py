"""What guards find in a message, in articles and in what actions return, and what becomes of the turn."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from policies.guards import Finding, Guarding
from policies.types import JSON, Outcome, Reason, Verdict
from tests.journeys.shop import FILES, NewPlace, OpenShop, Shop, opener
from tests.journeys.test_personal_data import everything
from tools.actions import ActionRequest

pytestmark = pytest.mark.anyio


@dataclass
class Pay:
    """An action that changes something."""

    name: str = "pay"
    effect: bool = True
    idempotent: bool = True
    timeout: float = 5.0
    calls: int = 0

    async def __call__(self, request: ActionRequest) -> JSON:  # noqa: ARG002
        """Do it."""
        self.calls += 1
        return {"paid": True}


PAY = Pay()


@dataclass(frozen=True)
class LookUp:
    """An action that finds what a message names."""

    name: str = "look_up"
    effect: bool = False
    idempotent: bool = True
    timeout: float = 5.0

    async def __call__(self, request: ActionRequest) -> JSON:
        """Look it up."""
        return {"note": f"found by {request.question}"}


@pytest.fixture(name="guarded", scope="module")
async def guarded_fixture(
    assistant_folder: Path, new_place: NewPlace, tmp_path_factory: pytest.TempPathFactory, shop: Shop
) -> AsyncIterator[Shop]:
    """Open a shop that looks something up before it answers on deliveries."""
    del shop  # It opens first, so that both close in turn.
    folder = tmp_path_factory.mktemp("guarded") / "tea-shop"
    shutil.copytree(assistant_folder, folder)
    intents = FILES["intents.yaml"].replace("  autonomy: auto\n", "  autonomy: auto\n  tools: [look_up, pay]\n")
    (folder / "intents.yaml").write_text(intents)
    blocked = FILES["policy.yaml"] + "  blocked: We can't talk about that.\n"
    (folder / "policy.yaml").write_text(blocked)

    async with opener(folder, new_place)(team={"actions": {"look_up": LookUp(), "pay": PAY}}) as opened:
        yield opened


def _fails(outcome: Outcome) -> Guarding:
    reason = Reason(code="guard.injection", text="The text gives the assistant orders.")
    return Guarding(
        outcome=outcome, failed=(Finding(guard="injection", score=0.9, reason=reason, spans=((0, 4),)),)
    )


@pytest.fixture(autouse=True)
def _unscripted(guarded: Shop) -> None:
    guarded.guards.script.clear()
    guarded.guards.asked.clear()


def _plain(event: JSON) -> JSON:
    return {
        key: value
        for key, value in event.items()
        if key not in ("id", "at", "seq", "run_seq", "run_id", "conversation_id")
    }


async def _asked(shop: Shop, text: str) -> tuple[JSON, list[JSON], list[JSON]]:
    """Ask something; returns the run, what staff are told of guards, and the decisions on them."""
    run = (await shop.ask(await shop.conversation(), text)).json()
    told = await shop.events(f"/v1/runs/{run['run_id']}/events")
    guardrails = [_plain(event.json()) for event in told if event.event == "guardrail"]
    rows = (await shop.get(f"/v1/decisions?stream={run['conversation_id']}"))["decisions"]
    return run, guardrails, [row for row in rows if row["kind"] == "guard"]


async def test_a_message_passes_all_four_places(guarded: Shop) -> None:
    run, guardrails, decisions = await _asked(guarded, "How long does delivery take?")
    assert (run["outcome"], guardrails, decisions) == ("answered", [], [])
    # Headings that passed before are not looked at again.
    asked = [each for each in guarded.guards.asked if each.text not in ("Delivery", "Refunds", "Brewing")]
    assert [each.stage for each in asked] == ["input", *["passage"] * 3, "tool", "tool"]
    assert [each.text for each in asked[-2:]] == [
        "note: found by How long does delivery take?",
        "paid: ",
    ]


async def test_a_message_that_a_guard_escalates_goes_to_a_person(guarded: Shop) -> None:
    guarded.guards.script["obey me"] = _fails(Outcome.ESCALATE)
    run, (told,), (decided,) = await _asked(guarded, "Now obey me")
    assert (run["outcome"], run["text"]) == ("handed_over", "A colleague will answer you here.")
    reason = {"code": "guard.injection", "text": "The text gives the assistant orders.", "rule_id": None}
    finding = {"guard": "injection", "score": 0.9, "spans": [[0, 4]]}
    assert told == {"stage": "input", "action": "escalate", "reasons": [reason], "findings": [finding]}
    assert (decided["node"], decided["outcome"]) == ("intake", "escalate")
    assert (decided["guards"], decided["reasons"]) == ({"injection": 0.9}, [reason])


async def test_a_message_that_a_guard_blocks_gets_policys_words(guarded: Shop) -> None:
    guarded.guards.script["obey me"] = _fails(Outcome.BLOCK)
    run, _, _ = await _asked(guarded, "Now obey me")
    assert (run["outcome"], run["text"]) == ("handed_over", "We can't talk about that.")


@pytest.mark.parametrize("place", ["obey", "Delivery takes", "paid"])
async def test_a_person_looks_first_where_a_guard_wants_it(guarded: Shop, place: str) -> None:
    guarded.guards.script[place] = _fails(Outcome.REVIEW)
    paid = PAY.calls
    run, _, _ = await _asked(guarded, "How long does delivery take, obey!")
    [review] = (await guarded.get("/v1/reviews"))["reviews"]
    changes = place == "paid"
    assert (run["outcome"], PAY.calls) == ("review", paid + changes)
    assert (review["run_id"], review["kind"]) == (run["run_id"], "approve_reply" if changes else "approve_action")
    assert (await guarded.decide(review["id"], decision="reject")).status_code == 200


async def test_an_article_that_fails_is_left_out(guarded: Shop) -> None:
    guarded.guards.script["Delivery takes"] = _fails(Outcome.REVISE)
    run, (told,), _ = await _asked(guarded, "How long does delivery take?")
    assert run["outcome"] == "answered"
    assert (told["stage"], told["action"], told["document"]) == ("passage", "revise", "delivery.md")
    drawn_on = {passage.document for passage in guarded.drafter.asked[-1].passages}
    assert drawn_on == {"refunds.md", "brewing.md", "tool:look_up", "tool:pay"}


async def test_an_article_whose_heading_fails_is_left_out(open_shop: OpenShop) -> None:
    async with open_shop() as fresh:
        fresh.guards.script["Brewing"] = _fails(Outcome.REVISE)
        _, (told,), _ = await _asked(fresh, "How long does delivery take?")
        assert (told["stage"], told["action"], told["document"]) == ("passage", "revise", "brewing.md")
        assert {passage.document for passage in fresh.drafter.asked[-1].passages} == {"delivery.md", "refunds.md"}


async def test_with_no_article_left_a_person_answers(guarded: Shop) -> None:
    for piece in ("Delivery takes", "Money goes", "Green tea"):
        guarded.guards.script[piece] = _fails(Outcome.REVISE)
    run, told, _ = await _asked(guarded, "How long does delivery take?")
    assert (run["outcome"], len(told)) == ("handed_over", 3)


async def test_what_an_action_returns_is_left_out_when_it_fails(guarded: Shop) -> None:
    guarded.guards.script["found by"] = _fails(Outcome.REVISE)
    run, (told,), (decided,) = await _asked(guarded, "How long does delivery take?")
    assert (run["outcome"], told["stage"], told["tool"]) == ("answered", "tool", "look_up")
    assert decided["node"] == "act"


@pytest.mark.parametrize("outcome", [Outcome.BLOCK, Outcome.ESCALATE, Outcome.REVIEW])
async def test_nothing_is_changed_on_the_strength_of_what_a_guard_holds_back(
    guarded: Shop, outcome: Outcome
) -> None:
    paid = PAY.calls
    guarded.guards.script["found by"] = _fails(outcome)
    run, _, decisions = await _asked(guarded, "How long does delivery take?")
    waits = outcome is Outcome.REVIEW
    assert (run["outcome"], PAY.calls) == ("review" if waits else "handed_over", paid)
    assert [each["outcome"] for each in decisions] == [str(outcome)]
    if waits:
        assert (await guarded.decide(run["review_id"], decision="reject")).status_code == 200


async def test_a_turn_whose_guards_break_down_goes_to_a_person(guarded: Shop) -> None:
    guarded.guards.script["How"] = RuntimeError("no guards")
    run, _, _ = await _asked(guarded, "How long does delivery take?")
    assert (run["outcome"], run["text"]) == ("degraded", "Something broke, so a colleague will answer you.")


@pytest.mark.parametrize("outcome", [Outcome.REVISE, Outcome.REVIEW])
async def test_what_a_drafter_makes_up_of_a_person_is_stored_nowhere(guarded: Shop, outcome: Outcome) -> None:
    card = "4111 1111 1111 1111"
    guarded.drafter.script["made up"] = (f"We charged {card}.", "Delivery takes three days.")
    reason = Reason(code="guard.personal_data", text="It holds personal data.")
    guarded.checker.sentences["charged"] = Verdict(outcome=outcome, reasons=(reason,))
    conversation = await guarded.conversation()
    run = (await guarded.ask(conversation, "Delivery, made up?")).json()
    stored = await guarded.product.service.store.database.read(everything)
    assert card not in stored
    assert "We charged [CARD_1]." in stored
    if outcome is Outcome.REVIEW:
        review = await guarded.get(f"/v1/reviews/{run['review_id']}")
        assert review["draft"][0]["text"] == f"We charged {card}."
