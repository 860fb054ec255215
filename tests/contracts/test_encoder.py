"""What every encoder promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import numpy as np
import pytest

from tools.encoder import Encoder, TokenEncoder, Vectors, open_encoder
from tools.encoder.minilm import packaged_folder
from tools.encoder.ports import encoded

pytestmark = [
    pytest.mark.anyio,
    # Raised inside torch and transformers when they are imported.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

TEXTS = ("Where is my parcel?", "", "Grüße aus Köln 🎈", "I want my money back. " * 200, "...")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=["hashing", "all-MiniLM-L6-v2", "all-MiniLM-L6-v2-int8", "folder"])
async def encoder(request: pytest.FixtureRequest, encoders: Path) -> AsyncIterator[TokenEncoder]:
    name = str(packaged_folder()) if request.param == "folder" else request.param
    async with open_encoder(name, encoders) as opened:
        yield opened


def _similarity(vectors: Vectors, a: int, b: int) -> float:
    return float(vectors[a] @ vectors[b])


async def test_it_gives_one_unit_vector_per_text(encoder: Encoder) -> None:
    vectors = await encoder.encode(TEXTS)
    assert (vectors.shape, str(vectors.dtype)) == ((len(TEXTS), encoder.dimensions), "float32")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)


async def test_no_texts_give_no_vectors(encoder: Encoder) -> None:
    assert (await encoder.encode([])).shape == (0, encoder.dimensions)


async def test_a_vector_does_not_depend_on_the_texts_beside_it(encoder: Encoder) -> None:
    together = await encoder.encode([f"{text} once more" for text in TEXTS])
    alone = np.concatenate([await encoder.encode([f"{text} once more"]) for text in TEXTS])
    assert together == pytest.approx(alone, abs=1e-5)


async def test_vectors_keep_the_order_of_the_texts_and_repeat_with_them(encoder: Encoder) -> None:
    long, short, again = await encoder.encode(
        ["a long text about cheese " * 9, "short", "a long text about cheese " * 9]
    )
    assert long == pytest.approx(again, abs=1e-6)
    assert short == pytest.approx((await encoder.encode(["short"]))[0], abs=1e-5)


async def test_related_texts_are_nearer_than_unrelated_ones(encoder: Encoder) -> None:
    vectors = await encoder.encode(
        ["reset my password", "how do I reset the password?", "opening hours on Sunday"]
    )
    assert _similarity(vectors, 0, 1) > _similarity(vectors, 0, 2) + 0.2


async def test_what_is_compared_with_questions_comes_with_the_vectors(encoder: Encoder) -> None:
    read = await encoded(encoder, TEXTS)
    assert read.vectors == pytest.approx(await encoder.encode(TEXTS), abs=1e-6)
    assert (read.matching.shape, str(read.matching.dtype)) == ((len(TEXTS), encoder.dimensions), "float32")
    assert np.linalg.norm(read.matching, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-5)


async def test_a_caller_may_change_what_it_got(encoder: Encoder) -> None:
    first = await encoder.encode(["mine alone"])
    kept = first.copy()
    first[:] = 0
    assert await encoder.encode(["mine alone"]) == pytest.approx(kept, abs=1e-6)


async def test_concurrent_callers_get_their_own_vectors(encoder: Encoder) -> None:
    texts = [f"question number {n} of many" for n in range(20)]
    found: dict[str, Vectors] = {}

    async def ask(text: str) -> None:
        found[text] = (await encoder.encode([text]))[0]

    async with anyio.create_task_group() as group:
        for text in texts:
            group.start_soon(ask, text)
    assert np.stack([found[text] for text in texts]) == pytest.approx(await encoder.encode(texts), abs=1e-5)


async def test_pieces_stand_where_they_say_in_order_and_cover_every_word(encoder: TokenEncoder) -> None:
    for text, tokens in zip(TEXTS, await encoder.tokens(TEXTS), strict=True):
        places = tokens.offsets.tolist()
        assert tokens.vectors.shape[0] == len(places)
        assert str(tokens.vectors.dtype) == "float32"
        assert all(0 <= start <= end <= len(text) for start, end in places)
        assert places == sorted(places)
        covered = {at for start, end in places for at in range(start, end)}
        assert {at for at in range(min(len(text), 80)) if text[at].isalnum()} <= covered


async def test_half_a_surrogate_pair_hinders_nothing(encoder: TokenEncoder) -> None:
    text = "Maria \ud83d Lopez"
    assert np.linalg.norm(await encoder.encode([text])) == pytest.approx(1, abs=1e-5)
    (tokens,) = await encoder.tokens([text])
    assert int(tokens.offsets[-1, 1]) == len(text)


async def test_pieces_do_not_depend_on_the_texts_beside_it_nor_vectors_on_being_read(
    encoder: TokenEncoder,
) -> None:
    texts = [f"{text} for {name}" for text, name in zip(TEXTS, "abcde", strict=True)]
    together = await encoder.tokens(texts)
    alone = [(await encoder.tokens([f"{text}!"]))[0] for text in texts[:1]]
    again = (await encoder.tokens([f"{text}!" for text in texts]))[0]
    assert again.vectors == pytest.approx(alone[0].vectors, abs=1e-4)
    assert len(together) == len(texts)
    apart = await encoder.encode([f"{text}?" for text in texts])
    await encoder.tokens([f"{text}?!" for text in texts])
    assert apart == pytest.approx(await encoder.encode([f"{text}?" for text in texts]), abs=1e-6)


async def test_pieces_belong_to_everybody_and_cannot_be_written_to(encoder: TokenEncoder) -> None:
    (tokens,) = await encoder.tokens(["shared by all"])
    with pytest.raises(ValueError, match="read-only"):
        tokens.vectors[:] = 0


async def test_its_id_is_its_own(encoder: Encoder, encoders: Path) -> None:
    async with open_encoder("hashing", encoders) as other:
        assert (encoder.id == other.id) == (type(encoder) is type(other))
