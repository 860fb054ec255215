"""A shop that sends money back before it answers, in a process that dies where it is told to."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import anyio

from agents.drafter import DraftRequest
from graphs.assembly import Product, open_product
from graphs.fakes import (
    ScriptedAction,
    ScriptedDrafter,
    route_to,
    scripted_team,
)
from graphs.settings import Settings
from graphs.team import Team
from policies.types import Abstention, Audience, Sentence
from tests.journeys.shop import FILES
from tools.assistants import Assistant
from tools.clock import SystemClock
from tools.encoder.ports import Encoder
from tools.knowledge.base import Knowledge
from tools.knowledge.fake import InMemoryRetriever
from tools.knowledge.ports import SearchResult

QUESTION = "The delivery never came, send my money"
ANSWER = ("Delivery takes three days.", "Delivery costs four euros.")
PROCESSES = get_context("forkserver")
# All that an opening imports, so that it is imported once and not in every process.
PROCESSES.set_forkserver_preload(["tests.journeys.till", "alembic.command", "chromadb.api.rust"])


@dataclass
class Fate:
    """Ends the process, as kill -9 does, at one place of a run."""

    place: str | None = None

    def reached(self, place: str) -> None:
        """Say where the run is."""
        if place == self.place:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class LastClock(SystemClock):
    """A clock that ends the process when it is asked after a place was reached: in the next transaction."""

    fate: Fate
    returned: bool = False

    def now(self) -> datetime:
        """Return the present time, unless it is the last."""
        if self.returned:
            self.fate.reached("unsettled")
        return super().now()


@dataclass
class Searcher:
    """Searches the shop's articles, as far as it gets."""

    fate: Fate
    articles: InMemoryRetriever = field(
        default_factory=lambda: InMemoryRetriever({"delivery.md": FILES["knowledge/delivery.md"]})
    )

    async def search(self, query: str, *, audience: Audience, limit: int = 8) -> SearchResult:
        """Return passages."""
        self.fate.reached("searched")
        return await self.articles.search(query, audience=audience, limit=limit)


@dataclass
class Drafter:
    """Drafts two sentences, as far as it gets."""

    fate: Fate

    async def __call__(self, request: DraftRequest) -> AsyncGenerator[Sentence | Abstention, None]:
        """Draft one answer."""
        self.fate.reached("settled")
        async for sentence in ScriptedDrafter(otherwise=ANSWER)(request):
            yield sentence


@dataclass(frozen=True)
class Shown:
    """Ends the process, if that is its fate, once a sentence was shown."""

    fate: Fate

    async def at(self, point: str) -> None:
        """Hear that a segment has come to a point."""
        if point == "release.done":
            self.fate.reached("shown")


@dataclass(frozen=True, kw_only=True)
class Till:
    """Where a shop keeps what outlives a process, and how its action is."""

    folder: Path
    data: Path
    idempotent: bool = False
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def action(self) -> ScriptedAction:
        """Return the action that sends money; the file of its calls is the outside world."""
        return ScriptedAction(name="send_money", calls=self.data / "calls", idempotent=self.idempotent)

    @property
    def asked(self) -> Path:
        """The file that names the run."""
        return self.data / "run"

    def open(self, fate: Fate | None = None) -> AbstractAsyncContextManager[Product]:
        """Open the shop in this process."""
        fate = fate or Fate()
        action, clock = self.action, LastClock(fate)

        def reached(place: str) -> None:
            fate.reached(place)
            clock.returned = place == "returned"

        action.reached = reached

        async def hire(assistant: Assistant, _knowledge: Knowledge, _encoder: Encoder) -> Team:
            return scripted_team(
                assistant,
                Searcher(fate),
                route_to("delivery", queue="shipping"),
                drafter=Drafter(fate),
                actions={action.name: action},
            )

        settings = Settings(**{"assistant": self.folder, "data": self.data, **self.settings})
        return open_product(settings, hire=hire, clock=clock, announce=lambda _: None, faults=Shown(fate))

    async def ask(self, fate: Fate) -> None:
        """Ask once and follow the answer, as far as it gets."""
        async with self.open(fate) as product:
            service, me = product.service, product.principal
            conversation = await service.create_conversation(me)
            accepted = await service.post_message(me, conversation.id, QUESTION)
            self.asked.write_text(accepted.run_id)
            async for _ in service.answer_events(me, accepted):
                pass
            fate.reached("delivered")

    async def ask_and_die(self, place: str) -> int | None:
        """Ask in a process of its own that dies at a place; returns how it ended."""
        process = PROCESSES.Process(target=_ask, args=(self, place))
        process.start()
        await anyio.to_thread.run_sync(process.join)
        code = process.exitcode
        process.close()
        return code


def write_folder(folder: Path) -> Path:
    """Write an assistant that sends money back for one of its intents."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("  autonomy: auto\n", "  autonomy: auto\n  tools: [send_money]\n"))
    return folder


def _ask(till: Till, place: str) -> None:
    anyio.run(till.ask, Fate(place))
