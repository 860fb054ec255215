"""The data of people, from the command line, where no server owns it: without opening the whole product."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio.to_thread

from graphs.assembly import vault_key
from graphs.backend import open_backend
from graphs.privacy import Privacy
from graphs.settings import Settings
from policies.errors import ConfigError
from tools.clock import SystemClock, TimeOrderedIds
from tools.storage.installation import require_key
from tools.storage.sealing import Sealer
from tools.storage.store import Store


@asynccontextmanager
async def open_privacy(settings: Settings) -> AsyncIterator[Privacy]:
    """Open the rows that the settings name; over PostgreSQL beside the processes that are at work.

    Raises ``ConfigError`` when there is nothing yet, or another process owns the data folder.
    """
    embedded = settings.database_url is None
    if embedded and not (settings.data / "handrail.db").is_file():
        raise ConfigError(
            f"There is no database in {settings.data}.",
            remedy="Name the data folder with --data.",
            code="data.none",
        )
    clock = SystemClock()
    async with open_backend(settings, clock) as backend:
        sealer = Sealer(await anyio.to_thread.run_sync(vault_key, settings))
        await backend.database.write(partial(require_key, sealer=sealer))
        store = Store(
            database=backend.database,
            clock=clock,
            ids=TimeOrderedIds(),
            sealer=sealer,
            publish=lambda _events: None,
        )
        prune = backend.checkpoints.prune
        yield Privacy(store=store, prune=prune, scrub=backend.scrub, alone=embedded)
