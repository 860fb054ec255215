from __future__ import annotations

import pytest

from tools.support import contained, contradict


def test_words_are_compared_by_their_stems() -> None:
    assert contained("two tents", "a tent for two") == 1.0
    assert contained("two tents", "a stove") == 0.0


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Tents take 3 days.", "Tents take 5 days.", True),
        ("Tents are refunded.", "Tents are not refunded.", True),
        ("Tents take 3 days.", "Packs take 5 days.", False),
        ("Tents take 3 days.", "Tents take 3 days.", False),
    ],
)
def test_sentences_contradict_when_only_a_figure_or_a_denial_differs(one: str, other: str, expected: bool) -> None:
    assert contradict(one, other) is expected
