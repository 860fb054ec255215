from __future__ import annotations

import pytest

from policies.questions import Asked, asks, gives, parts


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("how much is it", {"money"}),
        ("how long does a refund take", {"span"}),
        ("can I return fuel", {"permission"}),
        ("hello there", set()),
    ],
)
def test_what_a_question_asks_for(question: str, expected: set[Asked]) -> None:
    assert asks(question) == expected


def test_what_a_sentence_gives() -> None:
    assert gives("Shipping costs $5 and takes 3 days.") == {"money", "span", "when", "number"}
    assert gives("Fuel cannot be returned.") == {"permission"}


def test_a_message_of_several_sentences_has_parts() -> None:
    assert parts("My tent is torn. Do you repair it? thanks") == ("My tent is torn.", "Do you repair it?")
    assert parts("Do you repair tents?") == ()
