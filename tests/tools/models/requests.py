"""What the tests of language models ask, and with which settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from langchain_core.language_models import BaseChatModel
from pydantic import SecretStr

from policies.types import Tier
from tools.models import (
    Account,
    Completion,
    InMemorySpending,
    Message,
    ModelRequest,
    Models,
    ModelSettings,
    ModelsSettings,
    Piece,
    Price,
    Spending,
    TieredModels,
    open_models,
)
from tools.models.fakes import scripted
from tools.models.ports import Data

ACCOUNT = Account(workspace_id="ws", conversation_id="con_1", run_id="run_1", intent="returns")
PRICE = Price(input=1.0, output=10.0)


def request(seconds: float = 10.0, **changes: Any) -> ModelRequest:
    """Return a request to draft an answer, with so many seconds left."""
    asked = ModelRequest(
        task="draft",
        tiers=("small", "large"),
        messages=(
            Message(role="system", text="Answer from the passages."),
            Message(role="user", data=(Data(kind="message", text="How long may I return it?"),)),
        ),
        account=ACCOUNT,
        deadline=datetime.now(UTC) + timedelta(seconds=seconds),
        consent={"third_party_llm": True},
        prompt_version="p1",
    )
    return replace(asked, **changes)


def quick(name: str = "openai:stub", url: str | None = None, **changes: Any) -> ModelSettings:
    """Return settings of a model that is waited for only shortly."""
    given: dict[str, Any] = {
        "name": name,
        "base_url": url,
        "api_key": SecretStr("key-1"),
        "price": PRICE,
        "first_wait": 0.01,
        "first_token_seconds": 1.0,
        "total_seconds": 2.0,
    }
    return ModelSettings(**given | changes)


@asynccontextmanager
async def opened(
    tiers: Mapping[Tier, ModelSettings], spending: Spending | None = None, **more: Any
) -> AsyncIterator[TieredModels]:
    """Serve one model a tier."""
    settings = ModelsSettings(tiers={tier: (each,) for tier, each in tiers.items()}, **more)
    async with open_models(settings, spending or InMemorySpending(), dice=lambda: 0.5) as models:
        yield models


@asynccontextmanager
async def opened_scripts(
    spending: Spending | None = None,
    settings: Mapping[str, ModelSettings] | None = None,
    **scripts: BaseChatModel,
) -> AsyncIterator[TieredModels]:
    """Serve scripted models, each in the tier it is given for."""
    each = {tier: (settings or {}).get(tier) or quick(f"scripted:{tier}") for tier in scripts}
    tiers: dict[Tier, tuple[ModelSettings, ...]] = {
        tier: (each[tier],) for tier in ("small", "large") if tier in each
    }
    given = ModelsSettings(tiers=tiers)
    async with open_models(given, spending or InMemorySpending(), providers=scripted(scripts)) as models:
        yield models


async def pieces_of(models: Models, asked: ModelRequest) -> list[Piece]:
    """Return all pieces of a stream."""
    async with aclosing(models.stream(asked)) as pieces:
        return [piece async for piece in pieces]


def tried(completion: Completion) -> list[tuple[str, str, int]]:
    """Return tier, code and calls of everything that was tried in vain."""
    return [(each.tier, each.code, each.calls) for each in completion.degraded]
