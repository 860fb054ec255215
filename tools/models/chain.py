"""Asks the models of a chain of tiers, one after the other, within consent, budgets and the deadline."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add

import anyio
from pydantic import BaseModel

from policies.budgets import ENOUGH, BudgetOutcome, strictest
from policies.consent import may_use
from policies.types import Tier
from tools.clock import Clock, SystemClock
from tools.metrics import FALLBACKS
from tools.models import watching
from tools.models.cache import ExactCache, cache_key
from tools.models.client import Meter, ModelClient
from tools.models.errors import ModelFailed
from tools.models.faults import DEADLINE, WRONG_KEY
from tools.models.ports import Completion, Hold, ModelRequest, Piece, Spending, Tried, Usage
from tools.models.prices import priced
from tools.models.prompts import Prompt, to_prompt
from tools.models.providers import PROVIDERS, Provider, check_provider
from tools.models.settings import ModelSettings, ModelsSettings

log = logging.getLogger("handrail.models")
NO_CONSENT = "The customer has not agreed to models of others."
PRIVATE_ONLY = "Only models marked private may read this."
STOPS = ("local", "escalate")


class _LockedOut:
    """The models whose provider does not accept our key, which an operator must mend; shared by all requests."""

    def __init__(self) -> None:
        self._models: set[str] = set()

    def first(self, model: str, code: str) -> bool:
        """Whether this is a refused key, and the first since the model answered."""
        new = code == WRONG_KEY and model not in self._models
        if new:
            self._models.add(model)
        return new

    def answered(self, model: str) -> None:
        """Note that a model answered, so that the next refused key is told anew."""
        self._models.discard(model)


@dataclass
class _Talk:
    """One request on its way along the chain."""

    request: ModelRequest
    schema: type[BaseModel] | None
    prompt: Prompt
    began: float
    until: float
    locked_out: _LockedOut
    tried: list[Tried] = field(default_factory=list)
    used: Usage = field(default_factory=Usage)
    calls: int = 0
    budget: BudgetOutcome = ENOUGH

    def gave_up(self, tier: Tier, model: str, code: str, text: str, calls: int = 0) -> None:
        watching.gave_up(tier, model, code)
        level = logging.WARNING if self.locked_out.first(model, code) else logging.INFO
        log.log(level, "no %s from %s (%s): %s %s", self.request.task, model or "no model", tier, code, text)
        self.tried.append(Tried(tier=tier, model=model, code=code, text=text, calls=calls))

    def ended(self) -> Completion:
        """Return what is said when no model answered."""
        return Completion(
            tier="local",
            usage=self.used,
            calls=self.calls,
            degraded=tuple(self.tried),
            budget=self.budget,
            total_ms=(anyio.current_time() - self.began) * 1000,
        )

    def answered(self, tier: Tier, settings: ModelSettings, meter: Meter) -> Completion:
        """Return what is said when a model answered, with all that was tried before."""
        self.locked_out.answered(settings.name)
        first = self.began if meter.first_token is None else meter.first_token
        return replace(
            self.ended(),
            tier=tier,
            model=settings.name,
            text=meter.text,
            value=meter.value,
            tool_calls=meter.tool_calls,
            finish=meter.finish,
            first_token_ms=(first - self.began) * 1000,
        )

    def repeated(self, kept: Completion) -> Completion:
        """Return a kept reply, as the end of this request."""
        ended = self.ended()
        return replace(
            kept,
            usage=self.used,
            calls=self.calls,
            degraded=ended.degraded,
            budget=ENOUGH,
            first_token_ms=ended.total_ms,
            total_ms=ended.total_ms,
        )


class TieredModels:
    """The adapter to all language models; made by ``open_models``."""

    def __init__(
        self,
        clients: Mapping[Tier, tuple[ModelClient, ...]],
        spending: Spending,
        cache: ExactCache,
        clock: Clock,
    ) -> None:
        self.cache = cache
        self._clients = clients
        self._spending = spending
        self._clock = clock
        self._locked_out = _LockedOut()

    def stream(self, request: ModelRequest) -> AsyncGenerator[Piece, None]:
        """Yield the reply as it is written, as ``Models.stream`` says."""
        return self._serve(request, None)

    async def complete(self, request: ModelRequest, schema: type[BaseModel] | None = None) -> Completion:
        """Return the whole reply, as ``Models.complete`` says."""
        ended: Completion | None = None
        async with aclosing(self._serve(request, schema)) as pieces:
            async for piece in pieces:
                ended = piece.completion
        assert ended is not None, "a stream of pieces ends with a completion"
        return ended

    async def warm(self) -> None:
        """Open all models now, so that no turn waits for their packages. Raises ``ConfigError``."""
        for clients in self._clients.values():
            for client in clients:
                await client.open()

    def forget(self) -> None:
        """Drop all kept replies, as after an erasure."""
        self.cache.forget()

    async def _serve(self, request: ModelRequest, schema: type[BaseModel] | None) -> AsyncGenerator[Piece, None]:
        talk = self._begun(request, schema)
        for tier, client in self._allowed(talk):
            if anyio.current_time() >= talk.until:
                talk.gave_up(tier, client.settings.name, DEADLINE.code, DEADLINE.text)
                break
            key = cache_key(client.settings, request, talk.prompt, schema)
            if (kept := self.cache.get(key)) is not None:
                await self._spending.save(request.account, kept.usage)
                watching.kept(request, tier, client.settings, talk.prompt, schema, kept)
                if kept.text and schema is None:
                    yield Piece(text=kept.text)
                yield Piece(completion=talk.repeated(kept))
                return
            hold = await self._hold(talk, tier, client.settings)
            if hold is None:
                break
            watch = watching.watched(request, tier, client.settings, talk.prompt, schema)
            given, meter = False, Meter(span=watch.span)
            try:
                async with aclosing(_asked(client, talk, meter)) as texts:
                    async for each in texts:
                        given = each is not None
                        yield Piece(restart=True) if each is None else Piece(text=each)
                meter.whole = True
            except ModelFailed as error:
                meter.failed = error.code
                talk.gave_up(tier, client.settings.name, error.code, error.message, meter.calls)
            finally:
                used = await self._settle(talk, hold, client.settings, meter)
                watch.ended(meter, used)
            if meter.whole:
                completion = talk.answered(tier, client.settings, meter)
                self.cache.put(key, replace(completion, usage=used), request)
                yield Piece(completion=completion)
                return
            if given:
                yield Piece(restart=True)
        if talk.tried:
            FALLBACKS.labels("models").inc()
        yield Piece(completion=talk.ended())

    def _begun(self, request: ModelRequest, schema: type[BaseModel] | None) -> _Talk:
        now = anyio.current_time()
        left = (request.deadline - self._clock.now()).total_seconds()
        prompt = to_prompt(request.messages)
        return _Talk(
            request=request,
            schema=schema,
            prompt=prompt,
            began=now,
            until=now + left,
            locked_out=self._locked_out,
        )

    def _allowed(self, talk: _Talk) -> Iterator[tuple[Tier, ModelClient]]:
        """Yield the models of the chain that may read the request; the others count as tried."""
        for tier in talk.request.tiers:
            if tier in ("local", "person"):
                return
            clients = self._clients.get(tier, ())
            if not clients:
                talk.gave_up(tier, "", "model.none", "No model is set for this tier.")
            for client in clients:
                stays = client.settings.stays_here
                if talk.request.private_only and not stays:
                    talk.gave_up(tier, client.settings.name, "model.not_private", PRIVATE_ONLY)
                elif not may_use(talk.request.consent, stays):
                    talk.gave_up(tier, client.settings.name, "model.no_consent", NO_CONSENT)
                else:
                    yield tier, client

    async def _hold(self, talk: _Talk, tier: Tier, settings: ModelSettings) -> Hold | None:
        """Set aside what a call may cost, or return None when the budgets allow none."""
        likely = priced(Usage(input_tokens=talk.prompt.tokens, output_tokens=settings.max_tokens), settings)
        hold = await self._spending.hold(talk.request.account, likely)
        talk.budget = strictest(talk.request.budgets, hold.before)
        if talk.budget.action not in STOPS:
            return hold
        await self._spending.settle(hold, Usage())
        reason = talk.budget.reason
        talk.gave_up(tier, settings.name, reason.code if reason else "budget", reason.text if reason else "")
        return None

    async def _settle(self, talk: _Talk, hold: Hold, settings: ModelSettings, meter: Meter) -> Usage:
        """Book what was used, even if the caller has gone, and return it."""
        used = _sum(meter, settings)
        talk.used, talk.calls = talk.used + used, talk.calls + meter.calls
        with anyio.CancelScope(shield=True):
            await self._spending.settle(hold, used, calls=meter.calls)
        return used


def _sum(meter: Meter, settings: ModelSettings) -> Usage:
    return priced(reduce(add, meter.used, Usage()), settings) if meter.used else Usage()


async def _asked(client: ModelClient, talk: _Talk, meter: Meter) -> AsyncGenerator[str | None, None]:
    if talk.schema is not None:
        await client.invoke(talk.prompt, talk.schema, talk.until, meter)
        return
    async with aclosing(client.stream(talk.prompt, talk.until, meter)) as texts:
        async for text in texts:
            yield text


@asynccontextmanager
async def open_models(
    settings: ModelsSettings,
    spending: Spending,
    *,
    clock: Clock | None = None,
    providers: Mapping[str, Provider] = PROVIDERS,
    dice: Callable[[], float] = random.random,
) -> AsyncIterator[TieredModels]:
    """Serve the models of all tiers until the context ends, which closes their connections.

    Names, packages and keys are looked at now; a package is imported at the first call or by ``warm``. Raises
    ``ConfigError``.
    """
    clients = {
        tier: tuple(ModelClient(each, check_provider(each, providers).open, dice) for each in models)
        for tier, models in settings.tiers.items()
    }
    cache = ExactCache(settings.cache_entries, settings.cache_seconds)
    try:
        yield TieredModels(clients, spending, cache, clock or SystemClock())
    finally:
        with anyio.CancelScope(shield=True):
            for each in [client for models in clients.values() for client in models]:
                await each.aclose()
