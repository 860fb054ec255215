"""Fixtures that every test may use, and the wall: no socket beyond this machine."""

from __future__ import annotations

import itertools
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr
from sniffio import current_async_library_cvar

from evals.postgres import Postgres, private_postgres

LOCAL = ("127.", "::1", "localhost", "0.0.0.0")


class Blocked(OSError):
    """A test tried to reach beyond this machine."""


@pytest.fixture(scope="session")
def encoders(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of exported encoders: once per checkout, if pytest may keep a cache."""
    kept: pytest.Cache | None = getattr(pytestconfig, "cache", None)
    return kept.mkdir("encoders") if kept else tmp_path_factory.mktemp("encoders")


def _check(address: Any) -> None:
    host = address[0] if isinstance(address, tuple) else None
    if isinstance(host, str) and host and not host.startswith(LOCAL):
        raise Blocked(f"a test tried to reach {host}")


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Refuse connections and look-ups beyond loopback, whoever asks for them."""
    patch = pytest.MonkeyPatch()
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        _check(address)
        connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        _check(address)
        return connect_ex(self, address)

    def guarded_look_up(host: Any, *rest: Any, **more: Any) -> Any:
        _check((host.decode() if isinstance(host, bytes) else host,))
        return look_up(host, *rest, **more)

    patch.setattr(socket.socket, "connect", guarded_connect)
    patch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    patch.setattr(socket, "getaddrinfo", guarded_look_up)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL of the tests' own, on a free port of the loopback."""
    with private_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def new_postgres(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Return a function that makes a database with all tables and returns its URL."""
    from graphs.backend import upgrade_backend
    from graphs.settings import Settings

    settings = Settings(
        data=tmp_path_factory.mktemp("upgrade"), database_url=SecretStr(postgres.create("template"))
    )
    # Whoever asks first may be running a loop in this thread.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(anyio.run, upgrade_backend, settings).result()
    numbers = itertools.count(1)
    return lambda: postgres.create(f"test{next(numbers)}", template="template")


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, the only loop the server runs on."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_loop_left_over() -> None:
    """Forget that an earlier test ran a loop; a fixture's context outlives it, and ``anyio.run`` looks there."""
    current_async_library_cvar.set(None)
