from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence

import anyio
import numpy as np
import pytest

from policies.errors import Unavailable
from tools.encoder.batching import REMEMBERED, REMEMBERED_TOKENS, BatchingEncoder, batching
from tools.encoder.ports import Encoded, Forgetful, Read, Tokens, Vectors, kept, matching

pytestmark = pytest.mark.anyio

DOCUMENT = "d" * 1_000


class HeldModel:
    """Encodes a text as its length, records each slice, and waits for ``release`` when held."""

    id = "held@1"
    dimensions = 1

    def __init__(self) -> None:
        self.slices: list[list[str]] = []
        self.reads = 0
        self.gate = threading.Semaphore(0)
        self.held = False

    def encode(self, texts: Sequence[str]) -> Encoded:
        self.slices.append(list(texts))
        if self.held:
            self.gate.acquire(timeout=5)
        if "poison" in texts:
            raise ValueError("bad text")
        lengths = np.array([[len(text)] for text in texts], dtype=np.float32)
        return Encoded(vectors=lengths, matching=-lengths)

    def read(self, texts: Sequence[str]) -> Read:
        encoded = self.encode(texts)
        self.reads += 1
        tokens = [_letters(text) for text in texts]
        return Read(vectors=encoded.vectors, matching=encoded.matching, tokens=tokens)

    def release(self, slices: int = 1_000) -> None:
        """Let this many slices pass."""
        self.gate.release(slices)


def _letters(text: str) -> Tokens:
    offsets = np.array([(at, at + 1) for at in range(len(text))], dtype=np.int32).reshape(-1, 2)
    return kept(np.array([[ord(each)] for each in text], dtype=np.float32).reshape(-1, 1), offsets)


@pytest.fixture
def model() -> HeldModel:
    return HeldModel()


@pytest.fixture
async def encoder(model: HeldModel) -> AsyncIterator[BatchingEncoder]:
    async with batching(model) as opened:
        yield opened


async def _until_slices(model: HeldModel, count: int) -> None:
    with anyio.fail_after(30):
        while len(model.slices) < count:  # noqa: ASYNC110 - the model runs in a thread
            await anyio.sleep(0.001)


def _documents(count: int) -> list[str]:
    return [f"{n:04}{DOCUMENT}" for n in range(count)]


async def test_a_lone_text_is_encoded_at_once(encoder: BatchingEncoder, model: HeldModel) -> None:
    assert (await encoder.encode(["four"])).tolist() == [[4.0]]
    assert model.slices == [["four"]]


async def test_one_pass_gives_both_kinds_of_vectors(encoder: BatchingEncoder, model: HeldModel) -> None:
    assert (await matching(encoder, ["four", "fives"])).tolist() == [[-4.0], [-5.0]]
    assert (await encoder.encode(["fives", "four"])).tolist() == [[5.0], [4.0]]
    await encoder.tokens(["seventh"])
    assert (await matching(encoder, ["seventh"])).tolist() == [[-7.0]]
    assert model.slices == [["four", "fives"], ["seventh"]]


async def test_texts_that_come_during_a_slice_share_the_next(encoder: BatchingEncoder, model: HeldModel) -> None:
    model.held = True
    async with anyio.create_task_group() as group:
        group.start_soon(encoder.encode, ["first"])
        await _until_slices(model, 1)
        for text in ("a", "bb", "a", "ccc"):
            group.start_soon(encoder.encode, [text])
        await anyio.wait_all_tasks_blocked()
        model.release()
    assert model.slices == [["first"], ["a", "bb", "ccc"]]


async def test_a_recent_text_is_not_encoded_again(encoder: BatchingEncoder, model: HeldModel) -> None:
    await encoder.encode(["one", "three"])
    assert (await encoder.encode(["three", "one", "seven", "seven"])).tolist() == [[5.0], [3.0], [5.0], [5.0]]
    assert model.slices == [["one", "three"], ["seven"]]


async def test_one_pass_gives_a_text_s_pieces_and_its_vector(encoder: BatchingEncoder, model: HeldModel) -> None:
    (tokens,) = await encoder.tokens(["four"])
    assert tokens.vectors[:, 0].tolist() == [ord(each) for each in "four"]
    assert tokens.offsets.tolist() == [[0, 1], [1, 2], [2, 3], [3, 4]]
    assert (await encoder.encode(["four"])).tolist() == [[4.0]]
    assert (await encoder.tokens(["four"]))[0] is tokens
    assert model.slices == [["four"]]


async def test_pieces_are_read_for_those_who_ask_and_shared_with_those_who_do_not(
    encoder: BatchingEncoder, model: HeldModel
) -> None:
    model.held = True
    async with anyio.create_task_group() as group:
        group.start_soon(encoder.encode, ["first"])
        await _until_slices(model, 1)
        group.start_soon(encoder.encode, ["same"])
        group.start_soon(encoder.tokens, ["same"])
        await anyio.wait_all_tasks_blocked()
        model.release()
    assert (model.slices, model.reads) == ([["first"], ["same"]], 1)


async def test_a_text_that_was_encoded_is_read_when_its_pieces_are_wanted(
    encoder: BatchingEncoder, model: HeldModel
) -> None:
    await encoder.encode(["one"])
    assert len((await encoder.tokens(["one", "one"]))[1].offsets) == 3
    assert model.slices == [["one"], ["one"]]


async def test_fewer_texts_are_remembered_with_their_pieces(encoder: BatchingEncoder, model: HeldModel) -> None:
    for n in range(REMEMBERED_TOKENS + 1):
        await encoder.tokens([str(n)])
    model.slices.clear()
    await encoder.tokens(["1"])
    await encoder.encode(["0"])
    await encoder.tokens(["0"])
    assert model.slices == [["0"]]


async def test_the_text_longest_unused_is_forgotten_first(encoder: BatchingEncoder, model: HeldModel) -> None:
    for n in range(REMEMBERED):
        await encoder.encode([str(n)])
    await encoder.encode(["0"])
    await encoder.encode(["one too many"])
    model.slices.clear()
    await encoder.encode(["0"])
    await encoder.encode(["1"])
    assert model.slices == [["1"]]


async def test_documents_are_encoded_in_slices_and_not_remembered(
    encoder: BatchingEncoder, model: HeldModel
) -> None:
    documents = _documents(5)
    assert (await encoder.encode(documents)).tolist() == [[1004.0]] * 5
    assert model.slices == [[text] for text in documents]
    await encoder.encode(documents[:1])
    assert model.slices[5:] == [documents[:1]]


async def test_a_query_waits_for_one_slice_of_documents_at_most(
    encoder: BatchingEncoder, model: HeldModel
) -> None:
    model.held = True
    documents = _documents(4)
    async with anyio.create_task_group() as group:
        group.start_soon(encoder.encode, documents)
        await _until_slices(model, 1)
        group.start_soon(encoder.encode, ["query"])
        await anyio.wait_all_tasks_blocked()
        model.release()
    assert model.slices == [[documents[0]], ["query"], *([text] for text in documents[1:])]


async def test_queries_do_not_starve_documents(encoder: BatchingEncoder, model: HeldModel) -> None:
    model.held = True
    documents = _documents(2)
    async with anyio.create_task_group() as group:
        group.start_soon(encoder.encode, documents)
        await _until_slices(model, 1)
        group.start_soon(encoder.encode, ["query 1"])
        await anyio.wait_all_tasks_blocked()
        model.release(1)
        await _until_slices(model, 2)
        group.start_soon(encoder.encode, ["query 2"])
        await anyio.wait_all_tasks_blocked()
        model.release()
    assert model.slices == [[documents[0]], ["query 1"], [documents[1]], ["query 2"]]


async def test_a_cancelled_caller_does_not_disturb_the_others(encoder: BatchingEncoder, model: HeldModel) -> None:
    model.held = True
    found: list[Vectors] = []

    async def ask(text: str) -> None:
        found.append(await encoder.encode([text]))

    async with anyio.create_task_group() as group:
        async with anyio.create_task_group() as cancelled:
            cancelled.start_soon(encoder.encode, _documents(3))
            await _until_slices(model, 1)
            cancelled.start_soon(encoder.encode, ["never mind"])
            group.start_soon(ask, "four")
            await anyio.wait_all_tasks_blocked()
            cancelled.cancel_scope.cancel()
        model.release()
    assert [vectors.tolist() for vectors in found] == [[[4.0]]]
    assert model.slices == [_documents(1), ["four"]]


async def test_a_failure_reaches_the_caller_whose_text_it_is_and_nobody_beside(
    encoder: BatchingEncoder, model: HeldModel
) -> None:
    model.held = True
    failures: dict[str, Exception] = {}

    async def ask(text: str) -> None:
        try:
            await encoder.encode([text])
        except Unavailable as failure:
            failures[text] = failure

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "before")
        await _until_slices(model, 1)
        group.start_soon(ask, "poison")
        group.start_soon(ask, "beside")
        await anyio.wait_all_tasks_blocked()
        model.release()
    assert {text: str(failure) for text, failure in failures.items()} == {"poison": "The encoder failed: bad text"}
    assert model.slices == [["before"], ["poison", "beside"], ["poison"], ["beside"]]


async def test_half_a_surrogate_pair_is_encoded_as_a_mark_and_every_place_stays(
    encoder: BatchingEncoder, model: HeldModel
) -> None:
    (tokens,) = await encoder.tokens(["a\ud800b"])
    assert (model.slices, tokens.offsets.tolist()) == ([["a\ufffdb"]], [[0, 1], [1, 2], [2, 3]])
    assert (await encoder.encode(["\udfff"])).tolist() == [[1.0]]


async def test_what_is_forgotten_is_encoded_anew(encoder: BatchingEncoder, model: HeldModel) -> None:
    await encoder.tokens(["one"])
    encoder.forget()
    await encoder.encode(["one"])
    await encoder.tokens(["one"])
    assert model.slices == [["one"]] * 3
    assert isinstance(encoder, Forgetful)


async def test_closing_fails_those_who_wait_and_those_who_come_later(model: HeldModel) -> None:
    model.held = True
    messages: list[str] = []

    async def ask(encoder: BatchingEncoder, text: str) -> None:
        with pytest.raises(Unavailable) as raised:
            await encoder.encode([text])
        messages.append(str(raised.value))

    async with anyio.create_task_group() as group:
        async with batching(model) as encoder:
            group.start_soon(ask, encoder, "in the worker")
            await _until_slices(model, 1)
            group.start_soon(ask, encoder, "in the queue")
            await anyio.wait_all_tasks_blocked()
            model.release()
        await ask(encoder, "too late")
    assert messages == ["The encoder is closed."] * 3


async def test_an_error_of_the_body_comes_out_as_it_is(model: HeldModel) -> None:
    with pytest.raises(KeyError):
        async with batching(model):
            raise KeyError("mine")


async def test_cancelling_the_owner_ends_the_worker(model: HeldModel) -> None:
    with anyio.move_on_after(0.01) as scope:
        async with batching(model):
            await anyio.sleep_forever()
    assert scope.cancelled_caught
