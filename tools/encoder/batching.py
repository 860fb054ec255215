"""One worker in front of a model: small requests share a slice, big ones go slice by slice."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from policies.errors import Unavailable
from tools.encoder.ports import Model, Vectors

SLICE = 1_200
"""Characters encoded at once, some 25 ms: a query waits no longer for somebody else's documents."""
REMEMBERED = 2_048
"""Recent texts whose vectors are kept, so that the agents of one turn pay once: 3 MB at 384 dimensions."""
_LONGEST = 1_000
"""Models cut a text off (MiniLM at 256 tokens), so characters beyond these cost nothing."""
_OVERHEAD = 20
"""What a text costs whatever its length, in characters."""

Vector = NDArray[np.float32]


class _Request:
    """What one caller still waits for."""

    def __init__(self, texts: Iterable[str]) -> None:
        # Texts of alike length in one slice need little padding.
        self.todo = deque(sorted(texts, key=len))
        self.cost = sum(map(_cost, self.todo))
        self.is_bulk = self.cost > SLICE and len(self.todo) > 1
        self.found: dict[str, Vector] = {}
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

    def accept(self, vectors: dict[str, Vector]) -> None:
        """Take the vectors of the texts that ``slice`` gave."""
        while self.todo and self.todo[0] in vectors:
            text = self.todo.popleft()
            self.found[text] = vectors[text]
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
    """An ``Encoder`` over a blocking model; ``batching`` makes and ends it.

    ``encode`` may be called from any task of the loop. It raises ``Unavailable`` if the model fails or the
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
        self._recent: OrderedDict[str, Vector] = OrderedDict()
        # A limiter of its own: whoever uses up the default one can't hold up the encoder.
        self._limiter = anyio.CapacityLimiter(1)

    async def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode texts as ``Encoder.encode`` says."""
        found = {text: self._recent[text] for text in texts if text in self._recent}
        for text in found:
            self._recent.move_to_end(text)
        missing = dict.fromkeys(text for text in texts if text not in found)
        if missing:
            found |= await self._request(_Request(missing))
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = found[text]
        return vectors

    async def _request(self, request: _Request) -> dict[str, Vector]:
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
        try:
            vectors = await anyio.to_thread.run_sync(self._model.encode, texts, limiter=self._limiter)
        except Exception as failure:
            for request in taken:
                request.fail(f"The encoder failed: {failure}", failure)
            return
        found = dict(zip(texts, vectors, strict=True))
        for request in taken:
            request.accept(found)
            if request.todo:
                # Behind those that came meanwhile: they wait for one slice of it, not for all.
                self._waiting.append(request)
        if not taken[0].is_bulk:
            self._remember(found)

    def _remember(self, found: dict[str, Vector]) -> None:
        # Copies: a row of the slice would keep the whole slice in memory.
        self._recent |= {text: vector.copy() for text, vector in found.items()}
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)


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
