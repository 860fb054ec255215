"""Serving: a socket, uvicorn on it, and an orderly end."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from graphs.assembly import Product
from graphs.sabotage import NO_SABOTAGE, Sabotage
from graphs.settings import Settings
from policies.errors import ConfigError
from server.app import create_app
from server.gate import LOOPBACK
from server.lifecycle import Lifecycle
from server.logs import write_logs
from tools.storage.lock import announced

log = logging.getLogger("handrail.server")
DRAIN_SECONDS = 10


class Server(uvicorn.Server):
    """Tells the app that it is closing before it waits for open connections, so that those who wait can leave."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM for a wish to end in order, and for nothing more.

        uvicorn raises them again when it has ended, which would end this process before the product is closed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams and waits, then connections, then the app."""
        self._lifecycle.drain()
        await super().shutdown(sockets)


def serve(settings: Settings, *, sabotage: Sabotage = NO_SABOTAGE) -> None:
    """Serve until SIGINT or SIGTERM; blocks.

    The socket listens at once and ``/readyz`` says what the server is doing until it is ready. Raises
    ``ConfigError`` when the port is taken or the product can't be opened.
    """
    write_logs(as_json=settings.log == "json")
    listening = listen(settings.host, settings.port)
    with listening:
        url = url_of(listening)
        app = create_app(
            settings, url=url, on_failure=lambda: setattr(server, "should_exit", True), sabotage=sabotage
        )
        lifecycle: Lifecycle = app.state.lifecycle
        server = Server(uvicorn_config(app), lifecycle)
        log.info("listening on %s", url)
        server.run(sockets=[listening])
    if lifecycle.failure is not None:
        raise lifecycle.failure


async def serve_product(product: Product) -> None:
    """Serve an open product at its settings' address until SIGINT or SIGTERM."""
    listening = listen(product.settings.host, product.settings.port)
    app = create_app(product)
    url, own = url_of(listening), product.assistant
    with listening, announced(product.settings.data, url, assistant=own.name, folder=own.folder):
        await Server(uvicorn_config(app), app.state.lifecycle).serve(sockets=[listening])


def uvicorn_config(app: object) -> uvicorn.Config:
    """Return how uvicorn serves us: it logs problems only, and never who asked for what."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # uvicorn names its own type for ASGI applications
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; raises ``ConfigError`` when the address can't be had."""
    if host not in LOOPBACK:
        log.warning("%s is not a loopback address: there is no sign-in, whoever reaches it may do anything", host)
    try:
        return socket.create_server((host, port), family=_family(host), backlog=2048)
    except OSError as error:
        raise ConfigError(
            f"Can't listen on {host}:{port}: {error.strerror or error}.",
            remedy="Stop what listens there, or choose another port with HANDRAIL_PORT.",
            code="port.taken",
        ) from error


def _family(host: str) -> socket.AddressFamily:
    try:
        return socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        return socket.AF_INET


def url_of(listening: socket.socket) -> str:
    """Return the address under which this machine reaches a listening socket."""
    host, port = listening.getsockname()[:2]
    named = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{named}]:{port}" if ":" in named else f"http://{named}:{port}"
