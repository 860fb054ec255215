"""Values that are whole, and those that are a part of something longer."""

from __future__ import annotations

import re

import pytest

from agents.whole_values import stands_whole, written
from tools.actions import Parameter

MONEY = Parameter(name="amount", about="", schema={}, pattern=re.compile(r"\$\s?(\d+(?:\.\d\d)?)"))
ORDER = Parameter(name="order", about="", schema={}, pattern=re.compile(r"LO-\d+", re.IGNORECASE))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$40", "40"),
        ("Refund $84.50, please.", "84.50"),
        ("order 10288 $40 (LO-7)", "40"),
        ("LO-7 - $40", "40"),
        ("**$40**", "40"),
        ("$40 or $40", "40"),
        ("\uff04\uff14\uff10", "40"),
        ("$ 90\u200b0", "900"),
    ],
)
def test_a_whole_figure_is_taken_as_it_reads(text: str, value: str) -> None:
    assert written(MONEY, text).only == value


LONGER = """-$5|\u2212 $5|$1e9|$1 000|$1\u00a0000|$1,000|$1.249,00|$100.00000001|$100.999|$90\u00a0hundred
$90 thousand|$100k|A$90|$240,50|$40-50|$40 - $50|$40%|$40 x 2|$4**0**0|$5\u00b2|$1'000|$250 and $99.99"""


@pytest.mark.parametrize("text", LONGER.replace("\n", "|").split("|"))
def test_a_part_of_something_longer_and_one_of_two_are_unclear(text: str) -> None:
    found = written(MONEY, text)
    assert (found.any, found.only) == (True, None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("is lo-7.", "lo-7"),
        ("LO-7,40 of them", None),
        ("LO-7a", None),
        ("FLO-7", None),
        ("L\u041e-7", "LO-7"),
        ("LO-1\u200b5", "LO-15"),
    ],
)
def test_a_number_of_something_is_whole_too(text: str, value: str | None) -> None:
    assert written(ORDER, text).only == value


@pytest.mark.parametrize(
    ("words", "text", "whole"),
    [
        ("99.99", "I want 99.99 back", True),
        ("1.24", "I want $1.249,00 back", False),
        ("50", "I want 150 or 50.5 or 5e50 or -50", False),
        ("50", "I want 150, no: 50", True),
        ("LATE", "it was late", True),
        ("", "it was late", False),
    ],
)
def test_words_that_a_model_gives_stand_whole_or_not_at_all(words: str, text: str, whole: bool) -> None:
    assert stands_whole(words, text) is whole
