"""Two ways in behind one door: the server that owns the data folder, or a service opened in this process.

Both speak plain JSON in the shapes of the HTTP API.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from handrail.client import JSON, Client

if TYPE_CHECKING:
    from graphs.assembly import Product
    from graphs.settings import Settings
    from tools.storage.lock import Serving

Announce = Callable[[str], None]


class Door(Protocol):
    """What the command line asks of Handrail, whichever way in it takes."""

    async def create_conversation(self, customer: JSON | None = None) -> str:
        """Begin a conversation; returns its id."""
        ...

    async def greeting(self) -> str:
        """Return what the assistant says before anybody else."""
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

    async def workflows(self) -> list[JSON]:
        """Return the assistant's workflows, with the schemas of what they take and return."""
        ...

    async def check_inputs(self, name: str, inputs: Sequence[Any]) -> list[JSON]:
        """Return what a workflow finds wrong with inputs: ``{"index", "pointer", "detail"}``; nothing is run."""
        ...

    async def run_workflow(self, name: str, given: Any, *, key: str | None = None) -> JSON:
        """Run a workflow on one input, once for each ``key``; return the run once it has ended or waits."""
        ...


@dataclass(frozen=True)
class LocalClient:
    """Calls a service in this process."""

    product: Product

    async def create_conversation(self, customer: JSON | None = None) -> str:
        """Begin a conversation; returns its id."""
        product = self.product
        return (await product.service.create_conversation(product.principal, customer=customer)).id

    async def greeting(self) -> str:
        """Return what the assistant says before anybody else."""
        return self.product.assistant.file.greeting

    async def send(self, conversation_id: str, text: str) -> AsyncIterator[JSON]:
        """Post a message and yield the run's events until it pauses or ends."""
        service, principal = self.product.service, self.product.principal
        if self.product.settings.database_url is not None:
            await _require_worker(self.product)
        accepted = await service.post_message(principal, conversation_id, text)
        async for batch in service.answer_events(principal, accepted):
            for event in batch:
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

    async def workflows(self) -> list[JSON]:
        """Return the assistant's workflows."""
        return self.product.service.workflows.listed(self.product.principal)

    async def check_inputs(self, name: str, inputs: Sequence[Any]) -> list[JSON]:
        """Return what a workflow finds wrong with inputs."""
        return await self.product.service.workflows.check(self.product.principal, name, inputs)

    async def run_workflow(self, name: str, given: Any, *, key: str | None = None) -> JSON:
        """Run a workflow on one input; return the run once it has ended or waits."""
        from graphs.workflows.desk import Item

        service, principal = self.product.service, self.product.principal
        if self.product.settings.database_url is not None:
            await _require_worker(self.product)
        started = await service.workflows.start(principal, name, Item(input=given), idempotency_key=key)
        async for _ in service.run_events(principal, started.run_id):
            pass
        return asdict(await service.show_run(principal, started.run_id))


async def _require_worker(product: Product) -> None:
    from policies.errors import ConfigError
    from tools.jobs.schema import count_workers

    lease = product.settings.lease_seconds
    if not await product.service.store.database.read(lambda connection: count_workers(connection, lease)):
        raise ConfigError(
            "Nobody works on what is asked over this database.", remedy="Start `handrail worker`, then ask again."
        )


def require_served(settings: Settings, server: Serving) -> None:
    """Raise ``ConfigError`` when an assistant was asked for and the server that owns the data serves another."""
    if "assistant" not in settings.model_fields_set or server.folder in (None, settings.assistant.resolve()):
        return
    from policies.errors import ConfigError
    from tools.assistants import load_assistant

    served, asked = repr(server.assistant), repr(load_assistant(settings.assistant).name)
    if served == asked:
        served, asked = f"{served} from {server.folder}", f"that from {settings.assistant}"
    raise ConfigError(
        f"The server on {settings.data} serves {served}, not {asked}.",
        remedy="Give --data, or leave --assistant out.",
        code="assistant.other",
    )


@asynccontextmanager
async def connect(settings: Settings, announce: Announce, *, renews: bool = False) -> AsyncIterator[Door]:
    """Reach the server that owns the data folder, or open the folder in this process when none does.

    Over PostgreSQL this process opens the database and leaves the work to workers. ``renews`` is for who ingests:
    an index that another encoder made is no fault, and nothing is worked on meanwhile. Raises ``ConfigError`` when
    the server serves another assistant than the one that was asked for.
    """
    from tools.storage.lock import serving

    embedded = settings.database_url is None
    server = serving(settings.data) if embedded else None
    if server is not None:
        require_served(settings, server)
        async with Client.open(server.url) as client:
            yield client
        return
    from graphs.assembly import open_product

    async with open_product(settings, works=embedded and not renews, renews=renews, announce=announce) as product:
        yield LocalClient(product)
