"""What a tool has found, as a passage."""

from __future__ import annotations

from typing import Any

import pytest

from tools.results import MOST_CHARACTERS, passage_of, quotable, says, title_of


@pytest.mark.parametrize(
    ("result", "sentences"),
    [
        (
            {"say": ["It was sent on 3 May. It is late."], "_note": "secret"},
            ["It was sent on 3 May.", "It is late."],
        ),
        ({"say": "It was\n sent."}, ["It was sent."]),
        ("It was sent.", ["It was sent."]),
        (["One.", "Two."], ["One.", "Two."]),
    ],
)
def test_what_a_tool_says_is_quotable(result: Any, sentences: list[str]) -> None:
    passage = passage_of("order_status", "run_1:act:order_status", "run_1", result)
    assert passage is not None
    assert [passage.text[a:b] for a, b in passage.sentences] == sentences
    assert (passage.document, passage.title, passage.document_version) == (
        "tool:order_status",
        "Order status",
        "run_1",
    )
    assert says([passage]) == quotable([passage]) == (passage,)


def test_facts_are_sentences_that_nobody_quotes() -> None:
    found = {
        "status": "sent",
        "shipped_on": "3 May",
        "parcel": {"weight": 2.5},
        "paid": True,
        "_staff": "x",
        "n": None,
    }
    passage = passage_of("look", "key", "run_1", found)
    assert passage is not None
    assert passage.text.split("\n") == ["Status: sent.", "Shipped on: 3 May.", "Parcel weight: 2.5.", "Paid: yes."]
    assert (says([passage]), quotable([passage])) == ((), ())


@pytest.mark.parametrize("result", [None, {}, [], "", " \n", {"say": []}, {"say": [3, None]}, {"_note": "x"}])
def test_what_says_nothing_is_no_passage(result: Any) -> None:
    assert passage_of("look", "key", "run_1", result) is None


def test_a_long_result_is_cut() -> None:
    passage = passage_of("look", "key", "run_1", {"say": ["A long sentence. " * 5000]})
    assert passage is not None
    assert len(passage.text) == MOST_CHARACTERS
    assert passage.sentences[-1][1] <= MOST_CHARACTERS


def test_an_action_has_a_title() -> None:
    assert title_of("order_status") == "Order status"
