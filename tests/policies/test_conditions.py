from __future__ import annotations

import pytest

from policies.conditions import amount_fit, date_fit, denial_fit, month_fit

WINTER = "Repairs take 10 days from October 1 through April 30."
SUMMER = "Repairs take 20 days from May 1 through September 30."


@pytest.mark.parametrize(
    ("question", "text", "fit"),
    [
        ("how long do repairs take in january", WINTER, 1),
        ("how long do repairs take in january", SUMMER, -1),
        ("how long do repairs take in july", SUMMER, 1),
        ("how long do repairs take", WINTER, 0),
        ("how long do repairs take in january", "A resole takes 6 weeks.", 0),
        ("how long may repairs take", SUMMER, 0),
        ("are you open in february", "In the winter season we close at six.", 1),
        ("are you open in february", "In summer we close at nine.", -1),
        ("do you rent skis in winter", "Skis are rented from November 15 through April 15.", 1),
        ("what if I fall", "In winter we close at six.", 0),
    ],
)
def test_the_months_of_a_sentence_fit_those_of_the_question(question: str, text: str, fit: float) -> None:
    assert month_fit(question, text) == fit


@pytest.mark.parametrize(
    ("question", "fit"),
    [
        ("how long can I send back a watch", -1),
        ("bought on November 20, how long can I send it back", 0),
        ("how long can I send back a christmas present", 0),
        ("what is the last day to send it back", 0),
    ],
)
def test_a_sentence_for_certain_days_is_not_for_every_day(question: str, fit: float) -> None:
    assert date_fit(question, "Watches bought after November 1 can be returned until January 15.") == fit
    assert date_fit(question, "Watches can be returned within 30 days.") == 0


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("Orders of $5,000 to $14,999 get 15% off.", 1),
        ("Orders of $1,000 to $4,999 get 10% off.", -1),
        ("Orders of $1,000 to $4,999 get 10% off, orders of $5,000 or more 15%.", 1),
        ("Orders of at least $2,500 ship free.", 1),
        ("Orders of less than $50 stay as they are.", -1),
        ("Embroidery costs $9.", 0),
    ],
)
def test_the_amounts_of_a_sentence_fit_those_of_the_question(text: str, fit: float) -> None:
    assert amount_fit("what do I get for 6000 dollars?", text) == fit
    assert amount_fit("what do I get?", text) == 0


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("Members can return a tent within 90 days.", -1),
        ("A tent delivered to a non-member can be returned in February.", 1),
        ("Members have 90 days and everyone else has 60.", 1),
        ("Most tents can be returned within 60 days.", 0),
    ],
)
def test_a_sentence_about_what_the_customer_denies_does_not_fit(text: str, fit: float) -> None:
    assert denial_fit("I'm not a member, when must a tent go back?", text) == fit
