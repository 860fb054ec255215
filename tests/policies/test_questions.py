from __future__ import annotations

import time

import pytest

from policies.questions import Asked, asks, gives, is_asked, parts


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("how much is it", {"money"}),
        ("how long does a refund take", {"span"}),
        ("can I return fuel", {"permission"}),
        ("are you open or not", {"when", "permission"}),
        ("do you take the money now or later?", set()),
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


def test_two_questions_in_one_sentence_are_parts() -> None:
    assert parts("is there a fee for fuel, and how much may I order?") == (
        "is there a fee for fuel",
        "how much may I order?",
    )
    assert parts("how do I stop the texts and will I get the others?") == (
        "how do I stop the texts",
        "will I get the others?",
    )
    assert parts("do you repair tents and packs?") == ()


def test_a_part_that_tells_something_is_no_question() -> None:
    assert [
        is_asked(part) for part in ("I moved house.", "and what does it cost", "what's the fee", "a fee?")
    ] == [
        False,
        True,
        True,
        True,
    ]


def test_blanks_part_nothing_and_no_question_takes_long() -> None:
    assert parts("How do I return\n\n boots?  And   can I get a refund?") == (
        "How do I return",
        "And can I get a refund?",
    )
    started = time.thread_time()
    for text in ("how do I reset it" + " " * 100_000 + "x", "(" * 100_000, "\n" * 100_000, ", " * 50_000):
        assert parts(text) == ()
    assert time.thread_time() - started < 5


@pytest.mark.parametrize(
    "message",
    [
        "Hi, I am [NAME_1], [ADDRESS_1]. How much is shipping to Canada?",
        "Hello there! My name is [NAME_1] and my email is [EMAIL_1].\nHow much is shipping to Canada?",
        "Good morning. How much is shipping to Canada? Thank you, [NAME_1]",
    ],
)
def test_what_writers_say_of_themselves_is_no_part_of_a_message(message: str) -> None:
    assert parts(message) == ()


def test_a_second_question_after_a_greeting_is_a_part() -> None:
    assert len(parts("Hi, I am [NAME_1]. How much is shipping to Canada? Can I return opened boots?")) == 2
