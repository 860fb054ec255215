"""The brief says what was asked, tried and found, and makes nothing up."""

from __future__ import annotations

import pytest

from agents.escalation import EscalationRequest, LocalEscalation
from policies.types import Autonomy, Brief, Passage, Reason, Route, Sentence, Turn

pytestmark = pytest.mark.anyio

WHY = Reason(code="route.human", text="Policy leaves complaints to people.")
ROUTE = Route(
    intent="late_parcel", queue="orders", priority="high", confidence=0.81, in_scope=0.9, autonomy=Autonomy.HUMAN
)
PASSAGE = Passage(
    id="doc:0",
    document="parcels.md",
    document_version="doc",
    title="Parcels",
    heading="Late parcels",
    text="A parcel may be late.",
    start=0,
    end=21,
    index_version="idx",
    audience="customer",
)


def a_request(**more: object) -> EscalationRequest:
    values: dict[str, object] = {
        "question": "where is it",
        "history": (),
        "route": ROUTE,
        "passages": (),
        "sentences": (),
        "reasons": (WHY,),
        "queue": "orders",
        "priority": "high",
        "customer_message": "A colleague will answer.",
    }
    return EscalationRequest(**{**values, **more})  # type: ignore[arg-type]


async def test_a_brief_with_a_draft_offers_it() -> None:
    request = a_request(
        history=(Turn(author="customer", text="I ordered a tent"), Turn(author="bot", text="Fine.")),
        passages=(PASSAGE,),
        sentences=(Sentence(text="A parcel may be late."),),
    )
    assert await LocalEscalation()(request) == Brief(
        asked="where is it (before that: I ordered a tent)",
        why=(WHY,),
        tried=(
            "Routed to late_parcel with a confidence of 81%.",
            "Searched the articles; looked at Parcels.",
            "Drafted: A parcel may be late.",
        ),
        found=("Parcels (parcels.md): Late parcels",),
        next_step="Check the draft against what was asked; send, change or dismiss it.",
        queue="orders",
        priority="high",
        customer_message="A colleague will answer.",
    )


async def test_a_brief_without_a_draft_names_the_subject() -> None:
    brief = await LocalEscalation()(a_request())
    assert brief.next_step == "Answer the customer on late parcel; no draft was made."
    assert brief.found == ()


async def test_a_brief_without_a_route_says_so() -> None:
    brief = await LocalEscalation()(a_request(route=None))
    assert brief.tried == ()
    assert brief.next_step.startswith("Read the message and decide who should answer")
