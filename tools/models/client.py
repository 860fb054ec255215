"""Calls one model: time-outs, retries that honour what the provider asks for, an optional second try."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar, cast

import anyio
import anyio.to_thread
from pydantic import BaseModel

from policies.folder import Structured
from tools.models.errors import ModelFailed
from tools.models.faults import DEADLINE, REFUSED, SLOW, CallFailed, may_be_the_form, read_fault
from tools.models.gate import Gate
from tools.models.heard import Heard
from tools.models.ports import ToolCall, Usage
from tools.models.prompts import Prompt
from tools.models.providers import Opened
from tools.models.settings import ModelSettings
from tools.models.structured import Asked, Form, ask_structured, reply_in, with_schema
from tools.telemetry import names
from tools.telemetry.spans import NOTHING, Span

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

T = TypeVar("T")
log = logging.getLogger("handrail.models")
PATIENCE = 4
"""A model that was silent for one part in so many of its time has hung."""


@dataclass
class Meter:
    """What one request to one model has taken, however it ends."""

    calls: int = 0
    used: list[Usage] = field(default_factory=list)
    first_token: float | None = None
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = ""
    value: BaseModel | None = None
    whole: bool = False
    failed: str = ""
    """The code of why there is no reply."""
    span: Span = NOTHING
    """Is told of each call that failed."""


class ModelClient:
    """One model, opened at the first call and shared by all callers."""

    def __init__(
        self,
        settings: ModelSettings,
        opener: Callable[[ModelSettings], Opened],
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self.gate = Gate(settings)
        self._opener = opener
        self._opened: Opened | None = None
        self._opening = anyio.Lock()
        self._dice = dice
        self._form = Form(settings)

    async def open(self) -> BaseChatModel:
        """Return the provider's client; making it may import much, so that is done in a thread."""
        if self._opened is None:
            async with self._opening:
                if self._opened is None:
                    self._opened = await anyio.to_thread.run_sync(self._opener, self.settings)
        return self._opened.model

    async def aclose(self) -> None:
        """Close the provider's client and its connections."""
        if self._opened is not None and self._opened.close is not None:
            await self._opened.close()

    async def stream(self, prompt: Prompt, until: float, meter: Meter) -> AsyncGenerator[str | None, None]:
        """Yield the texts of a reply; None means that it broke off and begins anew. Raises ``ModelFailed``."""
        for tries in range(self.settings.retries + 1):
            given = False
            make = self._hedged if self.settings.hedge_seconds is not None else self._run
            try:
                async with aclosing(make(prompt, until, meter)) as texts:
                    async for text in texts:
                        given = True
                        yield text
                return
            except Exception as error:
                wait = self._wait_after(error, tries, until, meter)
            await anyio.sleep(wait)
            if given:
                yield None

    async def invoke(self, prompt: Prompt, schema: type[BaseModel], until: float, meter: Meter) -> None:
        """Put a validated reply into the meter, after one attempt to have it mended. Raises ``ModelFailed``."""
        meter.value = await reply_in(schema, prompt, lambda each: self._asked(each, schema, until, meter))

    async def _asked(self, prompt: Prompt, schema: type[BaseModel], until: float, meter: Meter) -> Asked:
        model = await self.open()

        async def once() -> Asked:
            form = self._form.how
            sent = with_schema(prompt, schema) if form == "json_mode" else prompt
            async with self.gate.entered(self._likely(sent), until):
                meter.calls += 1
                try:
                    asked = await self._ask(model, sent, schema, form, until)
                except BaseException as error:
                    if _may_cost(error):
                        meter.used.append(Heard().usage(sent.tokens))
                    raise
                meter.used.append(asked.usage)
                meter.text, meter.finish = asked.text, asked.finish
                return asked

        form = self._form.how
        try:
            return await self._retrying(once, until, meter)
        except ModelFailed as error:
            # A request that is refused is not repeated, but may be put another way.
            if error.code != REFUSED or self._form.how == form:
                raise
            log.info("%s refused a reply in a schema; it is asked for JSON in words", self.settings.name)
        return await self._retrying(once, until, meter)

    async def _ask(
        self,
        model: BaseChatModel,
        prompt: Prompt,
        schema: type[BaseModel],
        form: Structured | None,
        until: float,
    ) -> Asked:
        began = anyio.current_time()
        try:
            with anyio.fail_after(max(0.0, min(self.settings.total_seconds, until - began))):
                asked = await ask_structured(model, prompt, schema, form)
        except TimeoutError:
            raise self._too_late(began, until, False) from None
        except Exception as error:
            if may_be_the_form(error):
                self._form.failed(form, refused=read_fault(error).code == REFUSED)
            raise
        self._form.worked(form)
        return asked

    def _too_late(self, began: float, until: float, said_anything: bool) -> CallFailed:
        """Return the failure of a call that was not waited for any longer.

        At the end of the run's time a model that was talking is not to blame, nor one that had hardly begun.
        """
        now = anyio.current_time()
        if now < until:
            return CallFailed(SLOW)
        hung = not said_anything and now - began >= self.settings.first_token_seconds / PATIENCE
        return CallFailed(replace(DEADLINE, blames=hung))

    async def _retrying(self, once: Callable[[], Awaitable[T]], until: float, meter: Meter) -> T:
        tries = 0
        while True:
            try:
                return await once()
            except Exception as error:
                wait = self._wait_after(error, tries, until, meter)
            await anyio.sleep(wait)
            tries += 1

    def _likely(self, prompt: Prompt) -> int:
        """Return how many tokens a provider counts against the limit when a call begins."""
        return prompt.tokens + self.settings.max_tokens

    def _wait_after(self, error: Exception, tries: int, until: float, meter: Meter) -> float:
        """Return how long to wait before the next try, or raise ``ModelFailed`` if there is none."""
        fault = read_fault(error)
        highest = min(self.settings.longest_wait, self.settings.first_wait * (1 << tries))
        wait = (fault.after or 0.0) + self._dice() * highest
        late = anyio.current_time() + wait >= until
        too_long = (fault.after or 0.0) > self.settings.longest_wait
        if not fault.retry or late or too_long or tries >= self.settings.retries or self.gate.circuit.is_open:
            meter.span.event("call.failed", {names.CALL: tries + 1, names.ERROR: fault.code})
            raise ModelFailed(fault.text, code=fault.code) from error
        meter.span.event("call.failed", {names.CALL: tries + 1, names.ERROR: fault.code, names.WAIT: wait})
        return wait

    async def _run(self, prompt: Prompt, until: float, meter: Meter) -> AsyncGenerator[str, None]:
        """Make one call and yield its texts."""
        model = await self.open()
        heard = Heard()
        async with self.gate.entered(self._likely(prompt), until):
            meter.calls += 1
            try:
                async with aclosing(self._texts(model, prompt, heard, until)) as texts:
                    async for text in texts:
                        if meter.first_token is None:
                            meter.first_token = anyio.current_time()
                        yield text
                heard.check(self.settings.announces_end)
            except BaseException as error:
                # What was refused outright costs nothing; what was begun or left hanging may.
                if heard.said_anything or _may_cost(error):
                    meter.used.append(heard.usage(prompt.tokens))
                raise
            meter.used.append(heard.usage(prompt.tokens))
            meter.text, meter.finish, meter.tool_calls = heard.text, heard.finish, heard.tool_calls

    async def _texts(
        self, model: BaseChatModel, prompt: Prompt, heard: Heard, until: float
    ) -> AsyncGenerator[str, None]:
        """Yield texts, each within the time there is for it; only waiting for the provider counts."""
        first, left = self.settings.first_token_seconds, self.settings.total_seconds
        stream = model.astream(prompt.to_langchain())
        async with aclosing(cast("AsyncGenerator[object, None]", stream)):
            while True:
                began = anyio.current_time()
                if began >= until:
                    raise CallFailed(DEADLINE)
                # A scope must not span a yield, so each step has its own.
                late = began + min(left, until - began, left if heard.said_anything else first)
                try:
                    with anyio.CancelScope(deadline=late) as waiting:
                        text = await heard.next_text(stream)
                except TimeoutError:
                    raise self._too_late(began, until, heard.said_anything) from None
                if waiting.cancelled_caught:
                    raise self._too_late(began, until, heard.said_anything)
                left = max(0.0, left - (anyio.current_time() - began))
                if text is None:
                    return
                yield text

    async def _hedged(self, prompt: Prompt, until: float, meter: Meter) -> AsyncGenerator[str, None]:
        """Make a call and, if it is slow to begin and there is room, a second; the first to begin is kept."""
        runs = [self._run(prompt, until, meter), self._run(prompt, until, meter)]
        begun: list[tuple[AsyncGenerator[str, None], str]] = []
        failed: list[Exception] = []
        asked = 1
        try:
            async with anyio.create_task_group() as group:

                async def begin(run: AsyncGenerator[str, None]) -> None:
                    try:
                        begun.append((run, await anext(run)))
                    except Exception as error:
                        failed.append(error)
                    if begun or len(failed) == asked:
                        group.cancel_scope.cancel()

                async def later() -> None:
                    nonlocal asked
                    await anyio.sleep(cast("float", self.settings.hedge_seconds))
                    if self.gate.has_room():
                        asked = 2
                        await begin(runs[1])

                group.start_soon(later)
                await begin(runs[0])
            if not begun:
                raise failed[0]
            run, text = begun[0]
            yield text
            async for text in run:
                yield text
        finally:
            for each in runs:
                await each.aclose()


def _may_cost(error: BaseException) -> bool:
    """Whether a call without any reply may have to be paid for: it was left hanging, not refused."""
    if isinstance(error, CallFailed):
        return error.fault.code in (SLOW.code, DEADLINE.code)
    return not isinstance(error, Exception)
