"""Opens the language models that an assistant names, and puts them behind the agents whose tasks they serve."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypedDict

from pydantic import SecretStr

from agents.arguments import LocalArguments
from agents.checker import LocalChecker
from agents.drafter import LocalDrafter
from agents.escalation import LocalEscalation
from agents.model_arguments import ModelArguments
from agents.model_checker import ModelChecker
from agents.model_drafter import ModelDrafter
from agents.model_escalation import ModelEscalation
from agents.model_router import ModelRouter
from agents.router import LocalRouter
from graphs.team import Checker, Drafter, Escalation, Filler, Router
from policies.errors import ConfigError
from policies.folder import AssistantFile, ModelEntry
from policies.types import Tier
from tools.assistants import Assistant
from tools.clock import Clock
from tools.models import ModelSettings, ModelsSettings, Price, Spending, TieredModels, open_models
from tools.models.ports import Models
from tools.models.providers import PROVIDERS, Provider

KEYS: Mapping[str, str] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GOOGLE_API_KEY",
}
"""The variable in which a provider's key usually is."""
KEPT = 1024
"""Replies that are kept when nobody says."""
KeyOf = Callable[[str], SecretStr | None]
_OWN = ("name", "key", "price")


def models_settings(file: AssistantFile, key_of: KeyOf, kept: int = KEPT) -> ModelsSettings | None:
    """Return the settings of an assistant's models, or None when it names none.

    ``key_of`` returns what an environment variable holds; so many replies are ``kept``. Raises ``ConfigError`` for
    a model whose own variable is empty.
    """
    if not file.models:
        return None
    tiers: dict[Tier, tuple[ModelSettings, ...]] = {}
    for tier, entries in file.models.items():
        tiers[tier] = tuple(_settings(each, key_of) for each in entries)
    return ModelsSettings(tiers=tiers, cache_entries=kept)


def _settings(entry: ModelEntry, key_of: KeyOf) -> ModelSettings:
    price = entry.price
    return ModelSettings(
        name=entry.name,
        api_key=_key(entry, key_of),
        price=Price(input=price.input, output=price.output, cached=price.cached) if price else None,
        **entry.model_dump(exclude=set(_OWN)),
    )


def _key(entry: ModelEntry, key_of: KeyOf) -> SecretStr | None:
    if entry.key is None:
        # A server of one's own must not be sent the key of the provider whose wire it speaks.
        usual = KEYS.get(entry.name.partition(":")[0])
        return key_of(usual) if usual and entry.base_url is None else None
    key = key_of(entry.key)
    if key is None:
        raise ConfigError(
            f"The model {entry.name} takes its key from {entry.key}, which is not set.",
            remedy=f"Set {entry.key} in the environment, or remove `key` from assistant.yaml.",
            code="model.no_key",
        )
    return key


@dataclass(frozen=True, kw_only=True)
class Locals:
    """The agents of the local tier, behind which language models are put."""

    router: LocalRouter
    drafter: LocalDrafter
    checker: LocalChecker
    escalation: LocalEscalation


class Agents(TypedDict):
    """The agents of a team."""

    router: Router
    drafter: Drafter
    checker: Checker
    escalation: Escalation
    arguments: Filler


def agents_of(assistant: Assistant, local: Locals, models: Models | None) -> Agents:
    """Return an assistant's agents: those of the local tier, asking models for the tasks that it gives them."""
    found = Agents(
        router=local.router,
        drafter=local.drafter,
        checker=local.checker,
        escalation=local.escalation,
        arguments=LocalArguments(),
    )
    if models is None:
        return found
    for task, tiers in assistant.file.tasks.items():
        match task:
            case "route":
                queue, intents = assistant.policy.default_queue, assistant.intents
                found["router"] = ModelRouter(local.router, models, tiers, intents=intents, fallback_queue=queue)
            case "act":
                tells = assistant.file.customer_attributes
                found["arguments"] = ModelArguments(found["arguments"], models, tiers, tells=tells)
            case "draft":
                found["drafter"] = ModelDrafter(local.drafter, models, tiers)
            case "check":
                found["checker"] = ModelChecker(local.checker, models, tiers)
            case "escalate":
                found["escalation"] = ModelEscalation(local.escalation, models, tiers)
    return found


@asynccontextmanager
async def opened(
    file: AssistantFile,
    key_of: KeyOf,
    spending: Spending,
    clock: Clock,
    announce: Callable[[str], None],
    providers: Mapping[str, Provider] | None = None,
    kept: int = KEPT,
) -> AsyncIterator[TieredModels | None]:
    """Open an assistant's models, with their packages loaded; None when it names none.

    Raises ``ConfigError`` for a name, package or key that is wrong or missing.
    """
    settings = models_settings(file, key_of, kept)
    if settings is None:
        yield None
        return
    announce("opening the language models")
    async with open_models(settings, spending, clock=clock, providers=providers or PROVIDERS) as models:
        await models.warm()
        yield models
