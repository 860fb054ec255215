"""What a model writes is read the same however it is cut into pieces, and each sentence as soon as it can be."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.cited_text import Cited, CitedText
from policies.personal_data import broken_placeholders

FRAGMENTS = (
    "Tents go back within 30 days",
    "boots too",
    "Write to [EMAIL_1]",
    "[NAME_12]",
    "We close at 5 p.m.",
    "the store, see",
    ". ",
    ".",
    "! ",
    "?",
    ", ",
    " ",
    "\n",
    "\n\n",
    "\n- ",
    "\n2. ",
    "**",
    "*",
    "`",
    "[p1]",
    "[p2] ",
    " [p1][p3]",
    "[p1, p2]",
    "[P9]",
    "[abstain]",
    "<think>",
    "</think>",
    "[",
    "]",
    "[p",
    "1]",
    "(",
    ")",
    "Ä",
    "$3.50",
)
REPLIES = st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join)


def read(pieces: Sequence[str], *, cut: bool = False) -> tuple[list[Cited], bool]:
    reader = CitedText()
    found = [each for piece in pieces for each in reader.feed(piece)]
    return [*found, *reader.end(cut=cut)], reader.abstained


def chunks(text: str, cuts: Sequence[int]) -> list[str]:
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[a:b] for a, b in pairwise(places)]


@given(REPLIES, st.lists(st.integers(min_value=0), max_size=12), st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_reply_is_read_the_same_however_it_is_cut_into_pieces(text: str, cuts: list[int], cut: bool) -> None:
    whole = read([text], cut=cut)
    assert read(chunks(text, cuts), cut=cut) == whole
    assert read(list(text), cut=cut) == whole


@given(REPLIES)
@settings(max_examples=150, deadline=None)
def test_no_mark_is_left_in_a_sentence_and_no_placeholder_is_damaged(text: str) -> None:
    found, _ = read(list(text))
    for each in found:
        assert "[p1]" not in each.text
        assert "[abstain]" not in each.text
        assert "**" not in each.text
        assert broken_placeholders(each.text, {"[EMAIL_1]", "[NAME_12]"}) == []


@given(REPLIES)
@settings(max_examples=60, deadline=None)
def test_a_reply_that_was_cut_gives_no_sentence_that_the_whole_one_would_not_give(text: str) -> None:
    found, _ = read([text], cut=True)
    whole, _ = read([text])
    assert found == whole[: len(found)]


@dataclass(frozen=True, kw_only=True)
class Case:
    id: str
    text: str
    found: tuple[Cited, ...] = ()
    abstained: bool = False


def said(text: str, *ids: str) -> Cited:
    return Cited(text=text, ids=ids)


CASES = (
    Case(id="plain", text="A goes. [p1] B stays. [p2]", found=(said("A goes.", "p1"), said("B stays.", "p2"))),
    Case(id="two marks", text="A goes. [p1][p3]", found=(said("A goes.", "p1", "p3"),)),
    Case(id="two in one", text="A goes. [p1, P3]", found=(said("A goes.", "p1", "p3"),)),
    Case(id="before the full stop", text="A goes [p1]. B.", found=(said("A goes.", "p1"), said("B."))),
    Case(id="in the middle", text="A goes [p1], not B [p2].", found=(said("A goes, not B.", "p1", "p2"),)),
    Case(
        id="no full stop", text="A goes [p1]\nB stays [p2]", found=(said("A goes.", "p1"), said("B stays.", "p2"))
    ),
    Case(id="a list", text="- A goes [p1]\n- B. [p2]", found=(said("A goes.", "p1"), said("B.", "p2"))),
    Case(id="numbered", text="1. A goes. [p1]\n\n2. B. [p2]", found=(said("A goes.", "p1"), said("B.", "p2"))),
    Case(id="bold", text="**A** goes *now*. [p1]", found=(said("A goes now.", "p1"),)),
    Case(id="all bold", text="**A goes. [p1]** B. [p2]", found=(said("A goes.", "p1"), said("B.", "p2"))),
    Case(id="full stop twice", text="A goes. [p1]. B. [p2]", found=(said("A goes.", "p1"), said("B.", "p2"))),
    Case(id="without a mark", text="Hello! A goes. [p1]", found=(said("Hello!"), said("A goes.", "p1"))),
    Case(id="no mark at all", text="A goes. B stays.", found=(said("A goes."), said("B stays."))),
    Case(id="unknown id", text="A goes. [p99]", found=(said("A goes.", "p99"),)),
    Case(id="marks alone", text="[p1] [p2]\n"),
    Case(id="a placeholder", text="Ask [NAME_1]. [p1]", found=(said("Ask [NAME_1].", "p1"),)),
    Case(
        id="begins with one",
        text="A. [p1] [NAME_1] may. [p2]",
        found=(said("A.", "p1"), said("[NAME_1] may.", "p2")),
    ),
    Case(id="mark before one", text="Ask [p1] [NAME_1] now. [p2]", found=(said("Ask [NAME_1] now.", "p1", "p2"),)),
    Case(id="another bracket", text="See [here] first. [p1]", found=(said("See [here] first.", "p1"),)),
    Case(id="abstains", text=" [Abstain] It is not there. [p1]", abstained=True),
    Case(id="excuses itself", text="I am sorry. [abstain]", abstained=True),
    Case(id="gives up later", text="A goes. [p1] [abstain]", found=(said("A goes.", "p1"),), abstained=True),
    Case(id="thinks first", text="<think>\nA? [p3]\n</think>\n\nA goes. [p1]", found=(said("A goes.", "p1"),)),
    Case(id="only thinks", text=" <think> A goes. [p1]"),
    Case(id="empty", text=" \n "),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_grammar(case: Case) -> None:
    assert read(list(case.text)) == (list(case.found), case.abstained)


def test_a_sentence_is_given_at_the_space_behind_its_marks() -> None:
    reader = CitedText()
    assert reader.feed("Tents go back. ") == []
    assert reader.feed("[p1]") == []
    assert reader.feed("[p2] ") == [Cited(text="Tents go back.", ids=("p1", "p2"))]


@pytest.mark.parametrize("following", [" ", "\n", "Boots", ". ", "[NAME_1]"])
def test_a_sentence_is_given_with_the_first_token_behind_its_marks(following: str) -> None:
    reader = CitedText()
    assert reader.feed("Tents go back [p1]" if following == ". " else "Tents go back. [p1]") == []
    assert reader.feed(following) == [Cited(text="Tents go back.", ids=("p1",))]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("A goes. [p1] B stays unless", ["A goes."]),
        ("A goes. [p1] B stays. [p", ["A goes."]),
        ("A goes. [p1] B stays. [p2]", ["A goes.", "B stays."]),
        ("A goes. [p1] B stays [p2]", ["A goes."]),
        ("A goes, unless", []),
    ],
)
def test_of_a_reply_that_was_cut_the_unfinished_sentence_is_dropped(text: str, kept: list[str]) -> None:
    found, _ = read([text], cut=True)
    assert [each.text for each in found] == kept


def test_a_mark_that_never_ends_is_read_in_linear_time() -> None:
    text = CitedText()
    text.feed("It is so. [p1")
    began = time.process_time()
    for _ in range(2_000):
        text.feed(" ")
    # Tried again at every blank, it takes half a minute.
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("All is free.Tents go back. [p1]", (said("All is free."), said("Tents go back.", "p1"))),
        ("All is free!Tents go back. [p1]", (said("All is free!"), said("Tents go back.", "p1"))),
        ("All is free!tents go back. [p1]", (said("All is free!"), said("tents go back.", "p1"))),
        ("It takes 5 days.Tents go back. [p1]", (said("It takes 5 days."), said("Tents go back.", "p1"))),
        ("Call us now\nTents go back. [p1]", (said("Call us now."), said("Tents go back.", "p1"))),
        ("Call us now\r\nTents go back. [p1]", (said("Call us now."), said("Tents go back.", "p1"))),
        ("Call us now.\u2028tents go back. [p1]", (said("Call us now."), said("tents go back.", "p1"))),
        ("Call us now\u2028Tents go back. [p1]", (said("Call us now."), said("Tents go back.", "p1"))),
    ],
)
def test_what_is_glued_to_a_sentence_needs_a_mark_of_its_own(text: str, found: tuple[Cited, ...]) -> None:
    assert read([text]) == (list(found), False)


@pytest.mark.parametrize(
    "text",
    [
        "Take e.g.Tents to the U.S.A or U.S.Virgin Islands at 5 p.m.Monday.",
        "See https://larkspur.shop/Info.Page?a=B&c!d or write to Help.Desk@Larkspur.shop.",
        "It costs CA$14.95 or 1.5 times that.",
        "A long sentence is\nmerely wrapped.",
    ],
)
def test_addresses_short_forms_numbers_and_wrapped_lines_are_whole(text: str) -> None:
    assert read([f"{text} [p1]"]) == ([said(text.replace("\n", " "), "p1")], False)


def test_a_name_in_code_is_whole() -> None:
    assert read(["Set `settings.Draft` first. [p1]"]) == ([said("Set settings.Draft first.", "p1")], False)
