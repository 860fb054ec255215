"""From the first byte on the socket to the last: what the process is doing and whether it can serve."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager

import anyio
from fastapi import FastAPI

from graphs.assembly import Product, open_product
from graphs.sabotage import NO_SABOTAGE, Sabotage
from graphs.settings import Settings
from policies.errors import HandrailError, Unavailable
from tools.storage.lock import announced

log = logging.getLogger("handrail.server")


class Lifecycle:
    """Opens the product behind a socket that listens already, and closes it in the end."""

    def __init__(self, product: Product | None = None, sabotage: Sabotage = NO_SABOTAGE) -> None:
        self.product = product
        self._sabotage = sabotage
        self.doing = "starting"
        self.failure: Exception | None = None
        self.closing = anyio.Event()

    def require(self) -> Product:
        """Return the product; raises ``Unavailable`` while there is none."""
        if self.product is None:
            if self.failure is not None:
                raise Unavailable("The server could not start.", remedy="Its log says why.", code="failed")
            raise Unavailable(f"Not ready yet: {self.doing}.", remedy="Try again in a moment.", code="starting")
        return self.product

    def drain(self) -> None:
        """Tell those who wait, and streams, that the end has come."""
        self.closing.set()

    def announce(self, doing: str) -> None:
        """Note what takes long; any thread may call this."""
        self.doing = doing
        log.info("%s", doing)

    async def run(self, settings: Settings, url: str | None, on_failure: Callable[[], None]) -> None:
        """Hold the product open until ``closing`` is set, then let running segments come to their end.

        Embedded, this process works on segments itself; over PostgreSQL, ``handrail worker`` does.
        """
        embedded = settings.database_url is None
        try:
            opening = open_product(
                settings, works=embedded, warms=embedded, announce=self.announce, sabotage=self._sabotage
            )
            async with opening as product:
                with ExitStack() as stack:
                    if url is not None and embedded:
                        own = product.assistant
                        stack.enter_context(announced(settings.data, url, assistant=own.name, folder=own.folder))
                    self.product = product
                    log.info("ready")
                    await self.closing.wait()
                    self.product, self.doing = None, "stopping"
        except HandrailError as error:
            self._failed(error, on_failure)
        except Exception as error:
            log.exception("the server stops")
            self._failed(error, on_failure)
        finally:
            self.product = None

    def _failed(self, error: Exception, on_failure: Callable[[], None]) -> None:
        self.failure = error
        log.critical("%s", error)
        on_failure()

    @asynccontextmanager
    async def lifespan(
        self, settings: Settings, url: str | None, on_failure: Callable[[], None], _app: FastAPI
    ) -> AsyncIterator[None]:
        """Be the app's lifespan: the socket opens at once, the product as soon as it can."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.run, settings, url, on_failure)
            yield
            self.closing.set()
