"""Waiting: thousands of runs that wait for a person are rows, and nothing in memory."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import orjson
from sqlalchemy import func, select

from handrail.soak.client import Client, open_client
from handrail.soak.figures import resident
from handrail.soak.nursery import Child, Nursery
from handrail.soak.place import Place
from handrail.soak.process import snapshot_path
from tools.storage import tables

JSON = dict[str, Any]
CLIENTS = 6
MOST_BYTES = 10_000_000
MOST_TASKS = 5
REST_SECONDS = 1.5
QUESTION = "I want my money back"


@dataclass(kw_only=True)
class Waiting:
    """One trial over one place."""

    place: Place
    nursery: Nursery
    runs: int
    warm: int
    """Runs before the first measure, which bring the process to its working size."""
    tick: Callable[[int], None]
    most_bytes: int = MOST_BYTES
    """How much a process may grow."""
    rest: float = REST_SECONDS
    asked: int = 0
    broken: list[str] = field(default_factory=list)

    async def run(self) -> JSON:
        """Let runs wait, compare memory and tasks, decide one of them."""
        children = await self.place.staff(self.nursery, workers=1)
        port = next(each.spec.port for each in children if each.spec.serves)
        async with open_client([port]) as client:
            await self._ask(client, self.warm)
            before = [await _look(each, self.rest) for each in children]
            began = anyio.current_time()
            await self._ask(client, self.runs)
            seconds = anyio.current_time() - began
            after = [await _look(each, self.rest) for each in children]
            waiting = self._waiting()
            decided = await self._decide_one(client)
        for child in children:
            await child.stop()
        grown = [two["bytes"] - one["bytes"] for one, two in zip(before, after, strict=True)]
        tasks = [two["tasks"] - one["tasks"] for one, two in zip(before, after, strict=True)]
        self._judge(waiting, grown, tasks, decided)
        return {
            "backend": self.place.backend,
            "waiting": waiting,
            "runs_per_second": round(self.runs / seconds, 1),
            "processes": ["server" if each.spec.serves else "worker" for each in children],
            "resident_mb_before": [round(each["bytes"] / 1e6, 1) for each in before],
            "grown_mb": [round(each / 1e6, 2) for each in grown],
            "tasks_before": [each["tasks"] for each in before],
            "tasks_more": tasks,
            "decided_one_ends": decided,
            "broken": self.broken,
        }

    def _judge(self, waiting: int, grown: list[int], tasks: list[int], decided: str) -> None:
        if waiting != self.runs + self.warm:
            self.broken.append(f"{waiting} of {self.runs + self.warm} runs wait")
        if max(grown) > self.most_bytes:
            self.broken.append(f"{self.runs} waiting runs took {max(grown)} bytes of memory")
        if max(tasks) > MOST_TASKS:
            self.broken.append(f"{self.runs} waiting runs left {max(tasks)} tasks in memory")
        if decided != "reviewed":
            self.broken.append(f"a decided run ended as {decided}")

    async def _ask(self, client: Client, times: int) -> None:
        left = iter(range(times))
        async with anyio.create_task_group() as tasks:
            for _ in range(CLIENTS):
                tasks.start_soon(self._ask_each, client, left)

    async def _ask_each(self, client: Client, left: Iterator[int]) -> None:
        for _ in left:
            path = f"/v1/conversations/{await client.conversation()}/messages"
            answer = await client.request("POST", path, {"text": QUESTION})
            if answer.json().get("status") != "waiting":
                self.broken.append(f"a run does not wait: {answer.text[:200]}")
            self.asked += 1
            self.tick(self.asked)

    def _waiting(self) -> int:
        statement = select(func.count()).where(tables.run.c.status == "waiting")
        with self.place.connection() as connection:
            return int(connection.execute(statement).scalar_one())

    async def _decide_one(self, client: Client) -> str:
        sent = (await client.get("/v1/reviews"))["reviews"][-1]["run_id"]
        await client.decide(sent, "approve")
        ended = await client.run_to(sent, ("run.finished",))
        return str(ended.json()["outcome"])


async def _look(child: Child, rest: float) -> JSON:
    """Return a process's memory and tasks, once it has come to rest."""
    await anyio.sleep(rest)
    path = snapshot_path(Path(child.spec.data), child.pid)
    path.unlink(missing_ok=True)
    child.send(signal.SIGUSR1)
    with anyio.fail_after(20):
        while not path.exists():  # noqa: ASYNC110
            await anyio.sleep(0.02)
    return {**orjson.loads(path.read_bytes()), "bytes": resident(child.pid)}
