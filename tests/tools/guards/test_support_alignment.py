"""How a claim lies over its sources: with the encoder that is a fake, to which only the same words are alike."""

from __future__ import annotations

import pytest

from tools.encoder.fake import HashingEncoder
from tools.guards.support_alignment import FEATURES, Aligned, align, spelled

pytestmark = pytest.mark.anyio

SOURCES = (
    "Saver parcels take 4 to 6 business days and cost $5.",
    "Express parcels take 2 days and cost $18.",
    "Parcels are not delivered to Norway.",
    "The Bend store opens at nine.",
    "The rest is paid out as a gift card.",
)


async def laid(claim: str) -> Aligned:
    encoder = HashingEncoder()
    vectors = await encoder.encode([claim, *SOURCES])
    mine, *sources = [
        spelled(text, each)
        for text, each in zip((claim, *SOURCES), await encoder.tokens([claim, *SOURCES]), strict=True)
    ]
    return align(mine, sources, vectors[0], vectors[1:], "Shipping")


async def test_a_claim_lies_over_the_sentences_that_have_its_words() -> None:
    found = await laid("Express parcels cost $18, and the Bend store opens at nine.")
    assert found.lying == f"{SOURCES[3]} {SOURCES[1]}"
    assert found.doubts == ()
    assert dict(zip(FEATURES, found.features, strict=True))["mean"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("claim", "doubts"),
    [
        pytest.param("Parcels are delivered to Norway.", ("denial",), id="a denial left out"),
        pytest.param("The Bend store never opens at nine.", ("denial",), id="a denial put in"),
        pytest.param("Express parcels take days and cost $5.", ("misplaced",), id="the price of something else"),
        pytest.param("Norway parcels cost $18.", ("misplaced",), id="a name beside another's price"),
        pytest.param("The rest is paid out as a credit card.", ("misplaced",), id="a part of a thing's name"),
        pytest.param("The Bend manager opens at nine.", ("misplaced",), id="a noun that nothing is like"),
        pytest.param("An Express parcel costs $18.", (), id="names and prices that belong together"),
        pytest.param("Saver parcels take at least 6 business days.", (), id="a bound that nobody stated"),
    ],
)
async def test_what_may_be_otherwise_is_a_doubt(claim: str, doubts: tuple[str, ...]) -> None:
    assert (await laid(claim)).doubts == doubts


@pytest.mark.parametrize("claim", ["", "?", "It is.", "42"])
async def test_what_has_no_telling_word_lies_over_nothing(claim: str) -> None:
    found = await laid(claim)
    assert found.doubts == ()
    assert not found.features.any()
