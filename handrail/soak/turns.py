"""Turns: how much room and memory a thousand turns take, and whether it stays so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import anyio
import httpx
from sqlalchemy import text

from handrail.soak.audit import table_rows
from handrail.soak.figures import resident, stored, stored_events
from handrail.soak.nursery import Child, Nursery
from handrail.soak.place import Place
from tools.storage.events import trim
from tools.storage.postgres import postgres_engine
from tools.storage.sqlite import sqlite_engine

JSON = dict[str, Any]
CLIENTS = 4
TURNS_EACH = 5
"""Turns of one conversation."""
MOST_GROWTH = 1.1
MOST_AFTER_TRIMMING = 0.02
"""Of what as many turns take: a page or two of an index may be in use that was not before."""
REST_SECONDS = 1.0
PASSING = ("job", "procrastinate_jobs", "checkpoints", "writes", "checkpoint_blobs", "checkpoint_writes")
"""Tables that hold nothing when nothing is at work."""


@dataclass(kw_only=True)
class Turning:
    """One trial over one place."""

    place: Place
    nursery: Nursery
    turns: int
    every: int
    """Turns between two measures."""
    tick: Callable[[int], None]
    most_growth: float = MOST_GROWTH
    """How much more the last turns may take than the first."""
    rest: float = REST_SECONDS
    done: int = 0
    broken: list[str] = field(default_factory=list)

    async def run(self) -> JSON:
        """Take turns, measure, clear events away, and take turns again."""
        children = await self.place.staff(self.nursery, workers=1)
        await self._take(children, self.every // 10)
        marks = [await self._measure(children)]
        began = anyio.current_time()
        for _ in range(self.turns // self.every):
            await self._take(children, self.every)
            marks.append(await self._measure(children))
        seconds = anyio.current_time() - began
        rows, taken = self._rows(), self.done
        for child in children:
            await child.stop()
        trimmed = await self._trimmed()
        growth = [after["bytes"] - before["bytes"] for before, after in pairwise(marks)]
        self._judge(growth, trimmed, rows)
        return {
            "backend": self.place.backend,
            "turns": self.turns,
            "every": self.every,
            "turns_per_second": round(self.turns / seconds, 1),
            "bytes_per_turn": [round(each / self.every) for each in growth],
            "resident_mb": [each["resident_mb"] for each in marks],
            "rows_per_turn": {name: round(count / taken, 2) for name, count in rows.items()},
            "trimmed": trimmed,
            "broken": self.broken,
        }

    def _judge(self, growth: list[int], trimmed: JSON, rows: JSON) -> None:
        if len(growth) > 1 and growth[-1] > growth[0] * self.most_growth:
            self.broken.append(f"the last {self.every} turns took {growth[-1]} bytes, the first {growth[0]}")
        if trimmed["grown_bytes"] > growth[0] * MOST_AFTER_TRIMMING:
            self.broken.append(f"although events were trimmed, their room grew by {trimmed['grown_bytes']} bytes")
        self.broken += [f"{rows[name]} rows are left in {name}" for name in PASSING if name in rows]

    async def _trimmed(self) -> JSON:
        """Delete all events as house-keeping does, and see that the room is used again."""
        before = stored_events(self.place)
        gone = await anyio.to_thread.run_sync(self._trim)
        children = await self.place.staff(self.nursery, workers=1)
        await self._take(children, self.every)
        await self._measure(children)
        for child in children:
            await child.stop()
        return {"events": gone, "grown_bytes": stored_events(self.place) - before}

    def _trim(self) -> int:
        url = self.place.url
        engine = postgres_engine(url) if url else sqlite_engine(self.place.data / "handrail.db", immediate=True)
        later, gone = (datetime.now(UTC) + timedelta(days=1)).isoformat(), 0
        while True:
            with engine.begin() as connection:
                one = trim(connection, before=later)
            gone += one
            if not one:
                break
        if url:
            # What autovacuum does a little later.
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("vacuum"))
        engine.dispose()
        return gone

    async def _measure(self, children: list[Child]) -> JSON:
        # What is done loses its job a moment later.
        await anyio.sleep(self.rest)
        memory = {name: round(resident(each.pid) / 1e6, 1) for name, each in _named(children).items()}
        return {"bytes": await anyio.to_thread.run_sync(stored, self.place), "resident_mb": memory}

    def _rows(self) -> dict[str, int]:
        with self.place.connection() as connection:
            return table_rows(connection)

    async def _take(self, children: list[Child], turns: int) -> None:
        port = next(each.spec.port for each in children if each.spec.serves)
        left = iter(range(turns // TURNS_EACH))
        async with anyio.create_task_group() as tasks:
            for _ in range(CLIENTS):
                tasks.start_soon(self._client, port, left)

    async def _client(self, port: int, left: Any) -> None:
        async with _connected(port) as http:
            for _ in left:
                conversation = (await http.post("/v1/conversations", json={})).json()["id"]
                for _ in range(TURNS_EACH):
                    await self._turn(http, conversation)
                    self.done += 1
                    self.tick(self.done)

    async def _turn(self, http: httpx.AsyncClient, conversation: str) -> None:
        path, body = f"/v1/conversations/{conversation}/messages", {"text": "how long does delivery take"}
        answer = await http.post(path, json=body)
        if answer.status_code != 200 or json.loads(answer.content)["outcome"] != "answered":
            self.broken.append(f"a turn ended with {answer.status_code} {answer.text[:200]}")


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as http:
        yield http


def _named(children: list[Child]) -> dict[str, Child]:
    return {"server" if each.spec.serves else f"worker {number}": each for number, each in enumerate(children)}
