"""Where nouns end, as the words around them tell."""

from __future__ import annotations

import pytest

from policies.nouns import is_joint, may_modify, noun_ends


def nouns(text: str) -> list[str]:
    return [text[:end].split()[-1] for end in sorted(noun_ends(text))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("Hand the parcel to your bank.", ["parcel", "bank"], id="after the and your"),
        pytest.param("You get a gift card in the store.", ["card", "store"], id="a name of two words"),
        pytest.param("It costs $5.", [], id="none"),
        pytest.param("The store's staff can help.", ["store"], id="an owner"),
    ],
)
def test_a_noun_ends_before_a_preposition_a_verb_or_a_stop(text: str, found: list[str]) -> None:
    assert nouns(text) == found


def test_what_may_be_a_part_of_a_name_is_no_idle_word_and_no_participle() -> None:
    assert [may_modify(word) for word in ("gift", "the", "chosen", "mailed", "2")] == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_words_are_joint_with_a_blank_or_a_hyphen_between_them() -> None:
    assert is_joint("gift card", 4, 5)
    assert is_joint("e-gift", 1, 2)
    assert not is_joint("gift, card", 4, 6)
