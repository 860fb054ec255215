"""One worker in front of a model: callers share batches, big requests let small ones pass."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
import numpy as np

from policies.errors import Unavailable
from tools.encoder.ports import Model, Vectors

SLICE_TEXTS = 32
SLICE_CHARACTERS = 2_000
"""About 40 ms of one core at fp32: the longest that a query waits for a slice of someone else's."""
TEXT_CHARACTERS = 1_000
"""Beyond this a text costs no more, since models cut it off (256 tokens for MiniLM)."""
REMEMBERED = 2_048


class _Request:
    """What one caller still waits for."""

    def __init__(self, texts: Sequence[str]) -> None:
        # Alike lengths in one slice: little padding.
        self.todo = deque(sorted(texts, key=len))
        self.found: dict[str, Vectors] = {}
        self.failure: Exception | None = None
        self.done = anyio.Event()
        self.whole = len(_first_slice(self.todo, SLICE_TEXTS, SLICE_CHARACTERS)) == len(texts)
        """Whether one slice holds it all; such requests are remembered, bulk is not."""

    def accept(self, found: dict[str, Vectors]) -> None:
        """Take the vectors of the texts that were at the head of ``todo``."""
        while self.todo and self.todo[0] in found:
            text = self.todo.popleft()
            self.found[text] = found[text]
        if not self.todo:
            self.done.set()

    def fail(self, failure: Exception) -> None:
        """Let the caller raise ``Unavailable``."""
        self.failure = failure
        self.done.set()


class BatchingEncoder:
    """An ``Encoder`` over a blocking model; made by ``batching``.

    ``encode`` may be called from any task of the event loop, as often and as concurrently as wanted. A lone text
    is encoded at once. Raises ``Unavailable`` when the model fails or the encoder is closed.
    """

    def __init__(self, model: Model) -> None:
        self.id = model.id
        self.dimensions = model.dimensions
        self._model = model
        self._waiting: deque[_Request] = deque()
        self._wake = anyio.Event()
        self._closed = False
        self._recent: OrderedDict[str, Vectors] = OrderedDict()
        # Its own limiter: the encoder never waits for a thread that someone else holds.
        self._limiter = anyio.CapacityLimiter(1)

    async def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts as ``Encoder.encode`` says."""
        if self._closed:
            raise _closed()
        found = {text: self._recall(text) for text in texts if text in self._recent}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            found |= await self._request(_Request(missing))
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(vectors, texts, strict=True):
            row[:] = found[text]
        return vectors

    async def _request(self, request: _Request) -> dict[str, Vectors]:
        self._waiting.append(request)
        self._wake.set()
        try:
            await request.done.wait()
        finally:
            if request in self._waiting:  # cancelled before its turn
                self._waiting.remove(request)
            request.todo.clear()
        if request.failure is not None:
            raise Unavailable(f"The encoder failed: {request.failure}", code="encoder.failed") from request.failure
        return request.found

    def _recall(self, text: str) -> Vectors:
        self._recent.move_to_end(text)
        return self._recent[text]

    async def work(self) -> None:
        """Serve until cancelled."""
        while True:
            while self._waiting:
                await self._serve(self._next_slice())
            self._wake = anyio.Event()
            await self._wake.wait()

    def _next_slice(self) -> list[_Request]:
        """Take the requests at the front that fit whole into one slice, or else the first alone."""
        taken = [self._waiting.popleft()]
        texts, characters = len(taken[0].todo), _cost(taken[0].todo)
        while self._waiting and taken[0].whole:
            request = self._waiting[0]
            texts, characters = texts + len(request.todo), characters + _cost(request.todo)
            if texts > SLICE_TEXTS or characters > SLICE_CHARACTERS:
                break
            taken.append(self._waiting.popleft())
        return taken

    async def _serve(self, requests: list[_Request]) -> None:
        texts = list(dict.fromkeys(text for request in requests for text in _slice_of(request)))
        try:
            vectors = await anyio.to_thread.run_sync(self._model.encode, texts, limiter=self._limiter)
        except Exception as failure:
            for request in requests:
                request.fail(failure)
            return
        finally:
            ...
        found = dict(zip(texts, vectors, strict=True))
        for request in requests:
            request.accept(found)
