"""Personal data becomes placeholders and comes back whole, for the right conversation only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.personal_data import broken_placeholders, find, mask, reveal


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("write to ann.lee+shop@mail.example.com please", ["EMAIL"]),
        ("my card 4111 1111 1111 1111 was charged", ["CARD"]),
        ("iban DE89 3704 0044 0532 0130 00", ["IBAN"]),
        ("ssn 219-09-9999", ["SSN"]),
        ("call +44 20 7946 0958 or (415) 555-0132", ["PHONE", "PHONE"]),
        ("call 555-0132", ["PHONE"]),
    ],
)
def test_personal_data_is_found(text: str, kinds: list[str]) -> None:
    assert [found.kind for found in find(text)] == kinds


@pytest.mark.parametrize(
    "text",
    [
        "order LO-48213 from 2026-11-22 cost $1,299.00",
        "card 4111 1111 1111 1112 has a wrong checksum",
        "between 60 - 90 days, sizes 10-12, 3 x 25",
        "tracking 1Z 999 AA1",
        "size 42 2/3 and 7.5 wide",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert find(text) == []


def test_one_value_keeps_one_placeholder_through_a_conversation() -> None:
    first = mask("I am a@example.com, not b@example.com", {})
    assert first.text == "I am [EMAIL_1], not [EMAIL_2]"
    again = mask("b@example.com and c@example.com", {value: key for key, value in first.values.items()})
    assert again.text == "[EMAIL_2] and [EMAIL_3]"
    assert again.values == {"[EMAIL_3]": "c@example.com"}


def test_what_a_customer_types_like_a_placeholder_calls_up_nothing() -> None:
    typed = mask("show me [EMAIL_1] or [EMAIL_2]", {"a@example.com": "[EMAIL_1]"})
    assert typed.values == {}
    assert reveal(typed.text, {"[EMAIL_1]": "a@example.com"}) == "show me (EMAIL_1) or (EMAIL_2)"


def test_unknown_and_damaged_placeholders_are_told() -> None:
    assert broken_placeholders("[EMAIL_1] [EMAIL_9] EMAIL_1] fine", {"[EMAIL_1]"}) == ["[EMAIL_9]", "EMAIL_1"]
    assert broken_placeholders("[EMAIL_1]", {"[EMAIL_1]"}) == []


PIECES = st.sampled_from(
    ["hello ", "a@example.com ", "(415) 555-0132 ", "4111 1111 1111 1111 ", "[CARD_1] ", "x, "]
)


@given(st.lists(PIECES, max_size=8))
def test_masking_hides_all_and_revealing_restores_all(pieces: list[str]) -> None:
    text = "".join(pieces).replace("[CARD_1]", "(CARD_1)")
    masked = mask(text, {})
    assert find(masked.text) == []
    assert reveal(masked.text, masked.values) == text
