"""A small shop behind a real socket, with agents that follow a script, and how to compare what it says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

from agents.escalation import LocalEscalation
from graphs.assembly import Product, open_product
from graphs.fakes import ScriptedChecker, ScriptedDrafter, ScriptedGuards, ScriptedRouter, route_to
from graphs.sabotage import NO_SABOTAGE, Sabotage
from graphs.settings import Settings
from graphs.team import Team
from policies.types import Autonomy
from server.app import create_app
from server.run import Server, listen, url_of, uvicorn_config
from tools.assistants import Assistant
from tools.encoder.ports import Encoder
from tools.knowledge.base import Knowledge

JSON = dict[str, Any]

FILES = {
    "assistant.yaml": """\
name: tea-shop
title: The Tea Shop
greeting: Hello!
encoder: hashing
customer_attributes:
  member: {type: boolean}
  visits: {type: number}
""",
    "intents.yaml": """\
intents:
- name: delivery
  description: How tea is sent.
  queue: shipping
  autonomy: auto
  examples: [how long does delivery take, what does delivery cost, do you deliver on Saturdays]
- name: refund
  description: Money back.
  queue: returns
  autonomy: review
  examples: [I want my money back, can I get a refund, the tea was stale so refund me]
- name: complaint
  description: Somebody is unhappy.
  queue: care
  priority: high
  autonomy: human
  examples: [I want to complain, this is a disgrace, let me speak to a person]
- name: brewing
  description: How to make tea.
  queue: general
  autonomy: suggest
  examples: [how hot must the water be, how long do I brew oolong, which pot is best]
out_of_scope: [what is the weather, write me a poem]
""",
    "policy.yaml": """\
limits: {message_characters: 400}
messages:
  handoff: A colleague will answer you here.
  pending: A colleague is looking at this.
  degraded: Something broke, so a colleague will answer you.
""",
    "knowledge/delivery.md": """\
# Delivery

Delivery takes three days. Delivery costs four euros, and nothing above fifty euros. Boxes go out on weekdays.
""",
    "knowledge/refunds.md": """\
# Refunds

Money goes back within five days. A refund needs the order's number.
""",
    "knowledge/brewing.md": """\
# Brewing

Green tea wants water of eighty degrees. Oolong steeps for three minutes.
""",
}


@dataclass(frozen=True, kw_only=True)
class Shop:
    """An open product, the agents' scripts and a client."""

    product: Product
    router: ScriptedRouter
    drafter: ScriptedDrafter
    checker: ScriptedChecker
    guards: ScriptedGuards
    http: httpx.AsyncClient
    stop: Callable[[], None]
    """Asks the server to stop, as a signal would."""

    async def conversation(self, **customer: Any) -> str:
        """Begin a conversation; returns its id."""
        response = await self.http.post("/v1/conversations", json={"customer": customer})
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    async def say(self, conversation_id: str, text: str, **headers: str) -> list[ServerSentEvent]:
        """Post a message and return all events of its stream."""
        async with self.listen(conversation_id, text, **headers) as stream:
            return [event async for event in stream]

    @asynccontextmanager
    async def listen(
        self, conversation_id: str, text: str, **headers: str
    ) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
        """Post a message and read its stream bit by bit."""
        path = f"/v1/conversations/{conversation_id}/messages"
        async with aconnect_sse(self.http, "POST", path, json={"text": text}, headers=headers) as source:
            assert source.response.status_code == 200, await source.response.aread()
            yield source.aiter_sse()

    async def events(self, path: str, **headers: str) -> list[ServerSentEvent]:
        """Return all events of a stream that ends."""
        async with aconnect_sse(self.http, "GET", path, headers=headers) as source:
            assert source.response.status_code == 200, await source.response.aread()
            return [event async for event in source.aiter_sse() if event.data]

    async def ask(self, conversation_id: str, text: str, **headers: str) -> httpx.Response:
        """Post a message and return the answer in JSON."""
        path = f"/v1/conversations/{conversation_id}/messages"
        return await self.http.post(path, json={"text": text}, headers=headers)

    async def get(self, path: str) -> JSON:
        """Return what is at a path."""
        response = await self.http.get(path)
        assert response.status_code == 200, response.text
        found: JSON = response.json()
        return found

    async def decide(self, review_id: str, **answer: str) -> httpx.Response:
        """Answer a review."""
        return await self.http.post(f"/v1/reviews/{review_id}/decision", json=answer)

    async def settled(self) -> None:
        """Wait until no run is at work."""
        with anyio.fail_after(30):
            await self.product.service.jobs.settled()


class QuietServer(Server):
    """A server that leaves the process's signals alone."""

    def capture_signals(self) -> Any:
        """Capture none."""
        return nullcontext()

    def stop(self) -> None:
        """Do what a signal does."""
        self.should_exit = True


OpenShop = Callable[..., AbstractAsyncContextManager[Shop]]
NewPlace = Callable[[], dict[str, Any]]
"""Makes an empty place for data and returns it as settings."""


@asynccontextmanager
async def served(product: Product) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """Serve a product on a free port of the loopback; yields its address and how to stop it."""
    listening = listen("127.0.0.1", 0)
    app = create_app(product)
    server = QuietServer(uvicorn_config(app), app.state.lifecycle)
    with listening:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listening])
            try:
                yield url_of(listening), server.stop
            finally:
                server.stop()


def opener(folder: Path, new_place: NewPlace) -> OpenShop:
    """Return a function that opens a shop over a fresh place for its data; its other arguments are settings.

    ``sabotage`` says what goes wrong in it; ``team`` replaces some of the team, by field.
    """

    @asynccontextmanager
    async def opened(
        *,
        works: bool = True,
        warms: bool = False,
        sabotage: Sabotage = NO_SABOTAGE,
        team: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> AsyncIterator[Shop]:
        settings = Settings(**{"assistant": folder, **new_place(), **more})
        router = ScriptedRouter(
            script={
                "money back": route_to("refund", Autonomy.REVIEW, queue="returns"),
                "complain": route_to("complaint", Autonomy.HUMAN, queue="care", priority="high"),
                "brew": route_to("brewing", Autonomy.SUGGEST),
                "poem": route_to(None, Autonomy.HUMAN, in_scope=0.1),
            },
            otherwise=route_to("delivery", queue="shipping"),
        )
        drafter, checker, guards = ScriptedDrafter(), ScriptedChecker(), ScriptedGuards()

        async def hire(assistant: Assistant, knowledge: Knowledge, _encoder: Encoder) -> Team:
            scripted = {
                "assistant": assistant,
                "router": router,
                "searcher": knowledge,
                "drafter": drafter,
                "checker": checker,
                "escalation": LocalEscalation(),
                "guards": guards,
                "language": lambda _text: "en",
            }
            return Team(**{**scripted, **(team or {})})

        opening = open_product(
            settings, works=works, warms=warms, hire=hire, announce=lambda _: None, sabotage=sabotage
        )
        async with opening as product:
            await product.knowledge.ingest(product.assistant.knowledge)
            async with served(product) as (url, stop), httpx.AsyncClient(base_url=url, timeout=10) as http:
                yield Shop(
                    product=product,
                    router=router,
                    drafter=drafter,
                    checker=checker,
                    guards=guards,
                    http=http,
                    stop=stop,
                )

    return opened


_ID = re.compile(r"\b(con|run|msg|rev|sug|hnd|idx)_[0-9a-f]{32}\b|\b(doc)_[0-9a-f]{24}\b")
_VARYING = ("at", "ms", "trace_id", "assistant_version", "due_at", "score", "seq")


def tidy(value: Any, names: dict[str, str] | None = None) -> Any:
    """Return plain data with its ids named in order of appearance (``run:1``) and what varies left out."""
    names = {} if names is None else names
    if isinstance(value, dict):
        return {key: tidy(item, names) for key, item in value.items() if key not in _VARYING}
    if isinstance(value, list):
        return [tidy(item, names) for item in value]
    return _ID.sub(lambda match: _named(match, names), value) if isinstance(value, str) else value


def _named(match: re.Match[str], names: dict[str, str]) -> str:
    kind = match[1] or match[2]
    count = sum(name.startswith(f"{kind}:") for name in names.values())
    return names.setdefault(match[0], f"{kind}:{count + 1}")


def told(events: list[ServerSentEvent]) -> list[tuple[str, str, JSON]]:
    """Return events as (id, type, data), tidied, so that a whole stream can be compared.

    The envelope (conversation, run and their numbers) is compared with the id here and left out.
    """
    names: dict[str, str] = {}
    return [_told(each, names) for each in events]


def _told(event: ServerSentEvent, names: dict[str, str]) -> tuple[str, str, JSON]:
    data = event.json()
    envelope = {name: data.pop(name) for name in ("conversation_id", "seq", "run_id", "run_seq", "at")}
    ids = [f"{envelope['run_id']}:{envelope['run_seq']}", f"{envelope['conversation_id']}:{envelope['seq']}"]
    assert event.id in ids
    return tidy(event.id, names), event.event, tidy(data, names)


def shown(events: list[ServerSentEvent]) -> list[tuple[str, JSON]]:
    """Return what a customer sees of a stream, as (type, data), without the steps behind it."""
    behind = ("step.", "retrieval", "run.started", "guardrail")
    return [(kind, data) for _, kind, data in told(events) if not kind.startswith(behind)]


def finished(outcome: str) -> tuple[str, JSON]:
    """Return the event that ends a run, as ``shown`` gives it."""
    return "run.finished", {"status": "finished", "outcome": outcome}


def asked(text: str) -> tuple[str, JSON]:
    """Return the event of the customer's own message, as ``shown`` gives it."""
    return "message.created", {"message_id": "msg:1", "author": "customer", "text": text}


def said(number: int, text: str, citations: list[str] | None = None) -> list[tuple[str, JSON]]:
    """Return the opening and the only sentence of the bot's message, as ``shown`` gives them."""
    message_id = f"msg:{number}"
    delta = {"message_id": message_id, "index": 0, "text": text, "citations": citations or []}
    return [("message.created", {"message_id": message_id, "author": "bot"}), ("message.delta", delta)]


async def take_until(kind: str, stream: AsyncIterator[ServerSentEvent]) -> list[ServerSentEvent]:
    """Read a stream up to and with the first event of a type; a heartbeat is none."""
    taken: list[ServerSentEvent] = []
    with anyio.fail_after(20):
        async for event in stream:
            if event.data:
                taken.append(event)
            if event.event == kind:
                break
    return taken
