from __future__ import annotations

import pytest

from tools.encoder.fake import HashingEncoder


@pytest.mark.anyio
async def test_texts_are_as_similar_as_the_words_they_share() -> None:
    vectors = await HashingEncoder().encode(["Red car", "red CAR", "red bus", "blue sky", "?"])
    assert (vectors @ vectors[0]).round(3).tolist() == [1.0, 1.0, 0.5, 0.0, 0.0]


@pytest.mark.anyio
async def test_a_word_means_the_same_wherever_it_stands() -> None:
    one, other = await HashingEncoder().tokens(["red car", "my RED bus"])
    assert (one.offsets.tolist(), other.offsets.tolist()) == ([[0, 3], [4, 7]], [[0, 2], [3, 6], [7, 10]])
    assert one.vectors[0].tolist() == other.vectors[1].tolist()


def test_its_id_names_its_dimensions() -> None:
    assert HashingEncoder(64).id == "hashing@1/64"
