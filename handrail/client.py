"""One client for two ways in: a service opened in this process, or a running server over HTTP.

Both speak plain JSON in the shapes of the HTTP API.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import httpx

    from graphs.assembly import Product
    from graphs.settings import Settings

JSON = dict[str, Any]
Announce = Callable[[str], None]


class Client(Protocol):
    """What the command line, and an app, can ask of Handrail."""

    async def create_conversation(self, customer: JSON | None = None) -> str:
        """Begin a conversation; returns its id."""
        ...

    def send(self, conversation_id: str, text: str) -> AsyncIterator[JSON]:
        """Post a message and yield the run's events, ``{"type", "run_id", ...}``, until it pauses or ends."""
        ...

    async def get_run(self, run_id: str) -> JSON:
        """Return how a run stands and what it said."""
        ...

    async def list_reviews(self) -> list[JSON]:
        """Return the open reviews."""
        ...

    def ingest(self, folder: Path) -> AsyncIterator[JSON]:
        """Ingest a folder; yields ``progress`` events and, last, a ``report``."""
        ...

    async def search(self, query: str, limit: int) -> list[JSON]:
        """Return the passages nearest to a query."""
        ...


@dataclass(frozen=True)
class LocalClient:
    """Calls a service in this process."""

    product: Product

    async def create_conversation(self, customer: JSON | None = None) -> str:
        """Begin a conversation; returns its id."""
        product = self.product
        return (await product.service.create_conversation(product.principal, customer=customer)).id

    async def send(self, conversation_id: str, text: str) -> AsyncIterator[JSON]:
        """Post a message and yield the run's events until it pauses or ends."""
        service, principal = self.product.service, self.product.principal
        accepted = await service.post_message(principal, conversation_id, text)
        async for event in service.run_events(principal, accepted.run_id, since=accepted.after):
            yield {"type": event.type, "run_id": event.run_id, **event.data}

    async def get_run(self, run_id: str) -> JSON:
        """Return how a run stands and what it said."""
        return asdict(await self.product.service.get_run(self.product.principal, run_id))

    async def list_reviews(self) -> list[JSON]:
        """Return the open reviews."""
        return [asdict(each) for each in await self.product.service.list_reviews(self.product.principal)]

    async def ingest(self, folder: Path) -> AsyncIterator[JSON]:
        """Ingest a folder; yields progress, then the report."""
        import anyio

        send, receive = anyio.create_memory_object_stream[JSON](1_000)

        async def work() -> None:
            async with send:
                report = await self.product.knowledge.ingest(
                    folder, lambda at: send.send_nowait({"type": "progress", "done": at.done, "total": at.total})
                )
                await send.send({"type": "report", **asdict(report)})

        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(work)
            async for item in receive:
                yield item

    async def search(self, query: str, limit: int) -> list[JSON]:
        """Return the passages nearest to a query."""
        result = await self.product.knowledge.search(query, audience="staff", limit=limit)
        return [asdict(passage) for passage in result.passages]


@dataclass(frozen=True)
class HttpClient:
    """Calls a running server."""

    http: httpx.AsyncClient

    async def create_conversation(self, customer: JSON | None = None) -> str:
        """Begin a conversation; returns its id."""
        made = await self._call("POST", "/v1/conversations", json={"customer": customer or {}})
        return str(made["id"])

    async def send(self, conversation_id: str, text: str) -> AsyncIterator[JSON]:
        """Post a message and yield the run's events until it pauses or ends."""
        path = f"/v1/conversations/{conversation_id}/messages"
        async for event in self._stream(path, {"text": text}):
            yield event

    async def get_run(self, run_id: str) -> JSON:
        """Return how a run stands and what it said."""
        return await self._call("GET", f"/v1/runs/{run_id}")

    async def list_reviews(self) -> list[JSON]:
        """Return the open reviews."""
        reviews: list[JSON] = (await self._call("GET", "/v1/reviews"))["reviews"]
        return reviews

    async def ingest(self, folder: Path) -> AsyncIterator[JSON]:
        """Ingest a folder, named in full, that the server can read; yields progress, then the report."""
        async for event in self._stream("/v1/knowledge/ingest", {"folder": str(folder)}):
            yield event

    async def search(self, query: str, limit: int) -> list[JSON]:
        """Return the passages nearest to a query."""
        found: list[JSON] = (await self._call("GET", "/v1/search", params={"q": query, "limit": limit}))[
            "passages"
        ]
        return found

    async def _call(self, method: str, path: str, **how: Any) -> JSON:
        response = await self.http.request(method, path, **how)
        if response.is_error:
            raise _told(response)
        answer: JSON = response.json()
        return answer

    async def _stream(self, path: str, body: JSON) -> AsyncIterator[JSON]:
        from httpx_sse import aconnect_sse

        async with aconnect_sse(self.http, "POST", path, json=body) as source:
            if source.response.is_error:
                await source.response.aread()
                raise _told(source.response)
            async for event in source.aiter_sse():
                yield {"type": event.event, **json.loads(event.data)}


def _told(response: httpx.Response) -> Exception:
    from policies.errors import HandrailError

    try:
        problem = response.json()
    except ValueError:
        problem = {}
    detail = problem.get("detail") or f"The server answered {response.status_code}."
    return HandrailError(detail, remedy=problem.get("remedy"), code=problem.get("code"))


@asynccontextmanager
async def connect(settings: Settings, announce: Announce) -> AsyncIterator[Client]:
    """Reach the server that owns the data folder, or open the folder in this process when none does."""
    import httpx

    from tools.storage.lock import running_server

    url = running_server(settings.data)
    if url is not None:
        async with httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(10, read=None)) as http:
            yield HttpClient(http)
        return
    from graphs.assembly import open_product

    async with open_product(settings, announce=announce) as product:
        yield LocalClient(product)
