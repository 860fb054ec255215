"""Phrases are found however a text inflects them, and never where it denies them."""

from __future__ import annotations

import time

import pytest

from policies.phrases import compile_phrase, read

SETS = {"we": ("i", "we", "our team")}


def found(said: str, text: str) -> list[str]:
    reading = read(text)
    places = [reading.place(*span) for span in compile_phrase(said, SETS).find(reading)]
    return [text[start:end] for start, end in places]


def test_a_word_stands_for_its_endings_and_a_contraction_for_its_words() -> None:
    assert found("we will refund", "We'll refund it, and we're going to refund more.") == [
        "We'll refund",
        "we're going to refund",
    ]
    assert found("we will * refund", "We will be refunding you.") == ["We will be refunding"]
    assert found("carry", "She carries, carried and is carrying it.") == ["carries", "carried", "carrying"]


def test_a_short_word_stands_for_itself_alone() -> None:
    assert found("us", "We used the bus.") == []


def test_a_gap_is_up_to_three_words() -> None:
    assert found("give * back", "We give it back.") == ["give it back"]
    assert found("give * back", "We give you your money back.") == ["give you your money back"]
    assert found("give * back", "We give you all of it back.") == []


def test_brackets_hold_choices_which_may_be_phrases_or_sets() -> None:
    said = "({we}|a (kind|nice) colleague) will (gladly)? (pay|give * back)"
    assert found(said, "Our team will gladly pay.") == ["Our team will gladly pay"]
    assert found(said, "A nice colleague will give it back.") == ["A nice colleague will give it back"]


def test_numbers_amounts_and_shares_have_names() -> None:
    assert found("{percent} off", "That is 20% off, or 5 percent off.") == ["20% off", "5 percent off"]
    assert found("{amount}", "It costs $1,200.50 or 30 dollars.") == ["$1,200.50", "30 dollars"]


def test_a_phrase_stays_inside_its_sentence() -> None:
    assert found("we * refund", "That is what we do. Refund it.") == []
    assert found("^ whatever $", "Whatever. Whatever you like.") == ["Whatever"]


def test_a_sentence_can_be_asked_for_a_second_phrase() -> None:
    assert found("we will & refund", "Tomorrow we will do it, and the refund comes.") == ["we will"]
    assert found("we will & refund", "Tomorrow we will do it. The refund comes.") == []


@pytest.mark.parametrize(
    "text", ["We can't promise a refund.", "We never promise a refund.", "I am unable to promise a refund."]
)
def test_what_is_denied_is_not_said(text: str) -> None:
    assert found("promise * refund", text) == []


def test_a_negation_that_denies_nothing_changes_nothing() -> None:
    assert found("we will refund", "No problem, we will refund it.") == ["we will refund"]
    assert found("will not be late", "It won't be late.") == ["won't be late"]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("* *", "a place without a word that must be there"),
        ("(we|i will", "a bracket that is not closed"),
        ("{they} will", "names a set {they} that is not there"),
        ("we * * * * * pay", "more than 4 gaps"),
        ("we ]] pay", "where a word belongs"),
        ("we ? pay", "can't be read"),
    ],
)
def test_a_phrase_that_is_none_is_told(said: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("{", r"\{").replace("}", r"\}")):
        compile_phrase(said, SETS)


def test_no_text_takes_long() -> None:
    phrase = compile_phrase("{we} * * * * refund", SETS)
    started = time.thread_time()
    for text in (
        "we " * 4000,
        "refund " * 4000,
        "we a b c , " * 2000 + "refund",
        "we'" * 5000,
        "we will pay the order " * 4000,
    ):
        list(phrase.find(read(text)))
    assert time.thread_time() - started < 8
