"""Disconnects: streams are cut at random and followed again while turns go on; each event comes once, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
from sqlalchemy import select

from handrail.soak.client import Client, open_client
from handrail.soak.nursery import Nursery
from handrail.soak.place import Place
from tools.storage import tables

JSON = dict[str, Any]
CONVERSATIONS = 6
PACE = 0.005
MOST_EVENTS = 6
CATCH_UP_SECONDS = 30.0
POLL_SECONDS = 0.005
Told = list[tuple[int, str]]
"""Numbers and types of events, as they came."""


@dataclass(kw_only=True)
class Cutting:
    """One trial over one place."""

    place: Place
    nursery: Nursery
    cuts: int
    tick: Callable[[int], None]
    cut: int = 0
    conversations: dict[str, Told] = field(default_factory=dict)
    runs: dict[str, Told] = field(default_factory=dict)

    async def run(self) -> JSON:
        """Cut so many connections, then compare what was read with the rows."""
        began = anyio.current_time()
        children = await self.place.staff(self.nursery, servers=2, pace=PACE)
        ports = [each.spec.port for each in children if each.spec.serves]
        async with open_client(ports) as client, anyio.create_task_group() as tasks:
            for _ in range(CONVERSATIONS):
                tasks.start_soon(self._converse, client)
        for child in children:
            await child.stop()
        return self._report(client, servers=len(ports), seconds=anyio.current_time() - began)

    async def _converse(self, client: Client) -> None:
        """Ask one question after the other, and read the conversation and each run beside it."""
        conversation = await client.conversation()
        told = self.conversations.setdefault(conversation, [])
        async with anyio.create_task_group() as readers:
            readers.start_soon(self._read, client, f"/v1/conversations/{conversation}/events", told)
            while self.cut < self.cuts:
                sent = await client.say(conversation, "how long does delivery take")
                of_run = self.runs.setdefault(sent.run_id, [])
                path = f"/v1/runs/{sent.run_id}/events"
                readers.start_soon(self._read, client, path, of_run)
                await client.run_to(sent.run_id, ("run.finished",))
                await self._until_finished(of_run)
            await self._until_finished(told, sum(each.conversation_id == conversation for each in client.sent))
            readers.cancel_scope.cancel()

    async def _until_finished(self, told: Told, times: int = 1) -> None:
        with anyio.move_on_after(CATCH_UP_SECONDS):
            while sum(kind == "run.finished" for _, kind in told) < times:  # noqa: ASYNC110
                await anyio.sleep(POLL_SECONDS)

    async def _read(self, client: Client, path: str, told: Told) -> None:
        """Read a stream through many short connections."""
        of_run = path.startswith("/v1/runs")
        leave = lambda: client.chance.randint(1, MOST_EVENTS)  # noqa: E731
        async for event in client.follow(path, leave=leave, left=self._count):
            told.append((int(event.id.rpartition(":")[2]), event.event))
            if of_run and event.event == "run.finished":
                return

    def _count(self) -> None:
        self.cut += 1
        self.tick(min(self.cut, self.cuts))

    def _report(self, client: Client, *, servers: int, seconds: float) -> JSON:
        e = tables.event.c
        statement = select(e.conversation_id, e.run_id, e.seq, e.run_seq, e.type).order_by(e.seq)
        with self.place.connection() as connection:
            rows = connection.execute(statement).all()
        whole: dict[str, Told] = {name: [] for name in (*self.conversations, *self.runs)}
        for row in rows:
            whole[row.conversation_id].append((row.seq, row.type))
            whole[row.run_id].append((row.run_seq, row.type))
        told = {**self.conversations, **self.runs}
        return {
            "backend": self.place.backend,
            "servers": servers,
            "disconnects": self.cut,
            "streams": len(told),
            "events": len(rows),
            "events_read": sum(len(each) for each in told.values()),
            "requests_repeated": client.retries,
            "seconds": round(seconds, 1),
            "broken": _differences(whole, told),
        }


def _differences(true: dict[str, Told], told: dict[str, Told]) -> list[str]:
    """Say of each stream what was lost, repeated or out of order."""
    found = []
    for name, rows in true.items():
        read = told[name]
        if read != rows:
            lost, more = len(set(rows) - set(read)), len(read) - len(set(read))
            ordered = "in order" if read == sorted(read) else "out of order"
            found.append(f"{name}: {lost} of {len(rows)} events lost, {more} repeated, {ordered}")
    return found
