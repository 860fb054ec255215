from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.roots import root, roots, tokens


@pytest.mark.parametrize("words", ["return returned returns returning", "ship shipped shipping", "day days day's"])
def test_forms_of_a_word_have_one_root(words: str) -> None:
    assert len({root(word) for word in words.split()}) == 1


def test_words_without_a_meaning_of_their_own_have_no_place_among_roots() -> None:
    assert roots("The tents can be returned within 30 days.") == ["tent", "return", "within", "30", "day"]


def test_short_forms_are_taken_apart() -> None:
    assert tokens("We can't, won’t and don't; you'll cannot") == [
        *("we", "can", "not", "will", "not", "and", "do", "not", "you", "can", "not")
    ]


@given(st.text(max_size=40))
def test_no_text_is_too_strange_to_cut(text: str) -> None:
    assert all(each for each in tokens(text))
    assert len(roots(text)) <= len(tokens(text))
