from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.clauses import clauses


def denials(text: str) -> list[bool]:
    return [each.denies for each in clauses(text)]


@pytest.mark.parametrize(
    ("text", "each"),
    [
        ("You can return it.", [False]),
        ("You can't return it.", [True]),
        ("It is free of charge.", [True]),
        ("We don't supply blankets, so pack a sleeping bag.", [True, False]),
        ("It can be mended without losing the guarantee.", [False]),
        ("You can drive unless you were given a sedative.", [True]),
        ("No, you can return it.", [False]),
        ("It takes no longer than two days.", [False]),
    ],
)
def test_a_clause_denies_or_affirms(text: str, each: list[bool]) -> None:
    assert denials(text) == each


@given(st.text(max_size=60))
def test_clauses_are_all_of_a_text_in_order(text: str) -> None:
    found = clauses(text)
    assert "".join(text[each.start : each.end] for each in found) == text
