from __future__ import annotations

import pytest

from policies.firmness import misstates_firmness


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("It always arrives within a week.", "It usually arrives within a week."),
        ("It takes exactly a week.", "It takes about a week."),
        ("You must book online.", "You can book online."),
        ("Bins may be outside by six.", "Bins are taken at six."),
        ("Preferably bring your card.", "Bring your card."),
        ("All items can be returned.", "Most items can be returned."),
    ],
)
def test_a_claim_may_be_firmer_or_looser_than_its_source(claim: str, source: str) -> None:
    assert misstates_firmness(claim, source, source)


@pytest.mark.parametrize(
    ("claim", "source"),
    [
        ("Normally it gets to you inside a week.", "It usually arrives within a week."),
        ("You need to bring your card.", "Bring your card."),
        ("It's possible that the cast changes.", "The cast may change."),
        ("You're welcome to book online.", "You may book online."),
    ],
)
def test_other_words_for_the_same_firmness_are_none(claim: str, source: str) -> None:
    assert not misstates_firmness(claim, source, source)
