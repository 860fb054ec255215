"""The router on language models: a closed vocabulary, asked only where the local router is unsure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from types import GenericAlias
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, create_model

from agents.asking import Asker, said_before
from agents.prompts import PromptFile, load_prompt
from agents.router import STRICTNESS, Reading, RouteRequest
from policies.types import Autonomy, Intent, Reason, Route, Tier
from tools.models.ports import Data, Message, Models

TASK = "route"
NONE = "none"
MOST_ALSO = 5


class ReadingRouter(Protocol):
    """A router that says what else a message may be about."""

    async def read(self, request: RouteRequest) -> Reading:
        """Route one message."""
        ...


@dataclass(frozen=True, kw_only=True)
class ModelRouterSettings:
    """Where a model is asked, and where it is believed; ``design/agents.md`` has the share of messages."""

    hopeless: float = 0.2
    """Below this probability that it belongs to any intent, a message is not put to a model."""
    surely_in_scope: float = 0.85
    """From this one on it is not asked whether the message belongs to any."""
    sure: float = 0.6
    """Below this confidence in the intent a model is asked."""
    believed: float = 0.6
    """Below this confidence of its own a model is not believed."""


class Sorted(BaseModel):
    """What a model makes of a message; the intents are those of one assistant."""

    model_config = ConfigDict(extra="forbid")

    intent: str
    also: list[str] = Field(max_length=MOST_ALSO)
    confidence: float = Field(ge=0, le=1)


class ModelRouter:
    """Asks language models where the local router is unsure; what they leave open, the local route decides.

    A model chooses among the intents, so it can't let more through than one of them allows; what other intents it
    finds in the message, and what the local router finds in its sentences, make the route stricter.
    """

    def __init__(
        self,
        local: ReadingRouter,
        models: Models,
        tiers: Sequence[Tier],
        *,
        intents: Sequence[Intent],
        fallback_queue: str = "general",
        settings: ModelRouterSettings | None = None,
        prompt: PromptFile | None = None,
    ) -> None:
        self._local = local
        self._asker = Asker(task=TASK, models=models, tiers=tuple(tiers), prompt=prompt or load_prompt("route"))
        self._intents = {intent.name: intent for intent in intents}
        self._fallback_queue = fallback_queue
        self._settings = settings or ModelRouterSettings()
        self._schema = _schema(self._intents)
        self._list = "The list:\n" + "\n".join(_told(intent) for intent in intents)

    async def __call__(self, request: RouteRequest) -> Route:
        """Route one message."""
        reading = await self._local.read(request)
        if request.mandate is None or not self.is_unsure(reading):
            return reading.route
        said = Message(
            role="user",
            text="What was said before, then the message:",
            data=(*said_before(request.history), Data(kind="message", text=request.text)),
        )
        found, tier = await self._asker.ask(request.mandate, said, self._schema, more=self._list)
        return reading.route if found is None else self._decided(found, tier, reading)

    def is_unsure(self, reading: Reading) -> bool:
        """Say whether a model is asked: near the line of what is in scope, little confidence, or rivals."""
        route, lines = reading.route, self._settings
        if route.in_scope < lines.hopeless:
            return False
        near = route.intent is None or route.in_scope < lines.surely_in_scope
        return near or route.confidence < lines.sure or bool(reading.rivals)

    def _decided(self, found: Sorted, tier: Tier, reading: Reading) -> Route:
        local = reading.route
        if found.confidence < self._settings.believed:
            text = f"A model ({tier}) was asked and is unsure too ({found.confidence:.0%} for {found.intent})."
            return replace(local, reasons=(*local.reasons, Reason(code="router.model_unsure", text=text)))
        text = f"The local router was unsure; a model ({tier}) is {found.confidence:.0%} sure of {found.intent}."
        reasons = (Reason(code="router.model", text=text),)
        intent = self._intents.get(found.intent)
        if intent is None:
            return replace(
                local,
                intent=None,
                queue=self._fallback_queue,
                priority="normal",
                confidence=found.confidence,
                in_scope=min(local.in_scope, 1 - found.confidence),
                autonomy=Autonomy.HUMAN,
                tier=tier,
                reasons=reasons,
            )
        autonomy, stricter = self._strictest(intent, (*found.also, *reading.asked_too))
        return Route(
            intent=intent.name,
            queue=intent.queue,
            priority=intent.priority,
            confidence=found.confidence,
            in_scope=max(local.in_scope, found.confidence),
            autonomy=autonomy,
            tier=tier,
            reasons=(*reasons, *stricter),
            nearest=local.nearest,
        )

    def _strictest(self, intent: Intent, others: Iterable[str]) -> tuple[Autonomy, tuple[Reason, ...]]:
        known = [self._intents[name] for name in dict.fromkeys(others) if name in self._intents]
        strictest = max([intent, *known], key=lambda each: STRICTNESS.index(each.autonomy))
        if strictest.autonomy is intent.autonomy:
            return intent.autonomy, ()
        text = f"It is about {strictest.name} too, which allows only {strictest.autonomy}."
        return strictest.autonomy, (Reason(code="router.asked_too", text=text),)


def _schema(intents: Iterable[str]) -> type[Sorted]:
    """Return the schema in which only these intents can be named."""
    names: Any = tuple(intents)
    fields: dict[str, Any] = {
        "intent": (Literal[(*names, NONE)], ...),
        "also": (GenericAlias(list, (Literal[names],)), Field(max_length=MOST_ALSO)),
    }
    return create_model("Sorted", __base__=Sorted, **fields)


def _told(intent: Intent) -> str:
    examples = "; ".join(f"“{' '.join(text.split())}”" for text in intent.examples[:2])
    return f"- {intent.name}: {intent.description} For example: {examples}"
