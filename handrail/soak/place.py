"""A place for data, SQLite or PostgreSQL, and the processes that share it."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import anyio
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine

from evals.postgres import Postgres, free_port, private_postgres
from graphs.backend import upgrade_backend
from graphs.settings import Settings
from handrail.soak.assistant import write_assistant
from handrail.soak.nursery import Child, Nursery
from handrail.soak.process import Spec
from tools.storage.postgres import postgres_engine

Backend = Literal["sqlite", "postgres"]
NewDatabase = Callable[[], str]
"""Makes a database with all tables and returns its URL."""


@dataclass(kw_only=True)
class Place:
    """Where processes keep their data."""

    folder: Path
    url: str | None
    effects: bool = False
    vault_key: str = field(default_factory=lambda: Fernet.generate_key().decode())
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        write_assistant(self.folder / "assistant", effects=self.effects)

    @property
    def backend(self) -> Backend:
        """Which kind it is."""
        return "sqlite" if self.url is None else "postgres"

    @property
    def calls(self) -> Path:
        """The file that effects are written to."""
        return self.folder / "calls"

    @property
    def data(self) -> Path:
        """The data folder of the one process on SQLite."""
        return self.folder / "data"

    def server(self, **more: object) -> Spec:
        """Describe a server: on SQLite it works itself."""
        return self._spec(serves=True, works=self.url is None, port=free_port(), **more)

    def worker(self, **more: object) -> Spec:
        """Describe a worker; only on PostgreSQL."""
        return self._spec(serves=False, works=True, **more)

    def _spec(self, **more: object) -> Spec:
        data = self.data if self.url is None else self.folder / f"data{next(self._numbers)}"
        plain = Spec(
            serves=False,
            works=False,
            assistant=str(self.folder / "assistant"),
            data=str(data),
            calls=str(self.calls),
            database_url=self.url,
            vault_key=self.vault_key,
            effects=self.effects,
        )
        return replace(plain, **more)  # type: ignore[arg-type]

    async def staff(self, nursery: Nursery, *, servers: int = 1, workers: int = 2, **more: object) -> list[Child]:
        """Start what a place needs to answer: one process on SQLite, servers and workers on PostgreSQL."""
        specs = [self.server(**more) for _ in range(1 if self.url is None else servers)]
        if self.url is not None:
            specs += [self.worker(**more) for _ in range(workers)]
        return [await nursery.started(each) for each in specs]

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Read the rows, past the processes."""
        path = f"sqlite:///{self.data / 'handrail.db'}"
        engine = create_engine(path) if self.url is None else postgres_engine(self.url)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


@asynccontextmanager
async def open_place(folder: Path, new_database: NewDatabase | None, *, effects: bool) -> AsyncIterator[Place]:
    """Make a fresh place in a folder; with ``new_database`` over PostgreSQL."""
    where = Path(tempfile.mkdtemp(dir=folder))
    yield Place(folder=where, url=None if new_database is None else new_database(), effects=effects)
    shutil.rmtree(where, ignore_errors=True)


@contextmanager
def databases(folder: Path, *, durable: bool) -> Iterator[NewDatabase]:
    """Run a PostgreSQL server; yields what makes databases in it."""
    with private_postgres(durable=durable) as server:
        yield maker(server, folder)


def maker(server: Postgres, folder: Path) -> NewDatabase:
    """Return what makes databases with all tables in a server."""
    settings = Settings(data=folder / "upgrade", database_url=SecretStr(server.create("template")))
    anyio.run(upgrade_backend, settings)
    numbers = itertools.count(1)
    return lambda: server.create(f"soak{next(numbers)}", template="template")
