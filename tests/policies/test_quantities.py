from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.quantities import opposite_bounds, quantities, told, untold


def missing(claim: str, source: str) -> list[str]:
    return [each.text for each in untold(claim, told(source))]


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("Return it within two weeks.", "within 14 days"),
        ("It lasts two years.", "It runs for 24 months."),
        ("The link works for two days.", "a link that works for 48 hours"),
        ("It takes half an hour.", "about 30 minutes"),
        ("It takes 4.5 hours.", "four and a half hours"),
        ("Come at half past seven in the evening.", "from 7:30 pm"),
        ("Phone us from 7:30 in the morning.", "from 7:30 am"),
        ("We are open 9 am to 5 pm.", "from 9 to 5 pm"),
        ("You get half: 50%.", "half of the price"),
        ("It's due by the 15th.", "on the fifteenth"),
        ("It costs 25 cents.", "$0.25 a day"),
        ("You can renew it two times.", "Each loan can be renewed twice."),
        ("Open on Wednesday.", "Monday to Friday"),
        ("Closed at weekends.", "open Monday to Saturday"),
        ("You keep fabrics' cover for two years.", "frames ten years and fabrics for two"),
        ("Up to a sum of $1 million.", "at most $1,000,000"),
        ("You have one night.", "a free night"),
    ],
)
def test_a_figure_is_the_same_in_other_words(claim: str, source: str) -> None:
    assert missing(claim, source) == []


@pytest.mark.parametrize(
    ("claim", "source", "text"),
    [
        ("Return it within two weeks.", "within 30 days", "two weeks"),
        ("It takes 5 business days.", "It takes 5 days.", "5 business days"),
        ("It takes 14 weeks.", "It takes 14 days.", "14 weeks"),
        ("It is due by the 20th.", "It is due by the 15th.", "20"),
        ("Until 6 pm we are open.", "Until 6 am we are open.", "6 pm"),
        ("It opens on Sunday.", "open Monday to Saturday", "Sunday"),
        ("It ends in the week of March.", "It ends in the week of June.", "March"),
        ("It costs €8.", "It costs $8.", "€8"),
    ],
)
def test_another_figure_is_missed(claim: str, source: str, text: str) -> None:
    assert missing(claim, source) == [text]


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("It takes at least ten days.", "It takes up to 10 days."),
        ("It comes no sooner than 15 minutes later.", "It comes within 15 minutes."),
        ("Bring 4 photos or more.", "Bring at most four photos."),
    ],
)
def test_a_bound_can_be_turned_round(claim: str, source: str) -> None:
    assert opposite_bounds(claim, [source])
    assert not opposite_bounds(source, [source])


@given(st.text(alphabet="0129.,-%: $€½apmtohfiwedyks", max_size=40))
def test_no_text_is_too_strange_to_compare_with_itself(text: str) -> None:
    assert {key for each in quantities(text) for key in each.keys if not key.startswith("bare")} <= told(text)
