"""Personal data becomes placeholders and comes back whole, for the right conversation only."""

from __future__ import annotations

import time
import timeit
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.personal_data import (
    KIND_OF,
    KINDS,
    PLACEHOLDER,
    Found,
    broken_placeholders,
    find,
    mask,
    merged,
    reveal,
)

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
        "born ",
    ],
)
def test_a_long_message_is_searched_at_once_and_a_longer_one_in_proportion(piece: str) -> None:
    short, long = ((piece * length)[:length] for length in (4_000, 32_000))
    took = [
        min(timeit.repeat(partial(mask, text, {}), timer=time.thread_time, number=1, repeat=3))
        for text in (short, long)
    ]
    assert took[0] < 0.3
    assert took[1] < 24 * took[0] + 0.02


def test_many_values_are_numbered_at_once() -> None:
    known = {f"n{number}@example.com": f"[EMAIL_{number}]" for number in range(1, 5001)}
    text = " ".join(f"m{number}@example.com" for number in range(1000))
    began = time.thread_time()
    masked = mask(text, known)
    assert list(masked.values)[-1] == "[EMAIL_6000]"
    assert time.thread_time() - began < 3


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


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("I was born on 12 March 1980 in Leeds", "12 March 1980"),
        ("DOB: 03/12/1981", "03/12/1981"),
        ("date of birth 1981-12-03", "1981-12-03"),
        ("Geburtsdatum: 3.12.1981", "3.12.1981"),
        ("her birthday is March 4th, 1990", "March 4th, 1990"),
        ("the order of 12 March 2024 was born under a bad star", None),
        ("my birthday is soon", None),
    ],
)
def test_a_date_is_personal_where_somebody_is_born(text: str, date: str | None) -> None:
    assert [text[each.start : each.end] for each in find(text) if each.kind == "BIRTHDATE"] == (
        [date] if date else []
    )


def at(text: str, value: str, kind: str) -> Found:
    """Return a find of a value that stands in a text."""
    start = text.index(value)
    return Found(kind=kind, start=start, end=start + len(value))


def test_what_a_finder_found_is_masked_beside_what_patterns_tell() -> None:
    text = "Ann Lee, 5 Elm St, ann@example.com, in Paris"
    found = [at(text, "Ann Lee", "NAME"), at(text, "5 Elm St", "ADDRESS"), at(text, "Paris", "LOCATION")]
    masked = mask(text, {}, found)
    assert masked.text == "[NAME_1], [ADDRESS_1], [EMAIL_1], in Paris"
    assert masked.values == {"[NAME_1]": "Ann Lee", "[ADDRESS_1]": "5 Elm St", "[EMAIL_1]": "ann@example.com"}


def test_the_rest_of_a_name_is_masked_where_a_pattern_takes_a_part() -> None:
    text = "from Ann Lee <ann@example.com> now"
    masked = mask(text, {}, [at(text, "Ann Lee <ann@example.com>", "NAME")])
    assert masked.text == "from [NAME_1] <[EMAIL_1]> now"
    assert masked.values["[NAME_1]"] == "Ann Lee"


def test_a_name_keeps_one_placeholder_whatever_its_case_width_and_marks() -> None:
    known = {"Maria Lopez": "[NAME_1]", "Pedro Ruiz": "[NAME_2]"}
    for written in ("Maria Lopez", "MARIA LOPEZ", "maria, lopez", "Ｍaria Lopez"):
        text = f"it was {written}."
        masked = mask(text, known, [at(text, written, "NAME")])
        assert (masked.text, masked.values) == ("it was [NAME_1].", {})


@pytest.mark.parametrize(
    "written", ["John", "Smith", "J. Smith", "Mr Smith", "Mrs Smith", "Agent Smith", "Smith John", "John Smith's"]
)
def test_any_other_way_of_writing_a_name_may_be_somebody_else_and_comes_back_as_written(written: str) -> None:
    text = f"My son is called {written}."
    masked = mask(text, {"John Smith": "[NAME_1]"}, [at(text, written, "NAME")])
    assert masked.values == {"[NAME_2]": written}
    assert reveal(masked.text, {"[NAME_1]": "John Smith"} | masked.values) == text


def test_an_address_in_the_words_of_a_name_is_not_that_name() -> None:
    masked = mask("ann lee", {"Ann Lee": "[NAME_1]"}, [at("ann lee", "ann lee", "ADDRESS")])
    assert (masked.text, masked.values) == ("[ADDRESS_1]", {"[ADDRESS_1]": "ann lee"})


def test_of_two_finds_that_overlap_the_first_that_is_given_goes_before() -> None:
    text = "Ann A1B2 C3D4 ok"
    found = [at(text, "A1B2 C3D4", "ID"), at(text, "C3D4 ok", "IP"), at(text, "Ann A1B2", "NAME")]
    assert mask(text, {}, found).text == "[NAME_1] [ID_1] ok"
    assert merged(text, found) == [at(text, "Ann", "NAME"), found[0]]


def test_placeholders_to_keep_stay_and_all_others_lose_their_brackets() -> None:
    text = "[NAME_1] and [NAME_2] at a@example.com"
    masked = mask(text, {}, [Found(kind="NAME", start=0, end=8)], keep={"[NAME_1]"})
    assert (masked.text, masked.values) == ("[NAME_1] and (NAME_2) at [EMAIL_1]", {"[EMAIL_1]": "a@example.com"})


def test_every_masked_type_has_a_kind_and_every_kind_a_placeholder() -> None:
    assert set(KIND_OF.values()) == set(KINDS)
    assert all(PLACEHOLDER.fullmatch(f"[{kind}_12]") for kind in KINDS)
    assert not PLACEHOLDER.search("[NAME_0] [PLACE_1] [NAME_x]")


NAMES = st.sampled_from(["Ann", "Bob Stone", "Ada Love", "Zoë"])
OTHERS = st.sampled_from(["12 Elm Rd", "A1B2C3D4", "10.0.0.7", "0xabc"])


@given(
    st.lists(
        st.one_of(st.tuples(st.just("NAME"), NAMES), st.tuples(st.sampled_from(["ADDRESS", "ID", "IP"]), OTHERS))
    )
)
def test_found_values_come_back_whole_and_no_placeholder_stands_for_two(said: list[tuple[str, str]]) -> None:
    text, found = "", []
    for kind, value in said:
        text += "so "
        found.append(Found(kind=kind, start=len(text), end=len(text) + len(value)))
        text += f"{value}, "
    masked = mask(text, {}, found)
    assert reveal(masked.text, masked.values) == text
    assert len(set(masked.values.values())) <= len(masked.values)
    assert not any(value in masked.text for _, value in said)
    again = mask(text, {value: key for key, value in masked.values.items()}, found)
    assert (again.text, again.values) == (masked.text, {})


WRITTEN = st.sampled_from(["Maria", "Lopez", "Ms Lopez", "M. Lopez", "Maria Lopez", "Maria Chen", "C."])


@given(st.lists(WRITTEN, max_size=8))
def test_every_way_of_writing_a_name_comes_back_as_it_was_written(said: list[str]) -> None:
    known: dict[str, str] = {}
    for written in said:
        masked = mask(written, known, [Found(kind="NAME", start=0, end=len(written))])
        known |= {value: key for key, value in masked.values.items()}
        assert reveal(masked.text, {key: value for value, key in known.items()}) == written


@given(st.text(alphabet="[]()NAMEIL_123 @a.", max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_no_text_calls_up_a_stored_value(text: str, one: int, other: int) -> None:
    found = [Found(kind="NAME", start=min(one, other), end=max(one, other))]
    masked = mask(text, {"Secret Sue": "[NAME_1]", "s@example.com": "[EMAIL_1]"}, found)
    shown = reveal(masked.text, {"[NAME_1]": "Secret Sue", "[EMAIL_1]": "s@example.com"} | masked.values)
    assert "Secret Sue" not in shown
    assert "s@example.com" not in shown
