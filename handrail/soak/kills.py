"""Kills: processes die at every point of a run while conversations go on that end in every way there is."""

from __future__ import annotations

import itertools
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from graphs.faults import EFFECT_POINTS, POINTS
from handrail.soak.audit import audit, recoveries
from handrail.soak.client import Broken, Client, open_client
from handrail.soak.figures import spread
from handrail.soak.nursery import Child, Nursery
from handrail.soak.place import Place

JSON = dict[str, Any]
TALKERS = 12
PACE = 0.01
SETTLE_SECONDS = 60.0
ENDS = ("run.finished",)
STOPS = ("run.finished", "run.paused")


async def simple(client: Client, text: str) -> None:
    """Ask once and follow the run to its end."""
    sent = await client.say(await client.conversation(), text)
    await client.run_to(sent.run_id, ENDS)


async def reviewed(client: Client, text: str) -> None:
    """Ask something that a person must look at, and answer as that person."""
    sent = await client.say(await client.conversation(), text)
    stop = await client.run_to(sent.run_id, STOPS)
    if stop.event == "run.paused":
        await client.decide(sent.run_id, client.chance.choice(("approve", "edit", "reject")))
        await client.run_to(sent.run_id, ENDS, after=stop.id)


async def overtaken(client: Client, text: str) -> None:
    """Write twice before there is an answer."""
    conversation = await client.conversation()
    first = await client.say(conversation, text)
    second = await client.say(conversation, "and how long does delivery take")
    for each in (first, second):
        await client.run_to(each.run_id, ENDS)


async def interrupted(client: Client, text: str) -> None:
    """Write again while a person is asked."""
    conversation = await client.conversation()
    first = await client.say(conversation, text)
    await client.run_to(first.run_id, STOPS)
    second = await client.say(conversation, "how long does delivery take")
    for each in (first, second):
        await client.run_to(each.run_id, ENDS)


Play = Callable[[Client, str], Awaitable[None]]
PLAYS: tuple[tuple[Play, str], ...] = (
    (simple, "how long does delivery take"),
    (reviewed, "I want my money back"),
    (simple, "take me to a person"),
    (simple, "I want to complain"),
    (overtaken, "think about it"),
    (simple, "how do I brew oolong"),
    (simple, "are you open on a holiday"),
    (interrupted, "I want my money back"),
    (simple, "what is wrong with it"),
    (reviewed, "there is a doubt"),
    (simple, "send a gift"),
    (simple, "send the money"),
)


@dataclass(kw_only=True)
class Killing:
    """One trial over one place."""

    place: Place
    nursery: Nursery
    kills: int
    tick: Callable[[int], None]
    talkers: int = TALKERS
    killed: list[str] = field(default_factory=list)
    """The points at which it happened."""
    deaths: list[float] = field(default_factory=list)
    """Times of these and of the last, when what is still armed is ended."""
    restarts: list[float] = field(default_factory=list)
    """Seconds from a death until the next process is ready."""
    over: anyio.Event = field(default_factory=anyio.Event)

    async def run(self) -> JSON:
        """Kill so many times, then let everything end and look at the rows."""
        began = time.monotonic()
        points = itertools.cycle(EFFECT_POINTS if self.place.effects else POINTS)
        servers = [] if self.place.url is None else [await self.nursery.started(self.place.server(pace=PACE))]
        mortal = [self.place.worker(pace=PACE) for _ in range(2)] if servers else [self.place.server(pace=PACE)]
        ports = [each.spec.port for each in servers] or [mortal[0].port]
        async with open_client(ports) as client, anyio.create_task_group() as tasks:
            for number, spec in enumerate(mortal):
                tasks.start_soon(self._keep_alive, spec, points, number)
            async with anyio.create_task_group() as talks:
                for number in range(self.talkers):
                    talks.start_soon(self._talk, client, number)
            await self._settle()
            tasks.cancel_scope.cancel()
            sent = client.sent
        # House-keeping of a fresh process clears away the checkpoints that a killed one left.
        for child in self.nursery.alive:
            await child.stop(signal.SIGTERM)
        return self._report(client, sent=sent, seconds=time.monotonic() - began)

    async def _keep_alive(self, spec: Any, points: Iterator[str], slot: int) -> None:
        """Keep one process alive that dies at the next point, again and again."""
        died = 0.0
        while True:
            time_of_it = 1 + (slot + len(self.killed)) % 2
            armed = spec if self.over.is_set() else replace(spec, point=next(points), time=time_of_it)
            child = await self.nursery.started(armed)
            if died:
                self.restarts.append(time.time() - died)
            await self._watch(child)
            died = child.ended_at
            self.deaths.append(died)
            if child.code != -signal.SIGKILL:
                raise Broken(f"A process that should die by a signal ended with {child.code}; see its log.")
            if armed.point is not None and not self.over.is_set():
                self.killed.append(armed.point)
                self.tick(len(self.killed))
            if len(self.killed) >= self.kills:
                self.over.set()

    async def _watch(self, child: Child) -> None:
        """Wait for a death; once enough have died, a process that is still armed is killed and begins unarmed."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._disarm, child)
            await child.ended.wait()
            tasks.cancel_scope.cancel()

    async def _disarm(self, child: Child) -> None:
        await self.over.wait()
        if child.spec.point is not None:
            child.send(signal.SIGKILL)

    async def _talk(self, client: Client, number: int) -> None:
        """Play one way a conversation goes after the other."""
        for play, text in itertools.islice(itertools.cycle(PLAYS), number, None):
            if self.over.is_set():
                return
            await play(client, text)

    async def _settle(self) -> None:
        """Wait until nothing is due: what is done may leave its job a moment later."""
        with anyio.move_on_after(SETTLE_SECONDS):
            while self._due():  # noqa: ASYNC110
                await anyio.sleep(0.2)

    def _due(self) -> bool:
        with self.place.connection() as connection:
            return any("jobs are left" in each for each in audit(connection, ()).broken)

    def _report(self, client: Client, *, sent: Any, seconds: float) -> JSON:
        with self.place.connection() as connection:
            found = audit(connection, sent, self.place.calls)
            recovered = recoveries(connection, self.deaths)
        return {
            "backend": self.place.backend,
            "effects": self.place.effects,
            "kills": len(self.killed),
            "per_point": dict(Counter(self.killed)),
            "recovery_s": spread(recovered),
            "restart_s": spread(self.restarts),
            "seconds": round(seconds, 1),
            "requests_repeated": client.retries,
            "counts": found.counts,
            "outcomes": found.outcomes,
            "broken": found.broken,
        }
