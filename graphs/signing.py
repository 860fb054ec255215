"""Signing the ledger from the command line, without opening the whole product."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio.to_thread

from graphs.assembly import key_of_ledger
from graphs.settings import Settings
from tools.clock import SystemClock, TimeOrderedIds
from tools.storage.audit.records import SignedHeads
from tools.storage.audit.signing import sign
from tools.storage.database import Database, open_database
from tools.storage.lock import owned
from tools.storage.sealing import Sealer
from tools.storage.store import Store


async def sign_now(settings: Settings) -> SignedHeads:
    """Sign all heads of the workspace, whether or not that was done today.

    Raises ``ConfigError`` when another process owns the data folder: a server signs by itself once a day.
    """
    async with _opened(settings) as database:
        key = await anyio.to_thread.run_sync(key_of_ledger, settings)
        # Nothing here is sealed or opened, so the vault's key is not asked for.
        store = Store(
            database=database,
            clock=SystemClock(),
            ids=TimeOrderedIds(),
            sealer=Sealer(b""),
            publish=lambda _events: None,
        )
        return await store.in_workspace(settings.workspace).write(partial(sign, key=key))


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    if settings.database_url is not None:
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with open_database(settings.database_url.get_secret_value()) as database:
            yield database
        return
    with owned(settings.data):
        async with open_database(settings.data / "handrail.db") as database:
            yield database
