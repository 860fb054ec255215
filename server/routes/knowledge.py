"""Knowledge: what there is, bringing it up to date, and the staff's own search."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import anyio
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from graphs.assembly import Product
from policies.errors import ConfigError, InputError
from policies.types import Principal
from server.dependencies import Caller, Open
from server.documentation import Responses, problems, stream
from server.headers import wants_events
from server.replies import reply
from server.schemas import IngestOutcome, IngestRequest, KnowledgeView, SearchAnswer
from server.streams import EventStream, frame
from tools.knowledge.ingest import IngestReport, Progress

router = APIRouter(prefix="/v1", tags=["knowledge"])
STEPS_AHEAD = 100
_INGESTED: Responses = {200: {**stream("Progress, then the report; as JSON, the report."), "model": IngestOutcome}}


@router.get("/knowledge", response_model=KnowledgeView, responses=problems())
async def read(product: Open, _caller: Caller) -> Response:
    """Return the documents of the active index version."""
    index = await product.knowledge.index()
    documents = [
        {name: value for name, value in vars(each).items() if name != "text"}
        for each in await product.knowledge.documents()
    ]
    return reply({"index_version": index.version, "documents": documents})


@router.post(
    "/knowledge/ingest",
    response_model=IngestOutcome,
    responses={**_INGESTED, **problems(400, 403, 413, 415)},
)
async def ingest(request: Request, product: Open, caller: Caller, body: IngestRequest | None = None) -> Response:
    """Bring the index up to date with a folder; questions are answered from the old version meanwhile."""
    folder = await _folder(product, caller, body or IngestRequest())
    if wants_events(request.headers):
        return _stream(product, folder)
    try:
        return reply(asdict(await product.knowledge.ingest(folder)))
    except ConfigError as error:
        raise InputError(error.message, remedy=error.remedy, code="knowledge.unreadable") from error


async def _folder(product: Product, caller: Principal, body: IngestRequest) -> Path:
    if caller.role != "admin":
        raise InputError("Only an admin may ingest.", code="forbidden")
    folder = Path(body.folder) if body.folder else product.assistant.knowledge
    if not await anyio.Path(folder).is_dir():
        raise InputError(
            f"There is no folder {str(folder)!r} on the server.",
            remedy="Name a folder that the server can read.",
            code="knowledge.no_folder",
        )
    return folder


def _stream(product: Product, folder: Path) -> EventStream:
    """Ingest and stream the steps; whoever stops reading stops the ingest, which loses nothing."""
    send, receive = anyio.create_memory_object_stream[Progress | IngestReport | Exception](STEPS_AHEAD)

    def told(step: Progress) -> None:
        # A reader who is behind misses steps, never the report.
        with suppress(anyio.WouldBlock):
            send.send_nowait(step)

    async def work() -> None:
        async with send:
            try:
                outcome: IngestReport | Exception = await product.knowledge.ingest(folder, told)
            except Exception as error:
                outcome = error
            await send.send(outcome)

    async def frames() -> AsyncIterator[bytes]:
        async with receive:
            async for step in receive:
                if isinstance(step, Exception):
                    raise step
                yield frame("report" if isinstance(step, IngestReport) else "progress", asdict(step))

    return EventStream(frames(), beside=work)


@router.get("/search", response_model=SearchAnswer, responses=problems())
async def search(
    product: Open,
    _caller: Caller,
    q: Annotated[str, Query(min_length=1, max_length=1000, description="What to look for.")],
    limit: Annotated[int, Query(ge=1, le=50)] = 8,
) -> Response:
    """Search all articles, those for staff too."""
    result = await product.knowledge.search(q, audience="staff", limit=limit)
    return reply({"index_version": result.index_version, "passages": result.passages})
