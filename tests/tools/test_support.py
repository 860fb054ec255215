from __future__ import annotations

import numpy as np
import pytest

from tools.support import contained, contradict, nearest_texts, weigh_support

SAME = np.array([1.0, 0.0], np.float32)


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


def test_only_the_texts_that_share_most_words_are_compared() -> None:
    assert nearest_texts("red tent", ["a stove", "a tent", "a red tent"], most=2) == ["a tent", "a red tent"]


def test_a_wrong_figure_lowers_the_probability() -> None:
    sources, stated = ["Tents take 3 days."], SAME[None, :]
    right = weigh_support("Tents take 3 days.", sources, SAME, stated)
    wrong = weigh_support("Tents take 5 days.", sources, SAME, stated)
    assert right.probability > 0.9 > wrong.probability
    assert [reason.code for reason in wrong.reasons] == ["check.number"]
