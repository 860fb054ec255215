from __future__ import annotations

import time

import pytest

from policies.glossary import Glossary

GLOSSARY = Glossary.of(
    {
        "return": ["send * back", "go back"],
        "Trail Club": ["membership"],
        "parcel": ["box"],
        "C++": ["see plus plus"],
    }
)


@pytest.mark.parametrize(
    ("question", "expanded"),
    [
        ("where is my box?", "where is my box? parcel"),
        ("where are my BOXES?", "where are my BOXES? parcel"),
        ("can I send back a tent", "can I send back a tent return"),
        ("can I send it back", "can I send it back return"),
        ("sending all of it back", "sending all of it back return"),
        ("can I send the wet tent back", "can I send the wet tent back return"),
        ("can I send one of my many old tents back", "can I send one of my many old tents back"),
        ("does membership pay, can this go back", "does membership pay, can this go back return Trail Club"),
        ("nothing of the kind", "nothing of the kind"),
    ],
)
def test_the_documents_words_are_added_to_the_customers(question: str, expanded: str) -> None:
    assert GLOSSARY.expand(question) == expanded


def test_a_word_that_is_there_already_is_not_added() -> None:
    assert GLOSSARY.expand("my parcel is a box") == "my parcel is a box"


@pytest.mark.parametrize("denial", ["no", "without", "not a", "without a"])
def test_what_the_customer_denies_is_not_added(denial: str) -> None:
    assert GLOSSARY.expand(f"I shop {denial} membership") == f"I shop {denial} membership"


def test_no_question_takes_long() -> None:
    started = time.thread_time()
    for text in ("send" + " " * 100_000 + "x", "send " * 20_000, "(" * 100_000, "a" * 100_000):
        assert GLOSSARY.expand(text) == text
    assert time.thread_time() - started < 5


def test_an_empty_glossary_adds_nothing() -> None:
    assert Glossary().expand("where is my box?") == "where is my box?"
