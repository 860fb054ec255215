from __future__ import annotations

import pytest

from policies.polarity import (
    Change,
    changes,
    denied,
    denies_otherwise,
    drops_condition,
    negated,
    opposes,
    overstates,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fuel cannot be returned.", True),
        ("Fuel can be returned.", False),
        ("Sale items are not excluded.", False),
        ("It isn't available.", True),
        ("Report it no later than Friday.", False),
        ("Not only tents but packs can be returned.", False),
    ],
)
def test_an_odd_number_of_negations_denies(text: str, expected: bool) -> None:
    assert negated(text) is expected


def test_a_promise_overstates_what_may_happen() -> None:
    assert overstates("We will refund the fee.", "We may refund the fee.")
    assert overstates("You must pay a fee.", "A fee can be charged.")


def test_the_same_strength_is_no_overstatement() -> None:
    assert not overstates("A fee may apply.", "A fee may apply.")
    assert not overstates("We will refund the fee.", "We refund the fee.")


@pytest.mark.parametrize(
    ("claim", "source", "expected"),
    [
        pytest.param("A fee is charged.", "A fee may be charged.", True, id="plain where it was possible"),
        pytest.param(
            "Refunds always take 5 days.", "Refunds usually take 5 days.", True, id="always, not usually"
        ),
        pytest.param("You can keep the tag.", "You must keep the tag.", True, id="a duty made a choice"),
        pytest.param(
            "Return it within 9 days.", "You can return it within 9 days.", False, id="plain where you can"
        ),
    ],
)
def test_more_and_less_than_the_source_says(claim: str, source: str, expected: bool) -> None:
    assert overstates(claim, source) is expected


def test_what_is_denied_is_what_follows_the_denial_or_goes_before_it() -> None:
    assert denied("We do not ship fuel to Canada.") == {"ship", "fuel"}
    assert denied("Tents can be returned and fuel cannot.") == {"fuel"}
    assert denied("Fuel and stoves are excluded.") == {"stov"}
    assert denied("No, fuel can be returned.") == frozenset()


@pytest.mark.parametrize(
    ("claim", "source", "expected"),
    [
        ("Fuel can be returned.", "Fuel cannot be returned.", True),
        ("No refunds are given.", "Refunds are given.", True),
        ("Sale items are excluded from the offer.", "Sale items are part of the offer.", True),
        ("Return it with a receipt.", "Return it without a receipt.", True),
        ("Gift cards never expire.", "Gift cards do not expire.", False),
        ("You have 30 days.", "Returns are accepted within 30 days, not counting holidays.", False),
        ("No, we don't ship fuel.", "We do not ship fuel.", False),
    ],
)
def test_only_a_denial_of_the_same_thing_is_a_contradiction(claim: str, source: str, expected: bool) -> None:
    assert denies_otherwise(claim, source) is expected


def test_a_denial_that_another_sentence_makes_is_none() -> None:
    claim, source = (
        "Fuel can't be sent, tents can.",
        "Tents of every size and fuel can be sent by sea and by train.",
    )
    assert denies_otherwise(claim, source)
    assert not denies_otherwise(claim, source, ["Fuel can not be sent by air."])


@pytest.mark.parametrize(
    ("claim", "source", "expected"),
    [
        ("Pay before you ride.", "Pay after you ride.", True),
        ("Passwords have at most 12 letters.", "Passwords have at least 12 letters.", True),
        ("Delivery is charged.", "Delivery is free.", True),
        ("Pay before you ride and after lunch.", "Pay before you ride.", False),
        ("Stores open at nine.", "The moon is closed to cows.", False),
    ],
)
def test_an_opposite_counts_where_the_rest_is_alike(claim: str, source: str, expected: bool) -> None:
    assert opposes(claim, source) is expected


def test_changes_are_told_only_of_what_follows_its_source() -> None:
    assert changes("tents can go by sea", "Tents must go by sea.") == (Change("can", "must"),)
    assert changes("cows can fly", "Tents must go by sea.") == ()


def test_a_condition_that_is_left_out_is_noticed() -> None:
    assert drops_condition("Fuel can be returned.", "Fuel can be returned only in a store.")
    assert drops_condition("Tents can be returned.", "Tents can be returned unless they are wet.")
    assert drops_condition(
        "Tents and packs can be returned in May.", "Tents and packs can be returned in May only."
    )
    assert not drops_condition("He was a broker.", "In May he was a broker, who taught that only money counts.")
    assert not drops_condition("It was long.", "It was not only long but loud.")
    assert not drops_condition("If unused, tents can be returned.", "Tents can be returned when they are unused.")
