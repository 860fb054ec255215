from __future__ import annotations

import pytest

from tools.encoder.fake import HashingEncoder


@pytest.mark.anyio
async def test_texts_are_as_similar_as_the_words_they_share() -> None:
    vectors = await HashingEncoder().encode(["Red car", "red CAR", "red bus", "blue sky", "?"])
    assert (vectors @ vectors[0]).round(3).tolist() == [1.0, 1.0, 0.5, 0.0, 0.0]


def test_its_id_names_its_dimensions() -> None:
    assert HashingEncoder(64).id == "hashing@1/64"
