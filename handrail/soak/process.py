"""One process of the soak: a server, a worker, or both in one, which may be told to die at a point of a run."""

from __future__ import annotations

import gc
import logging
import os
import signal
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import orjson
from pydantic import SecretStr

from graphs.assembly import Product, open_product
from graphs.faults import Faults, KillAt, NoFaults
from graphs.settings import Settings
from handrail.soak.assistant import Cast
from policies.types import Owner
from server.app import create_app
from server.run import Server, listen, uvicorn_config
from tools.storage import conversations

LEASE_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What a process is to be, as plain data."""

    serves: bool
    works: bool
    assistant: str
    data: str
    calls: str
    """The file that effects are written to, the outside world."""
    database_url: str | None = None
    vault_key: str | None = None
    port: int = 8080
    effects: bool = False
    pace: float = 0.0
    """Seconds between the sentences of an answer."""
    point: str | None = None
    """Where in a run the process dies, if it does; see ``graphs.faults``."""
    time: int = 1
    """At which of the comings to ``point``."""
    attempts: int = 50
    drain: float = 10.0
    lease: float = LEASE_SECONDS

    @property
    def settings(self) -> Settings:
        """The settings of the process."""
        return Settings(
            assistant=Path(self.assistant),
            data=Path(self.data),
            database_url=None if self.database_url is None else SecretStr(self.database_url),
            vault_key=None if self.vault_key is None else SecretStr(self.vault_key),
            port=self.port,
            segment_attempts=self.attempts,
            drain_seconds=self.drain,
            lease_seconds=self.lease,
        )

    @property
    def faults(self) -> Faults:
        """What goes wrong in it."""
        return NoFaults() if self.point is None else KillAt(self.point, self.time)


class _Server(Server):
    """A server that leaves the process's signals to us."""

    def capture_signals(self) -> Any:
        """Capture none."""
        return nullcontext()


async def live(spec: Spec, ready: Callable[[], None]) -> None:
    """Be that process until SIGTERM; ``ready`` is called once it is."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"
    )
    cast = Cast(calls=Path(spec.calls), effects=spec.effects, pace=spec.pace)
    stop = anyio.Event()
    async with anyio.create_task_group() as beside:
        beside.start_soon(_stop_when_told, stop)
        beside.start_soon(_tell_when_asked, spec)
        opened = open_product(
            spec.settings, works=spec.works, hire=cast.hire(), faults=spec.faults, announce=lambda _doing: None
        )
        async with opened as product:
            cast.take_over.append(partial(_take_over, product))
            if spec.serves:
                await _serve(product, stop, ready)
            else:
                ready()
                await stop.wait()
        beside.cancel_scope.cancel()


async def _stop_when_told(stop: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async for _ in signals:
            stop.set()


async def _serve(product: Product, stop: anyio.Event, ready: Callable[[], None]) -> None:
    """Serve as ``handrail serve`` does, until ``stop`` is set."""
    with listen(product.settings.host, product.settings.port) as listening:
        app = create_app(product)
        server = _Server(uvicorn_config(app), app.state.lifecycle)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listening])
            while not server.started:  # noqa: ASYNC110
                await anyio.sleep(0.002)
            ready()
            await stop.wait()
            server.should_exit = True


async def _take_over(product: Product, conversation_id: str) -> None:
    workspace = product.service.store.in_workspace(product.principal.workspace_id)
    await workspace.write(lambda tx: conversations.set_owner(tx, conversation_id, Owner.HUMAN))


def snapshot_path(data: Path, pid: int) -> Path:
    """Return the file in which a process tells of itself when it gets SIGUSR1."""
    return data / f"snapshot-{pid}.json"


async def _tell_when_asked(spec: Spec) -> None:
    with anyio.open_signal_receiver(signal.SIGUSR1) as signals:
        async for _ in signals:
            path = snapshot_path(Path(spec.data), os.getpid())
            scratch = path.with_suffix(".new")
            gc.collect()
            scratch.write_bytes(orjson.dumps({"tasks": len(anyio.get_running_tasks())}))
            scratch.replace(path)
