"""One worker in front of a model: small requests share a slice, big ones go slice by slice."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice
from typing import NamedTuple, TypeVar

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from policies.errors import Unavailable
from tools.encoder.ports import Encoded, Model, Tokens, Vectors

SLICE = 1_200
"""Characters encoded at once, some 25 ms: a query waits no longer for somebody else's documents."""
REMEMBERED = 2_048
"""Recent texts whose vectors are kept, so that the agents of one turn pay once: 6 MB at 384 dimensions."""
REMEMBERED_TOKENS = 128
"""Recent texts whose pieces are kept: 6 MB for messages of 30 pieces, 50 MB at the very most."""
_LONGEST = 1_000
"""Models cut a text off (MiniLM at 256 tokens), so characters beyond these cost nothing."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_OVERHEAD = 20
"""What a text costs whatever its length, in characters."""

Vector = NDArray[np.float32]
T = TypeVar("T")


class _Given(NamedTuple):
    """What one pass gave for one text; its pieces only where somebody asked for them."""

    vector: Vector
    matching: Vector
    tokens: Tokens | None = None


def _key(text: str) -> bytes:
    """What a text is remembered by: not by itself, since it may be a customer's before anything was masked."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _encodable(text: str) -> str:
    """Return a text without halves of surrogate pairs, which no tokenizer takes; every place in it stays."""
    return _SURROGATE.sub("\ufffd", text)


def _recalled(recent: OrderedDict[bytes, T], texts: Iterable[str]) -> dict[str, T]:
    """Return what is remembered of texts, which puts off that it is forgotten."""
    found: dict[str, T] = {}
    for text in dict.fromkeys(texts):
        if (key := _key(text)) in recent:
            recent.move_to_end(key)
            found[text] = recent[key]
    return found


class _Request:
    """What one caller still waits for."""

    def __init__(self, texts: Iterable[str], *, tokens: bool = False) -> None:
        self.tokens = tokens
        # Texts of alike length in one slice need little padding.
        self.todo = deque(sorted(texts, key=len))
        self.cost = sum(map(_cost, self.todo))
        self.is_bulk = self.cost > SLICE and len(self.todo) > 1
        self.found: dict[str, _Given] = {}
        self.failure: Exception | None = None
        self.done = anyio.Event()

    def slice(self) -> list[str]:
        """The texts to encode next: one at least, and as many as fit."""
        texts, room = [self.todo[0]], SLICE - _cost(self.todo[0])
        for text in islice(self.todo, 1, None):
            room -= _cost(text)
            if room < 0:
                break
            texts.append(text)
        return texts

    def accept(self, given: dict[str, _Given]) -> None:
        """Take what was made of the texts that ``slice`` gave."""
        while self.todo and self.todo[0] in given:
            text = self.todo.popleft()
            self.found[text] = given[text]
        if not self.todo:
            self.done.set()

    def fail(self, message: str, cause: Exception | None = None) -> None:
        """Make the caller raise; each caller gets an exception of its own."""
        self.failure = Unavailable(message, code="encoder.failed")
        self.failure.__cause__ = cause
        self.done.set()


def _cost(text: str) -> int:
    return _OVERHEAD + min(len(text), _LONGEST)


class BatchingEncoder:
    """A ``TokenEncoder`` and ``MatchingEncoder`` over a blocking model; ``batching`` makes and ends it.

    What encodes may be called from any task of the loop. It raises ``Unavailable`` if the model fails or the
    encoder is closed.
    """

    def __init__(self, model: Model) -> None:
        self.id = model.id
        self.dimensions = model.dimensions
        self._model = model
        self._waiting: deque[_Request] = deque()
        self._unanswered: set[_Request] = set()
        self._wake = anyio.Event()
        self._closed = False
        self._recent: OrderedDict[bytes, _Given] = OrderedDict()
        self._recent_tokens: OrderedDict[bytes, Tokens] = OrderedDict()
        # A limiter of its own: whoever uses up the default one can't hold up the encoder.
        self._limiter = anyio.CapacityLimiter(1)

    async def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts as ``Encoder.encode`` says."""
        return (await self.encoded(texts)).vectors

    async def encoded(self, texts: Sequence[str]) -> Encoded:
        """Encode texts as ``MatchingEncoder.encoded`` says."""
        found = _recalled(self._recent, texts)
        missing = dict.fromkeys(text for text in texts if text not in found)
        if missing:
            found |= await self._request(_Request(missing))
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        matching = np.empty_like(vectors)
        for row, text in enumerate(texts):
            vectors[row], matching[row] = found[text].vector, found[text].matching
        return Encoded(vectors=vectors, matching=matching)

    async def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the pieces of texts as ``TokenEncoder.tokens`` says."""
        found = _recalled(self._recent_tokens, texts)
        missing = dict.fromkeys(text for text in texts if text not in found)
        if missing:
            given = await self._request(_Request(missing, tokens=True))
            found |= {text: each.tokens for text, each in given.items() if each.tokens is not None}
        return [found[text] for text in texts]

    async def _request(self, request: _Request) -> dict[str, _Given]:
        if self._closed:
            request.fail("The encoder is closed.")
        self._unanswered.add(request)
        self._waiting.append(request)
        self._wake.set()
        try:
            await request.done.wait()
        finally:
            self._unanswered.discard(request)
        if request.failure is not None:
            raise request.failure
        return request.found

    def forget(self) -> None:
        """Drop what is remembered of recent texts, as after an erasure."""
        self._recent.clear()
        self._recent_tokens.clear()

    async def work(self) -> None:
        """Serve requests until cancelled."""
        while True:
            while taken := self._take():
                await self._serve(taken)
            self._wake = anyio.Event()
            await self._wake.wait()

    def close(self) -> None:
        """Fail whoever still waits, and whoever comes later."""
        self._closed = True
        for request in self._unanswered:
            request.fail("The encoder is closed.")

    def _take(self) -> list[_Request]:
        """The small requests at the front that fit into one slice, or the bulk request at the front."""
        taken: list[_Request] = []
        room = SLICE
        while self._waiting:
            request = self._waiting[0]
            if request in self._unanswered:
                if taken and (request.is_bulk or request.cost > room):
                    break
                taken.append(request)
                room -= request.cost
            self._waiting.popleft()
            if taken and taken[0].is_bulk:
                break
        return taken

    async def _serve(self, taken: list[_Request]) -> None:
        texts = list(dict.fromkeys(text for request in taken for text in request.slice()))
        # What most ask for alone costs no copy of the pieces; who shares a slice with them gets the same vectors.
        run = self._read if any(request.tokens for request in taken) else self._encode
        try:
            found = await anyio.to_thread.run_sync(run, texts, limiter=self._limiter)
        except Exception as failure:
            if len(taken) == 1:
                taken[0].fail(f"The encoder failed: {failure}", failure)
            else:
                # One bad text must not take the others with it, which may be other customers'.
                for request in taken:
                    await self._serve([request])
            return
        for request in taken:
            request.accept(found)
            if request.todo:
                # Behind those that came meanwhile: they wait for one slice of it, not for all.
                self._waiting.append(request)
        if not taken[0].is_bulk:
            self._remember(found)

    def _encode(self, texts: list[str]) -> dict[str, _Given]:
        read = self._model.encode([_encodable(text) for text in texts])
        each = zip(texts, read.vectors, read.matching, strict=True)
        return {text: _Given(vector, matching) for text, vector, matching in each}

    def _read(self, texts: list[str]) -> dict[str, _Given]:
        read = self._model.read([_encodable(text) for text in texts])
        each = zip(texts, read.vectors, read.matching, read.tokens, strict=True)
        return {text: _Given(vector, matching, tokens) for text, vector, matching, tokens in each}

    def _remember(self, found: dict[str, _Given]) -> None:
        # Copies: a row of the slice would keep the whole slice in memory.
        self._recent |= {
            _key(text): _Given(each.vector.copy(), each.matching.copy()) for text, each in found.items()
        }
        tokens = {_key(text): each.tokens for text, each in found.items() if each.tokens is not None}
        self._recent_tokens |= tokens
        for kept, most in ((self._recent, REMEMBERED), (self._recent_tokens, REMEMBERED_TOKENS)):
            while len(kept) > most:
                kept.popitem(last=False)


@asynccontextmanager
async def batching(model: Model) -> AsyncIterator[BatchingEncoder]:
    """Run a model behind a ``BatchingEncoder``; at the end, callers that still wait get ``Unavailable``."""
    encoder = BatchingEncoder(model)
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(encoder.work)
        try:
            yield encoder
        except Exception as error:
            # Raised below, outside the group, which would wrap it into an ExceptionGroup.
            failure = error
        finally:
            encoder.close()
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure
