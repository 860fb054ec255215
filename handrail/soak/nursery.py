"""A nursery of processes: one that has imported everything, and forks another for each that is wanted.

What imports everything does so once, starts no loop and no thread, and so can be forked safely; a restart then
costs what opening a database costs.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import anyio
import orjson
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from handrail.soak.process import Spec

ROOT = Path(__file__).resolve().parent.parent.parent
LONGEST_LINE = 4_000
_PROGRAM = (
    "from handrail import use_own_packages; use_own_packages(); from handrail.soak.cradle import main; main()"
)


@dataclass(eq=False)
class Child:
    """One process."""

    spec: Spec
    pid: int
    began: float = field(default_factory=time.time)
    ready: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    code: int | None = None
    """How it ended: its exit code, or less than 0 for a signal."""
    ended_at: float = 0.0

    def send(self, number: int) -> None:
        """Send it a signal, if it still lives."""
        if not self.ended.is_set():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def stop(self, number: int = signal.SIGTERM, within: float = 20.0) -> int | None:
        """Send a signal, wait for the end and return how it ended."""
        self.send(number)
        with anyio.fail_after(within):
            await self.ended.wait()
        return self.code


class Nursery:
    """Starts processes and hears of their ends; made by ``open_nursery``."""

    def __init__(self, cradle: Process) -> None:
        self._cradle = cradle
        self._children: dict[int, Child] = {}
        self._waiting: list[tuple[Spec, anyio.Event, list[Child]]] = []

    async def start(self, spec: Spec) -> Child:
        """Fork a process; it may take a moment to be ready."""
        forked, found = anyio.Event(), list[Child]()
        self._waiting.append((spec, forked, found))
        assert self._cradle.stdin is not None
        await self._cradle.stdin.send(orjson.dumps(asdict(spec)) + b"\n")
        await forked.wait()
        return found[0]

    async def started(self, spec: Spec, within: float = 30.0) -> Child:
        """Fork a process and wait until it is ready."""
        child = await self.start(spec)
        with anyio.fail_after(within):
            await child.ready.wait()
        return child

    @property
    def alive(self) -> list[Child]:
        """The processes that have not ended."""
        return [each for each in self._children.values() if not each.ended.is_set()]

    async def listen(self) -> None:
        """Take note of what the cradle tells, until it ends."""
        assert self._cradle.stdout is not None
        lines = BufferedByteReceiveStream(self._cradle.stdout)
        with suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError):
            while True:
                told = orjson.loads(await lines.receive_until(b"\n", LONGEST_LINE))
                self._note(told)

    def _note(self, told: dict[str, float | int | str]) -> None:
        pid = int(told["pid"])
        if told["what"] == "forked":
            spec, forked, found = self._waiting.pop(0)
            self._children[pid] = Child(spec, pid)
            found.append(self._children[pid])
            forked.set()
        elif told["what"] == "ready":
            self._children[pid].ready.set()
        else:
            child = self._children[pid]
            child.code, child.ended_at = int(told["code"]), float(told["at"])
            child.ready.set()
            child.ended.set()


@asynccontextmanager
async def open_nursery(log: Path) -> AsyncIterator[Nursery]:
    """Start a nursery; what its processes log goes to a file. In the end it ends, and they with it."""
    with log.open("ab") as errors:
        cradle = await anyio.open_process([sys.executable, "-c", _PROGRAM], stderr=errors, cwd=ROOT)
    nursery = Nursery(cradle)
    async with cradle, anyio.create_task_group() as tasks:
        tasks.start_soon(nursery.listen)
        try:
            yield nursery
        finally:
            with anyio.CancelScope(shield=True):
                for child in nursery.alive:
                    child.send(signal.SIGKILL)
                assert cradle.stdin is not None
                await cradle.stdin.aclose()
                await cradle.wait()
            tasks.cancel_scope.cancel()
