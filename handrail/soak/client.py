"""A client that gives up nothing: it repeats what failed with the same key, and comes back to broken streams."""

from __future__ import annotations

import itertools
import random
import secrets
import string
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
from httpx_sse import ServerSentEvent, SSEError, aconnect_sse

JSON = dict[str, Any]
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 120.0
AWAY = (httpx.TransportError, SSEError)


class Broken(Exception):
    """A promise of the wire does not hold."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A message that was accepted."""

    conversation_id: str
    run_id: str
    text: str


@dataclass(kw_only=True)
class Client:
    """Speaks with servers by turns: where one does not answer, the next is asked."""

    ports: Sequence[int]
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    sent: list[Sent] = field(default_factory=list)
    retries: int = 0
    """Requests that had to be repeated."""
    _http: httpx.AsyncClient
    _turn: itertools.count[int] = field(default_factory=itertools.count)

    def url(self, path: str) -> str:
        """Return the address of a path at the next server."""
        return f"http://127.0.0.1:{self.ports[next(self._turn) % len(self.ports)]}{path}"

    async def request(self, method: str, path: str, body: JSON | None = None, **headers: str) -> httpx.Response:
        """Ask until there is an answer that is not 503."""
        with anyio.fail_after(PATIENCE_SECONDS):
            while True:
                with suppress(*AWAY):
                    answer = await self._http.request(method, self.url(path), json=body, headers=headers)
                    if answer.status_code != 503:
                        return answer
                self.retries += 1
                await anyio.sleep(PAUSE_SECONDS)

    async def get(self, path: str) -> JSON:
        """Return what is at a path."""
        answer = await self.request("GET", path)
        if answer.status_code != 200:
            raise Broken(f"GET {path} says {answer.status_code}: {answer.text}")
        found: JSON = answer.json()
        return found

    async def conversation(self) -> str:
        """Begin a conversation."""
        answer = await self.request("POST", "/v1/conversations", {}, **{"Idempotency-Key": self.word(24)})
        if answer.status_code != 201:
            raise Broken(f"A conversation can't begin: {answer.status_code} {answer.text}")
        return str(answer.json()["id"])

    async def say(self, conversation_id: str, text: str) -> Sent:
        """Post a message, with a word that no other has, until it is accepted."""
        word = self.word(16)
        body, headers = {"text": f"{text} {word}"}, {"Idempotency-Key": word, "Prefer": "respond-async"}
        answer = await self.request("POST", f"/v1/conversations/{conversation_id}/messages", body, **headers)
        if answer.status_code not in (200, 202):
            raise Broken(f"A message is refused: {answer.status_code} {answer.text}")
        sent = Sent(conversation_id=conversation_id, run_id=str(answer.json()["run_id"]), text=body["text"])
        self.sent.append(sent)
        return sent

    def word(self, length: int) -> str:
        """Return letters that nobody has used before, whatever the seed."""
        return "".join(secrets.choice(string.ascii_lowercase) for _ in range(length))

    async def decide(self, run_id: str, decision: str) -> None:
        """Answer the review that a run waits for; one that is closed already was closed by our own first try."""
        review = (await self.get(f"/v1/runs/{run_id}"))["review_id"]
        body = {"decision": decision} | ({"text": "A person wrote this."} if decision == "edit" else {})
        answer = await self.request("POST", f"/v1/reviews/{review}/decision", body)
        if answer.status_code not in (200, 409):
            raise Broken(f"A decision is refused: {answer.status_code} {answer.text}")

    async def follow(
        self,
        path: str,
        *,
        after: str | None = None,
        leave: Callable[[], int | None] = lambda: None,
        left: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[ServerSentEvent]:
        """Yield the events of a stream, coming back with the last id, until the caller stops.

        ``leave`` says after how many events a connection is cut, ``left`` is told when one was. A stream that ends
        in order is opened again too.
        """
        last = after
        while True:
            most = leave()
            headers = {} if last is None else {"Last-Event-ID": last}
            try:
                async with aconnect_sse(self._http, "GET", self.url(path), headers=headers) as source:
                    if source.response.status_code == 503:
                        await anyio.sleep(PAUSE_SECONDS)
                        continue
                    count = 0
                    async for event in source.aiter_sse():
                        if not event.data:
                            # A heartbeat, which this reader takes for an event.
                            continue
                        if event.event in ("resync", "error"):
                            raise Broken(f"{path} after {last}: {event.event} {event.data}")
                        last = event.id
                        yield event
                        count += 1
                        if most is not None and count >= most:
                            left()
                            break
            except AWAY:
                self.retries += 1
                await anyio.sleep(PAUSE_SECONDS)

    async def run_to(self, run_id: str, kinds: Sequence[str], after: str | None = None) -> ServerSentEvent:
        """Follow a run up to an event of one of these types; its numbers must have no gap."""
        expected = int(after.rpartition(":")[2]) if after else 0
        with anyio.fail_after(PATIENCE_SECONDS):
            async for event in self.follow(f"/v1/runs/{run_id}/events", after=after):
                expected += 1
                if event.id != f"{run_id}:{expected}":
                    raise Broken(f"The stream of {run_id} gives {event.id} where {expected} was due.")
                if event.event in kinds:
                    return event
        raise AssertionError("A stream is followed until it is left.")


@asynccontextmanager
async def open_client(ports: Sequence[int], seed: int = 7) -> AsyncIterator[Client]:
    """Open a client of servers on the loopback."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=100)
    async with httpx.AsyncClient(timeout=httpx.Timeout(15), limits=limits, trust_env=False) as http:
        yield Client(ports=ports, chance=random.Random(seed), _http=http)
