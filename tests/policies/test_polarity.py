from __future__ import annotations

import pytest

from policies.polarity import drops_condition, negated, overstates


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


def test_a_condition_that_is_left_out_is_noticed() -> None:
    assert drops_condition("Fuel can be returned.", "Fuel can be returned only in a store.")
    assert drops_condition("Tents can be returned.", "Tents can be returned unless they are wet.")
    assert not drops_condition("If unused, tents can be returned.", "Tents can be returned when they are unused.")
