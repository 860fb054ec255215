from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import facts, missing, missing_names, names, stated


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        pytest.param("It costs $1,000.00 or 1000 dollars.", ["$1000", "$1000"], id="one amount written twice"),
        pytest.param("CA$14.95 is not $14.95", ["ca$14.95", "$14.95"], id="currencies differ"),
        pytest.param("thirty days, a 30-day window", ["30 day", "30 day"], id="words and hyphens"),
        pytest.param("7 to 10 business days", ["7-10 business day"], id="range of business days"),
        pytest.param("15% or 15 per cent", ["15%", "15%"], id="percentages"),
        pytest.param("9 am to 8:30 p.m.", ["9:00", "20:30"], id="times of day"),
        pytest.param(
            "Dec. 25, 2026 or 2026-12-25", ["12/25", "2026", "12/25", "2026"], id="dates with their year"
        ),
        pytest.param("you may 2", ["5/2"], id="the month of May cannot be told from the verb"),
        pytest.param("1.5 inches, 40 °C", ["1.5 inch", "40 °c"], id="measures"),
        pytest.param("Closed on Sundays at noon", ["sunday", "12:00"], id="weekday and noon"),
        pytest.param(
            "AU$50, A$50, NZ$20, CA€5", ["au$50", "au$50", "nz$20", "ca€5"], id="currencies of other countries"
        ),
        pytest.param(
            "\u017fix days, five dollar\u017f, 2 \u212am, s\u0131x, 3 Augu\u017ft",
            ["6 day", "$5", "2 km", "6", "8/3"],
            id="letters that only look plain without case",
        ),
        pytest.param("version two", ["2"], id="a bare number"),
    ],
)
def test_figures_are_read_alike_however_they_are_written(text: str, keys: list[str]) -> None:
    assert [fact.key for fact in facts(text)] == keys


def test_a_figure_keeps_the_letters_it_was_written_with() -> None:
    assert [fact.text for fact in facts("İt took \u017fix days")] == ["\u017fix days"]


@given(st.text(alphabet="0129.,-%: $€£¢ACNUZacdehikmnorstuxyſKıİ٣", max_size=30))
def test_no_text_is_too_strange_to_read(text: str) -> None:
    assert all(fact.text in text for fact in facts(text))


@pytest.mark.parametrize("text", ["Once your parcel ships, wait.", "one of them", "the one that fits", "no one"])
def test_a_word_that_counts_nothing_is_no_figure(text: str) -> None:
    assert facts(text) == ()


def test_one_and_once_may_count() -> None:
    assert [fact.key for fact in facts("one item per order, once a day")] == ["1 item", "1"]


def test_a_month_with_its_year_is_known_with_the_day() -> None:
    assert missing("since August 2025", "It began on August 12, 2025.") == ()
    assert [fact.text for fact in missing("since March 2025", "It began on August 12, 2025.")] == ["March 2025"]


def test_what_is_stated_can_be_read_once_and_joined() -> None:
    together = stated("It costs $5 in Norway.") | stated("It takes 3 days by U.S. mail.")
    assert missing("$5 and 3 days", together) == ()
    assert missing_names("We use the United States, Norway and Peru.", together) == ("Peru",)


def test_business_days_are_not_days() -> None:
    assert [fact.text for fact in missing("It takes 30 days.", "It takes 30 business days.")] == ["30 days"]


def test_a_bare_number_may_have_a_unit_in_the_source() -> None:
    assert missing("It can be used 2 times.", "two uses, 2 days apart") == ()


def test_names_are_capitalised_words_inside_a_sentence() -> None:
    assert names("The Bend store opens on Monday. Trail Club members may come.") == ("Bend", "Trail", "Club")


def test_a_name_that_the_source_lacks_is_found() -> None:
    assert missing_names("We ship to Canada and Norway.", "Norway's parcels go by sea.") == ("Canada",)


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("It is a Libyan port.", "The port is in Libya."),
        ("They are African-Americans.", "Some say African Americans."),
        ("It is in the United States.", "It is a US port."),
        ("It has the code FR2.", "The code is FR2."),
    ],
)
def test_a_name_is_known_in_its_other_forms(claim: str, source: str) -> None:
    assert missing_names(claim, source) == ()


def test_names_that_only_look_alike_differ() -> None:
    assert missing_names("It is made in Austria.", "It is made in Australia.") == ("Austria",)


def test_many_words_for_one_do_not_take_long() -> None:
    started = time.thread_time()
    assert len(facts("one " * 10_000)) == 9_999
    assert time.thread_time() - started < 5
