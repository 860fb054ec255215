"""Personal data becomes placeholders and comes back whole, for the right conversation only."""

from __future__ import annotations

import time
import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.personal_data import broken_placeholders, find, mask, reveal

CARDS = (
    "my card is 4111 1111 1111 1111 12/27",
    "4111 1111 1111 1111 123",
    "4111111111111111 12/27",
    "pay 2 4111 1111 1111 1111",
    "4111.1111.1111.1111",
    "4111  1111  1111  1111",
    "4111\u20131111\u20131111\u20131111",
    "4111\u200b111111111111",
    "41\u200b11 1111 1111 1111 12/27",
    "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    "amex 3782 822463 10005 12/27 1234",
    "LO-4111111111111111",
    "2223 0031 2200 3222",
)
PHONES = (
    "+44 7700 900123",
    "07700 900123",
    "07700 900123 2024",
    "+49 170 1234567",
    "+49 (0)30 1234567-0",
    "+1 (415) 555-2671",
    "0049 170 1234567",
    "01 23 45 67 89",
    "02 9374 4000",
    "(030) 1234567",
    "1-415-555-2671",
    "415 5552671",
    "415\u2011555\u20112671",
    "415.555.2671",
    "415 - 555 - 2671",
    "4155552671",
)
IBANS = (
    "gb29 nwbk 6016 1331 9268 19",
    "de89370400440532013000",
    "DE89-3704-0044-0532-0130-00",
    "AT61 1904 3002 3457 3201 then",
    "ref ab12 iban DE89 3704 0044 0532 0130 00",
)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("write to ann.lee+shop@mail.example.com please", ["EMAIL"]),
        ("my card 4111 1111 1111 1111 was charged", ["CARD"]),
        ("iban DE89 3704 0044 0532 0130 00", ["IBAN"]),
        ("ssn 219-09-9999", ["SSN"]),
        ("call +44 20 7946 0958 or (415) 555-0132", ["PHONE", "PHONE"]),
        ("call 555-0132", ["PHONE"]),
        *((text, ["CARD"]) for text in CARDS),
        *((text, ["PHONE"]) for text in PHONES),
        *((text, ["EMAIL"]) for text in ("o'brien@example.com", "a" * 70 + "@example.com", "ann＠example.com")),
        *((text, ["IBAN"]) for text in IBANS),
        ("ssn 123 45 6789", ["SSN"]),
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
        "2024 2025 2026",
        "prices 12.50 14.99 20.00",
        "prices 45.50 14.99 20.00 39.99 and 5.99",
        "size 38 40 42 44 46",
        "order 1234-5678-9012",
        "order 112-3456789-1234567",
        "IP 192.168.100.200",
        "$ 5000 1234 5678",
        "from 01.05.2024 03.05.2024, 01-05-2024 14:30, 2024-05-12 to 2024-05-14",
        "tracking 9400 1000 0000 0000 0000 00",
        "LO-4155552671",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert find(text) == []


@pytest.mark.parametrize("text", [text for text in CARDS if "12/27" in text])
def test_what_stands_beside_a_card_stays(text: str) -> None:
    masked = mask(text, {})
    assert "[CARD_1] 12/27" in masked.text
    assert sum(each.isdigit() for each in masked.values["[CARD_1]"]) in {15, 16}


def test_a_phone_number_beside_a_card_is_found_too() -> None:
    assert mask("(415) 555-0132 4111 1111 1111 1111", {}).text == "[PHONE_1] [CARD_1]"


@pytest.mark.parametrize(
    "piece",
    [
        "1",
        "1 ",
        "4 5 ",
        "4111 ",
        "4539 5787 6362 1486 ",
        "+49 1 ",
        "0170 ",
        "(12) ",
        "AB12 ",
        "a",
        " ",
        "a@",
        "a'",
    ],
)
def test_a_long_message_is_searched_at_once(piece: str) -> None:
    text = (piece * 4000)[:4000]
    assert min(timeit.repeat(lambda: find(text), number=1, repeat=3)) < 0.05


def test_many_values_are_numbered_at_once() -> None:
    known = {f"n{number}@example.com": f"[EMAIL_{number}]" for number in range(1, 5001)}
    text = " ".join(f"m{number}@example.com" for number in range(1000))
    began = time.perf_counter()
    masked = mask(text, known)
    assert list(masked.values)[-1] == "[EMAIL_6000]"
    assert time.perf_counter() - began < 0.3


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
