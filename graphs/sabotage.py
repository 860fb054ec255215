"""Faults by name, for trials: each wraps one part at the composition root, and nothing of it is there without.

``Sabotage`` is what ``handrail serve --fault NAME`` and ``handrail worker --fault NAME`` ask for. It is refused
outside development mode.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
import psycopg
from sqlalchemy import Connection, event

from agents.checker import AnswerRequest, SentenceRequest
from agents.drafter import DraftRequest
from graphs.faults import EFFECT_POINTS, Faults, KillAt, NoFaults
from graphs.settings import Settings
from graphs.team import Team
from policies.errors import ConfigError, Unavailable
from policies.types import Abstention, Sentence, Verdict
from tools.encoder.ports import Vectors
from tools.knowledge.vectors import Found, VectorStore
from tools.storage.database import Database

T = TypeVar("T")
log = logging.getLogger("handrail.faults")
RESTART_AFTER_SECONDS = 5.0
AWAY_SECONDS = 2.0
SLOW_SECONDS = 0.2
_CUT_OFF = """
    select count(pg_terminate_backend(pid)) from pg_stat_activity
    where datname = current_database() and application_name like 'handrail%' and pid <> pg_backend_pid()
"""

FAULTS = {
    "model-timeout": "The drafter never answers.",
    "vector-store-down": "Queries of the vector store fail.",
    "database-restart[:SECONDS]": "Once, 5 or SECONDS seconds after the start, PostgreSQL ends all connections "
    "of all processes; SQLite fails all transactions for 2 s.",
    "guard-crash": "The checker raises.",
    "slow-disk": "Every commit takes 200 ms more.",
    "kill:POINT[:N]": "The process kills itself (SIGKILL) when its segments come to a point for the first or Nth "
    "time.",
}
"""What each fault does, by how it is written."""
_PLAIN = frozenset(name for name in FAULTS if ":" not in name)


class SilentDrafter:
    """A drafter whose model never answers."""

    async def __call__(self, request: DraftRequest) -> AsyncGenerator[Sentence | Abstention, None]:  # noqa: ARG002
        """Draft nothing, for ever."""
        await anyio.sleep_forever()
        yield Sentence(text="")


class CrashingChecker:
    """A checker that raises whatever it is given."""

    async def sentence(self, request: SentenceRequest) -> Verdict:  # noqa: ARG002
        """Raise."""
        raise RuntimeError("fault: guard-crash")

    async def answer(self, request: AnswerRequest) -> Verdict:  # noqa: ARG002
        """Raise."""
        raise RuntimeError("fault: guard-crash")


class DownVectorStore(VectorStore):
    """A vector store that can be written to and not be asked."""

    def query(self, name: str, vectors: Vectors, limit: int) -> list[Found]:
        """Raise ``Unavailable``."""
        raise Unavailable(f"fault: vector-store-down ({name}, {len(vectors)} vectors, {limit} wanted)")


@dataclass
class AwayDatabase:
    """A database that is away until a time; the rest of the time it is the one that it wraps."""

    inner: Database
    until: float = 0.0

    @property
    def notifies(self) -> bool:
        """What the wrapped one says."""
        return self.inner.notifies

    async def write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Run ``work`` in a write transaction, or raise ``Unavailable``."""
        self._require()
        return await self.inner.write(work, durable=durable)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a reading connection, or raise ``Unavailable``."""
        self._require()
        return await self.inner.read(work)

    async def close(self) -> None:
        """Close the wrapped one."""
        await self.inner.close()

    def _require(self) -> None:
        if time.monotonic() < self.until:
            raise Unavailable("The database does not answer (fault: database-restart).", remedy="Wait 2 seconds.")


@dataclass(frozen=True)
class SlowDatabase:
    """A database whose disk is slow: each commit takes longer, and those who wait for it share it as ever."""

    inner: Database

    @property
    def notifies(self) -> bool:
        """What the wrapped one says."""
        return self.inner.notifies

    async def write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Run ``work`` in a write transaction whose commit takes 200 ms more."""

        def slowly(connection: Connection) -> T:
            if not event.contains(connection, "commit", _wait):
                event.listen(connection, "commit", _wait)
            return work(connection)

        return await self.inner.write(slowly, durable=durable)

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a reading connection."""
        return await self.inner.read(work)

    async def close(self) -> None:
        """Close the wrapped one."""
        await self.inner.close()


def _wait(_connection: Connection) -> None:
    time.sleep(SLOW_SECONDS)


@dataclass(frozen=True)
class Several:
    """Faults at points, one after the other."""

    each: tuple[Faults, ...]

    async def at(self, point: str) -> None:
        """Tell all."""
        for one in self.each:
            await one.at(point)


@dataclass(frozen=True, kw_only=True)
class Sabotage:
    """What goes wrong on purpose in one process; made by ``plan_sabotage``."""

    names: tuple[str, ...] = ()
    """The faults as they were asked for."""
    kills: tuple[KillAt, ...] = ()
    restart_after: float | None = None
    """Seconds after the start."""
    _away: list[AwayDatabase] = field(default_factory=list)

    def team(self, team: Team) -> Team:
        """Return a team with the agents that fail."""
        if "model-timeout" in self.names:
            team = replace(team, drafter=SilentDrafter())
        if "guard-crash" in self.names:
            team = replace(team, checker=CrashingChecker())
        return team

    def database(self, database: Database) -> Database:
        """Return a database that fails; PostgreSQL's connections are ended from outside instead."""
        if "slow-disk" in self.names:
            database = SlowDatabase(database)
        if self.restart_after is not None and not database.notifies:
            database = AwayDatabase(database)
            self._away.append(database)
        return database

    def vector_store(self, where: str | Path) -> VectorStore:
        """Open the vector store, one that fails if that was asked for."""
        return DownVectorStore(where) if "vector-store-down" in self.names else VectorStore(where)

    def at_points(self, faults: Faults | None) -> Faults:
        """Return what is told of a segment's points, others' faults first."""
        each = (*([faults] if faults is not None else []), *self.kills)
        return each[0] if len(each) == 1 else Several(each) if each else NoFaults()

    @asynccontextmanager
    async def under_way(self, line: str | None) -> AsyncIterator[None]:
        """Say loudly what is wrong and, while the context lasts, do what comes with time.

        ``line`` is PostgreSQL's connection string, None on SQLite.
        """
        if not self.names:
            yield
            return
        log.warning("FAULTS ON PURPOSE in this process: %s", ", ".join(self.names))
        async with anyio.create_task_group() as tasks:
            if self.restart_after is not None:
                tasks.start_soon(self._restart_later, self.restart_after, line)
            yield
            tasks.cancel_scope.cancel()

    async def _restart_later(self, after: float, line: str | None) -> None:
        await anyio.sleep(after)
        await self.restart(line)

    async def restart(self, line: str | None) -> None:
        """Let the database go away now, and come back."""
        log.warning("fault: database-restart now")
        for database in self._away:
            database.until = time.monotonic() + AWAY_SECONDS
        if line is not None:
            await anyio.to_thread.run_sync(_cut_off, line)


NO_SABOTAGE = Sabotage()


def _cut_off(line: str) -> None:
    with psycopg.connect(line, autocommit=True, application_name="sabotage") as connection:
        connection.execute(_CUT_OFF)


def plan_sabotage(names: Sequence[str], settings: Settings) -> Sabotage:
    """Return the faults that are asked for by name.

    Raises ``ConfigError`` for a name that is none, and for any outside development mode.
    """
    if not names:
        return NO_SABOTAGE
    if settings.mode != "development":
        raise ConfigError(
            f"Faults on purpose ({', '.join(names)}) are refused in production mode.",
            remedy="Set HANDRAIL_MODE=development, never where customers are.",
            code="faults.refused",
        )
    restarts = [_seconds(name) for name in names if name.split(":")[0] == "database-restart"]
    kills = tuple(_kill(name) for name in names if name.split(":")[0] == "kill")
    for name in names:
        if name not in _PLAIN and name.split(":")[0] not in ("database-restart", "kill"):
            raise _unknown(name)
    return Sabotage(names=tuple(names), kills=kills, restart_after=min(restarts, default=None))


def _seconds(name: str) -> float:
    _, colon, after = name.partition(":")
    if not colon:
        return RESTART_AFTER_SECONDS
    try:
        seconds = float(after)
    except ValueError:
        raise _unknown(name) from None
    if not 0 <= seconds < float("inf"):
        raise _unknown(name)
    return seconds


def _kill(name: str) -> KillAt:
    match name.split(":"):
        case [_, point] if point in EFFECT_POINTS:
            return KillAt(point)
        case [_, point, number] if point in EFFECT_POINTS and number.isdecimal() and int(number) > 0:
            return KillAt(point, int(number))
    raise _unknown(name)


def _unknown(name: str) -> ConfigError:
    return ConfigError(
        f"There is no fault {name!r}.",
        remedy=f"Choose among {', '.join(FAULTS)}; POINT is one of {', '.join(EFFECT_POINTS)}.",
        code="faults.unknown",
    )
