"""The composition root: settings and an assistant folder in, a working service out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
from threadpoolctl import threadpool_limits

from agents.checker import LocalChecker
from agents.drafter import LocalDrafter
from agents.escalation import LocalEscalation
from agents.router import LocalRouter, RouterSettings
from graphs.engine import Engine
from graphs.hub import Hub
from graphs.segments import Segments
from graphs.service import Service
from graphs.settings import Settings
from graphs.support import build_support_graph
from graphs.team import Team
from policies.errors import HandrailError
from policies.types import Principal
from tools.assistants import Assistant, load_assistant
from tools.clock import Clock, Ids, SystemClock, TimeOrderedIds
from tools.encoder.opening import open_encoder
from tools.encoder.ports import Encoder
from tools.evidence import stored_vectors
from tools.guards.language import identify_language, warm_up
from tools.knowledge.base import Knowledge, open_knowledge
from tools.storage import idempotency, runs
from tools.storage.checkpoints import TimedSaver, open_checkpoints
from tools.storage.database import open_database
from tools.storage.lock import owned
from tools.storage.sealing import Sealer, load_or_make_key
from tools.storage.store import Store

log = logging.getLogger("handrail")
TICK_SECONDS = 5.0
HOUR_SECONDS = 3600.0
Hire = Callable[[Assistant, Knowledge, Encoder], Awaitable[Team]]


@dataclass(frozen=True, kw_only=True)
class Product:
    """Everything that one process serves."""

    settings: Settings
    assistant: Assistant
    service: Service
    knowledge: Knowledge
    encoder: Encoder
    principal: Principal
    """The local admin, in whose name CLI and server call."""


@asynccontextmanager
async def open_product(
    settings: Settings,
    *,
    announce: Callable[[str], None] = log.info,
    clock: Clock | None = None,
    ids: Ids | None = None,
    hire: Hire | None = None,
) -> AsyncIterator[Product]:
    """Build the service, take up runs that an earlier process left, and close everything in the end.

    ``announce`` is told what takes long; ``hire`` finds other agents than ``build_team``. Raises ``ConfigError``
    for what the operator must mend, also when another process owns the data folder.
    """
    clock, ids = clock or SystemClock(), ids or TimeOrderedIds()
    assistant = load_assistant(settings.assistant)
    async with AsyncExitStack() as stack:
        stack.enter_context(owned(settings.data))
        # Our matrices are small: a second BLAS thread costs more than it saves, and other threads wait for it.
        stack.enter_context(threadpool_limits(1, "blas"))
        database = await stack.enter_async_context(open_database(settings.data / "handrail.db"))
        announce("loading the encoder")
        encoder = await stack.enter_async_context(
            open_encoder(assistant.file.encoder, settings.data / "cache", announce)
        )
        chroma = settings.chroma_url or settings.data / "chroma"
        base = await stack.enter_async_context(open_knowledge(database, encoder, chroma, clock=clock, ids=ids))
        knowledge = base.of(settings.workspace, assistant.name)
        announce("teaching the router the intents")
        team = await (hire or partial(build_team, cache=settings.data / "cache"))(assistant, knowledge, encoder)
        await knowledge.index()
        checkpoints = await stack.enter_async_context(open_checkpoints(settings.data / "checkpoints.db"))
        hub = Hub()
        sealer = Sealer(load_or_make_key(settings.data / "vault.key"))
        store = Store(database=database, clock=clock, ids=ids, sealer=sealer, publish=hub.publish)
        segments = _segments(settings, store, checkpoints, team)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        engine = Engine(tasks, segments.work, concurrency=settings.concurrency)
        service = Service(store=store, hub=hub, engine=engine, assistant=assistant, prune=segments.prune)
        for pending in await database.read(runs.pending):
            engine.submit(pending)
        tasks.start_soon(_keep_house, service, segments)
        principal = Principal(workspace_id=settings.workspace, id="local-admin", role="admin")
        try:
            yield Product(
                settings=settings,
                assistant=assistant,
                service=service,
                knowledge=knowledge,
                encoder=encoder,
                principal=principal,
            )
        finally:
            tasks.cancel_scope.cancel()


def _segments(settings: Settings, store: Store, checkpoints: TimedSaver, team: Team) -> Segments:
    return Segments(
        store=store,
        graph=build_support_graph(checkpoints),
        checkpoints=checkpoints,
        team_of=lambda _version: team,
        deadline=settings.run_seconds,
        attempts=settings.segment_attempts,
    )


async def build_team(
    assistant: Assistant, knowledge: Knowledge, encoder: Encoder, cache: Path | None = None
) -> Team:
    """Hire the local tier's agents for an assistant; what loads slowly is loaded here and not in a turn."""
    await anyio.to_thread.run_sync(warm_up)
    return Team(
        assistant=assistant,
        router=await LocalRouter.fit(
            assistant.intents,
            assistant.out_of_scope,
            encoder,
            fallback_queue=assistant.policy.default_queue,
            settings=RouterSettings(in_scope=assistant.policy.thresholds.in_scope),
            cache=cache,
        ),
        searcher=knowledge,
        drafter=LocalDrafter(
            encoder,
            stored_vectors(knowledge),
            enough=assistant.policy.thresholds.answer_confidence,
            glossary=assistant.glossary,
        ),
        checker=LocalChecker(encoder, supported=assistant.policy.thresholds.support),
        escalation=LocalEscalation(),
        language=identify_language,
    )


async def _keep_house(service: Service, segments: Segments) -> None:
    """From time to time: expired reviews get their breach action, old idempotency keys and checkpoints go."""
    last_hourly = -HOUR_SECONDS
    while True:
        try:
            await service.expire_reviews()
            if anyio.current_time() - last_hourly >= HOUR_SECONDS:
                forget = partial(idempotency.forget_old, now=service.store.clock.now())
                await service.store.database.write(forget)
                await segments.prune_finished()
                last_hourly = anyio.current_time()
        except HandrailError as error:
            log.warning("house-keeping waits: %s", error)
        except Exception:
            log.exception("house-keeping waits")
        await anyio.sleep(TICK_SECONDS)
