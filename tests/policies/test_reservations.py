"""Requests that are denied or made to depend on something, and those that are plain."""

from __future__ import annotations

import pytest

from policies.reservations import reservation

REFUND = "issue refund my refund Send money back for an order. LO-10288 10"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Please do not refund $10 for order LO-10288", "Please do not"),
        ("don't, please, refund $10 for LO-10288", "don't"),
        ("LO-10288: I no longer want $10 back", "I no longer want"),
        ("I would not have you refund $10", "not refund"),
        ("Refund the other one, not LO-10288", "not LO"),
        ("Exchange LO-10288 instead of a refund of $10", "instead of a refund of"),
        ("Cancel the refund of $10 for LO-10288", "Cancel"),
        ("Refund $10 for LO-10288 if the tent is not repaired", "if"),
        ("Refund $10 for LO-10288 unless you can send it", "unless"),
        ("Please do n\u200bot refund $10", "Please do not"),
    ],
)
def test_a_denial_and_a_condition_are_found(text: str, words: str) -> None:
    assert reservation(text, REFUND) == words


@pytest.mark.parametrize(
    "text",
    [
        "Please refund $10 for order LO-10288",
        "Can I get $10 back for LO-10288?",
        "The jacket doesn't fit, please refund $10 for LO-10288",
        "Refund $10 for LO-10288 if possible. Don't worry about the box.",
        "If you could refund $10 for LO-10288, thanks",
        "I had to cancel my trip, so refund $10 for LO-10288 at once",
    ],
)
def test_a_plain_request_has_none(text: str) -> None:
    assert reservation(text, REFUND) is None
