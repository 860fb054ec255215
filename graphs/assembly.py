"""The composition root: settings and an assistant folder in, a working service out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
from threadpoolctl import threadpool_limits

from agents.checker import LocalChecker
from agents.drafter import LocalDrafter
from agents.escalation import LocalEscalation
from agents.prompts import all_prompts
from agents.router import LocalRouter, RouterSettings
from graphs.ahead import warm
from graphs.backend import Backend, open_backend
from graphs.faults import Faults
from graphs.guarding import require_own_words
from graphs.hub import Hub
from graphs.models import Locals, agents_of, opened
from graphs.running import Running, hear
from graphs.sabotage import NO_SABOTAGE, Sabotage
from graphs.segments import Segments
from graphs.service import Service
from graphs.settings import Settings, secret
from graphs.support import build_support_graph
from graphs.team import Team
from graphs.tracing import telemetry_settings
from graphs.versions import Hired, Teams, note_version
from graphs.workflows.definitions import Workflow, load_workflows
from graphs.workflows.segments import WorkflowSegments
from policies.errors import ConfigError
from policies.types import Principal
from tools.assistants import Assistant, load_assistant
from tools.clock import Clock, Ids, SystemClock, TimeOrderedIds
from tools.encoder.opening import open_encoder
from tools.encoder.ports import Encoder, Forgetful
from tools.evidence import stored_matching
from tools.guards.language import identify_language, warm_up
from tools.guards.opening import open_finder, open_guards
from tools.guards.rails import Rails
from tools.knowledge.base import Knowledge, KnowledgeBase, open_knowledge
from tools.knowledge.vectors import IN_MEMORY
from tools.known import KnownQuestions
from tools.models.ports import Models, Spending
from tools.models.providers import Provider
from tools.offers import open_actions
from tools.storage.audit.keys import LedgerKey, ledger_key
from tools.storage.installation import require_key
from tools.storage.sealing import Sealer, is_key, load_or_make_key
from tools.storage.spending import StoredSpending
from tools.storage.store import Store
from tools.telemetry.opening import open_telemetry
from tools.telemetry.spans import SILENCE, Telemetry

log = logging.getLogger("handrail")
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
    faults: tuple[str, ...] = ()
    """What goes wrong in this process on purpose."""
    telemetry: Telemetry = SILENCE
    """Records requests; runs are recorded by whoever works on them."""


@asynccontextmanager
async def open_product(
    settings: Settings,
    *,
    works: bool = True,
    warms: bool = False,
    renews: bool = False,
    queues: Sequence[str] | None = None,
    announce: Callable[[str], None] = log.info,
    clock: Clock | None = None,
    ids: Ids | None = None,
    hire: Hire | None = None,
    faults: Faults | None = None,
    sabotage: Sabotage = NO_SABOTAGE,
    providers: Mapping[str, Provider] | None = None,
) -> AsyncIterator[Product]:
    """Build the service, deliver jobs of ``queues`` (all when None) if it ``works``, and close all in the end.

    At the end, what is being worked on has ``HANDRAIL_DRAIN_SECONDS`` to finish; the rest is taken up by another
    process, or by the next. What ``warms`` takes up to three seconds more to open, for which its first turns are
    as fast as those that follow. What ``renews`` opens with no passages where another encoder made the index, and
    an ingest makes it anew. ``announce`` is told what takes long; ``hire`` finds other agents than
    ``build_team``; ``faults`` and ``sabotage`` go wrong on purpose; ``providers`` open language models in place
    of those known. Raises ``ConfigError`` for what the operator must mend, also when another process owns the
    data folder.
    """
    async with AsyncExitStack() as stack:
        # Our matrices are small: a second BLAS thread costs more than it saves, and other threads wait for it.
        stack.enter_context(threadpool_limits(1, "blas"))
        opening = _Opening(
            stack=stack,
            settings=settings,
            clock=clock or SystemClock(),
            ids=ids or TimeOrderedIds(),
            announce=announce,
            hire=hire,
            faults=faults,
            sabotage=sabotage,
            providers=providers,
            renews=renews,
        )
        yield await opening.product(works=works, warms=warms, queues=queues)


@dataclass(frozen=True, kw_only=True)
class _Outfit:
    """What takes long to open."""

    encoder: Encoder
    knowledge: Knowledge
    team: Team
    hire: Hired
    """Builds the team of another version of the assistant."""


@dataclass(frozen=True, kw_only=True)
class _Opening:
    """Opens a product; the stack closes it."""

    stack: AsyncExitStack
    settings: Settings
    clock: Clock
    ids: Ids
    announce: Callable[[str], None]
    hire: Hire | None
    faults: Faults | None
    sabotage: Sabotage
    providers: Mapping[str, Provider] | None
    renews: bool

    async def product(self, *, works: bool, warms: bool, queues: Sequence[str] | None) -> Product:
        """Open everything, in the order in which it is needed."""
        settings, enter = self.settings, self.stack.enter_async_context
        assistant = load_assistant(settings.assistant)
        defined = await anyio.to_thread.run_sync(load_workflows, assistant)
        telemetry = await enter(open_telemetry(telemetry_settings(settings)))
        backend = await enter(open_backend(settings, self.clock, self.sabotage.database))
        sealer = Sealer(await anyio.to_thread.run_sync(vault_key, settings))
        await backend.database.write(partial(require_key, sealer=sealer))
        hub = Hub()
        store = Store(
            database=backend.database,
            clock=self.clock,
            ids=self.ids,
            sealer=sealer,
            publish=hub.publish,
            heard=lambda ring: hear(hub, segments, workflows, ring),
        )
        outfit = await self.outfit(assistant, store)
        if warms:
            self.announce("looking the passages over")
            await warm(outfit.team, (await outfit.knowledge.index()).passages)
        principal = Principal(workspace_id=settings.workspace, id="local-admin", role="admin")
        workspace = store.in_workspace(settings.workspace)
        await workspace.write(lambda tx: note_version(tx, assistant, principal))
        teams = Teams(workspace=workspace, own=outfit.team, hire=outfit.hire)
        segments = _segments(settings, store, backend, teams, self.sabotage.at_points(self.faults), telemetry)
        workflows = _workflows(segments, outfit, defined)
        service = _service(store, hub, backend, outfit, teams, segments, defined)
        key = await anyio.to_thread.run_sync(key_of_ledger, settings)
        running = _running(settings, backend, service, segments, workflows, outfit, key)
        await enter(running.started(works=works, queues=queues))
        await enter(self.sabotage.under_way(backend.line))
        return Product(
            settings=settings,
            assistant=assistant,
            service=service,
            knowledge=outfit.knowledge,
            encoder=outfit.encoder,
            principal=principal,
            faults=self.sabotage.names,
            telemetry=telemetry,
        )

    async def outfit(self, assistant: Assistant, store: Store) -> _Outfit:
        """Open the encoder and the knowledge, and hire the team of the present version."""
        self.announce("loading the encoder")
        name, where = assistant.file.encoder, _vector_store(self.settings)
        encoder = await self.stack.enter_async_context(open_encoder(name, self._cache, self.announce))
        base = await self.stack.enter_async_context(
            open_knowledge(
                store.database,
                encoder,
                where,
                clock=self.clock,
                ids=self.ids,
                open_store=self.sabotage.vector_store,
            )
        )
        knowledge = base.of(self.settings.workspace, assistant.name)
        if self.renews:
            await knowledge.renew()
        hire = partial(self.team, base, encoder, StoredSpending(store))
        team = await hire(assistant)
        return _Outfit(encoder=encoder, knowledge=knowledge, team=team, hire=hire)

    async def team(self, base: KnowledgeBase, encoder: Encoder, spending: Spending, version: Assistant) -> Team:
        """Hire the team of a version, with the models that it names."""
        # Over a shared database it may be another assistant's, which has knowledge of its own.
        known = base.of(self.settings.workspace, version.name)
        await known.index()
        kept = self.settings.model_cache
        models = await self.stack.enter_async_context(
            opened(version.file, secret, spending, self.clock, self.announce, self.providers, kept)
        )
        self.announce("teaching the router the intents")
        team = await (self.hire or partial(build_team, cache=self._cache, models=models))(version, known, encoder)
        await require_own_words(team)
        if models is not None:
            team = replace(team, models=models, spending=spending)
        return self.sabotage.team(team)

    @property
    def _cache(self) -> Path:
        return self.settings.data / "cache"


def vault_key(settings: Settings) -> bytes:
    """Return the key that personal data is sealed with, making its file on first use; raises ``ConfigError``."""
    if settings.vault_key is None:
        return load_or_make_key(settings.data / "vault.key")
    key = settings.vault_key.get_secret_value().encode()
    if not is_key(key):
        remedy = "Take the text of the file vault.key of the first process, 32 bytes in URL-safe base64."
        raise ConfigError("HANDRAIL_VAULT_KEY is no key.", remedy=remedy, code="settings.invalid")
    return key


def key_of_ledger(settings: Settings) -> LedgerKey:
    """Return the key that signs the ledger's heads, making its file on first use; raises ``ConfigError``."""
    given = settings.ledger_key
    return ledger_key(given.get_secret_value() if given else None, settings.data)


def _vector_store(settings: Settings) -> Path | str:
    """Return where vectors are searched: a server, a folder of this process alone, or its memory.

    Processes that share a database must not share an embedded store's folder; each can make its own from the rows.
    """
    if settings.chroma_url:
        return settings.chroma_url
    return settings.data / "chroma" if settings.database_url is None else IN_MEMORY


def _workflows(segments: Segments, outfit: _Outfit, defined: Mapping[str, Workflow]) -> WorkflowSegments:
    return WorkflowSegments(
        store=segments.store,
        workflows=defined,
        assistant=outfit.team.assistant,
        checkpoints=segments.checkpoints,
        jobs=segments.jobs,
        prune=segments.prune,
        deadline=segments.deadline,
        attempts=segments.attempts,
        finder=outfit.team.finder,
        models=outfit.team.models,
        telemetry=segments.telemetry,
    )


def _service(
    store: Store,
    hub: Hub,
    backend: Backend,
    outfit: _Outfit,
    teams: Teams,
    segments: Segments,
    defined: Mapping[str, Workflow],
) -> Service:
    return Service(
        store=store,
        hub=hub,
        jobs=backend.jobs,
        assistant=outfit.team.assistant,
        prune=segments.prune,
        defined=defined,
        telemetry=segments.telemetry,
        scrub=backend.scrub,
        finder=outfit.team.finder,
        forget=partial(_forget, outfit.encoder, teams),
    )


def _forget(encoder: Encoder, teams: Teams) -> None:
    if isinstance(encoder, Forgetful):
        encoder.forget()
    teams.forget()


def _running(
    settings: Settings,
    backend: Backend,
    service: Service,
    segments: Segments,
    workflows: WorkflowSegments,
    outfit: _Outfit,
    key: LedgerKey,
) -> Running:
    return Running(
        settings=settings,
        backend=backend,
        service=service,
        segments=segments,
        workflows=workflows,
        knowledge=outfit.knowledge,
        team=outfit.team,
        ledger_key=key,
    )


def _segments(
    settings: Settings, store: Store, backend: Backend, teams: Teams, faults: Faults, telemetry: Telemetry
) -> Segments:
    return Segments(
        store=store,
        graph=build_support_graph(),
        checkpoints=backend.checkpoints,
        jobs=backend.jobs,
        team_of=teams.of,
        deadline=settings.run_seconds,
        attempts=settings.segment_attempts,
        faults=faults,
        telemetry=telemetry,
    )


async def learn_questions(assistant: Assistant, encoder: Encoder, cache: Path | None = None) -> KnownQuestions:
    """Read an assistant's known questions as customers' are read."""
    return await KnownQuestions.learn(assistant.questions, encoder, assistant.glossary, cache)


async def fit_router(
    assistant: Assistant, encoder: Encoder, known: KnownQuestions, cache: Path | None = None
) -> LocalRouter:
    """Teach the local router an assistant's intents, with the known questions that belong to them."""
    return await LocalRouter.fit(
        assistant.intents,
        assistant.out_of_scope,
        encoder,
        fallback_queue=assistant.policy.default_queue,
        settings=RouterSettings(in_scope=assistant.policy.thresholds.in_scope),
        known=known,
        cache=cache,
    )


async def build_team(
    assistant: Assistant,
    knowledge: Knowledge,
    encoder: Encoder,
    cache: Path | None = None,
    models: Models | None = None,
) -> Team:
    """Hire an assistant's agents: the local tier's, who ask language models where its file says so.

    What loads slowly is loaded here and not in a turn.
    """
    await anyio.to_thread.run_sync(warm_up)
    finder = await open_finder(assistant, knowledge, encoder)
    protected = [each.text for each in all_prompts()]
    opened = await open_guards(assistant, encoder, knowledge, finder, protected=protected)
    guards = Rails(opened, assistant.bindings)
    known = await learn_questions(assistant, encoder, cache)
    index = await knowledge.index()
    if index.passages and (missing := await anyio.to_thread.run_sync(known.unsaid, index)):
        log.warning("%d sentences that answer known questions are not said; ask `handrail doctor`", len(missing))
    drafter = LocalDrafter(
        encoder,
        stored_matching(knowledge),
        enough=assistant.policy.thresholds.answer_confidence,
        glossary=assistant.glossary,
        known=known,
    )
    router = await fit_router(assistant, encoder, known, cache)
    local = Locals(router=router, drafter=drafter, checker=LocalChecker(guards), escalation=LocalEscalation())
    return Team(
        assistant=assistant,
        searcher=known.over(knowledge, encoder),
        **agents_of(assistant, local, models),
        guards=guards,
        language=identify_language,
        finder=finder,
        actions=await open_actions(assistant, cache.parent if cache else Path(".data"), secret),
    )
