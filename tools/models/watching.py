"""What is seen of requests to models from outside: figures for /metrics, and a span for each model asked."""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio
from pydantic import BaseModel

from policies.types import Tier
from tools.metrics import (
    MODEL_CALLS,
    MODEL_MONEY,
    MODEL_REQUESTS,
    MODEL_SECONDS,
    MODEL_TOKENS,
)
from tools.models.client import Meter
from tools.models.ports import Completion, ModelRequest, Usage
from tools.models.prompts import Prompt
from tools.models.settings import ModelSettings
from tools.telemetry import names
from tools.telemetry.contents import written
from tools.telemetry.spans import Attributes, Span, here


@dataclass(frozen=True, kw_only=True)
class Watch:
    """A model that is being asked."""

    tier: Tier
    settings: ModelSettings
    span: Span
    began: float = field(default_factory=anyio.current_time)

    def ended(self, meter: Meter, used: Usage) -> None:
        """Tell how it ended; one that neither answered nor failed was not waited for."""
        MODEL_CALLS.labels(self.tier).inc(meter.calls)
        MODEL_TOKENS.labels(self.tier, "input").inc(used.input_tokens)
        MODEL_TOKENS.labels(self.tier, "output").inc(used.output_tokens)
        MODEL_MONEY.labels(self.tier).inc(used.money)
        MODEL_SECONDS.labels(self.tier).observe(anyio.current_time() - self.began)
        if meter.whole:
            MODEL_REQUESTS.labels(self.tier, "answered").inc()
        elif not meter.failed:
            MODEL_REQUESTS.labels(self.tier, "cancelled").inc()
        self._tell(meter, used)

    def _tell(self, meter: Meter, used: Usage) -> None:
        first = None if meter.first_token is None else meter.first_token - self.began
        self.span.set(
            {
                **_used(used),
                names.CALLS: meter.calls,
                names.FIRST_CHUNK: first,
                names.FINISH_REASONS: [meter.finish] if meter.finish else None,
                names.OUTPUT_MESSAGES: _said(self.span, meter.text),
            }
        )
        if not meter.whole:
            self.span.fail(meter.failed or "cancelled")
        self.span.end()


def watched(
    request: ModelRequest, tier: Tier, settings: ModelSettings, prompt: Prompt, schema: type[BaseModel] | None
) -> Watch:
    """Watch a model that is about to be asked; whoever asks says how it ended."""
    return Watch(tier=tier, settings=settings, span=_begun(request, tier, settings, prompt, schema))


def kept(
    request: ModelRequest,
    tier: Tier,
    settings: ModelSettings,
    prompt: Prompt,
    schema: type[BaseModel] | None,
    reply: Completion,
) -> None:
    """Tell of a request that a kept reply answered."""
    MODEL_REQUESTS.labels(tier, "cached").inc()
    span = _begun(request, tier, settings, prompt, schema)
    span.set({names.CACHED: True, names.CALLS: 0, names.OUTPUT_MESSAGES: _said(span, reply.text)})
    span.end()


def gave_up(tier: Tier, model: str, code: str) -> None:
    """Tell of a model that gave no answer or was not asked, so that the next one, or the local tier, must do."""
    MODEL_REQUESTS.labels(tier, code).inc()
    here().event("degraded", {names.TIER: tier, names.REQUEST_MODEL: model or None, names.ERROR: code})


def _begun(
    request: ModelRequest, tier: Tier, settings: ModelSettings, prompt: Prompt, schema: type[BaseModel] | None
) -> Span:
    name, _, version = request.prompt_version.partition("@")
    attributes: Attributes = {
        names.OPERATION: "chat",
        names.PROVIDER: names.PROVIDERS.get(settings.provider, settings.provider),
        names.REQUEST_MODEL: settings.model,
        names.REQUEST_MAX_TOKENS: settings.max_tokens,
        names.REQUEST_TEMPERATURE: settings.temperature,
        names.REQUEST_STREAM: schema is None,
        names.OUTPUT_TYPE: "text" if schema is None else "json",
        names.CONVERSATION: request.account.conversation_id,
        names.PROMPT_NAME: name or None,
        names.PROMPT_VERSION: version or None,
        names.TASK: request.task,
        names.TIER: tier,
    }
    span = here().begin("model", f"chat {settings.model}", attributes)
    if span.wants_content:
        span.set({names.INPUT_MESSAGES: written((each.role, each.text) for each in prompt.messages)})
    return span


def _used(used: Usage) -> Attributes:
    return {
        names.INPUT_TOKENS: used.input_tokens,
        names.OUTPUT_TOKENS: used.output_tokens,
        names.CACHED_TOKENS: used.cached_tokens,
        names.MONEY: used.money if used.priced else None,
    }


def _said(span: Span, text: str | None) -> str | None:
    return written([("assistant", text)]) if text and span.wants_content else None
