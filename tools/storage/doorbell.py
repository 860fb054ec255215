"""The doorbell: what other processes ring over PostgreSQL (LISTEN and NOTIFY). Rows are the truth; this wakes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NoReturn

import anyio
import psycopg

from tools.storage.postgres import KEEPALIVE
from tools.storage.store import CHANNEL, Ring

log = logging.getLogger("handrail.doorbell")
PAUSE_SECONDS = 0.5


async def listen(conninfo: str, heard: Callable[[Ring], None], *, missed: Callable[[], None]) -> NoReturn:
    """Pass on what is rung, for ever, over one connection of its own.

    ``missed`` is called whenever the line is up again, and once in the beginning: rings may have been lost, so
    whoever waits for one must look at the rows.
    """
    while True:
        try:
            await _listen_once(conninfo, heard, missed)
        except psycopg.OperationalError as error:
            log.warning("the doorbell is silent and tried again: %s", type(error).__name__)
        except Exception:
            log.exception("the doorbell is silent and tried again")
        await anyio.sleep(PAUSE_SECONDS)


async def _listen_once(conninfo: str, heard: Callable[[Ring], None], missed: Callable[[], None]) -> None:
    connection = await psycopg.AsyncConnection.connect(
        conninfo, autocommit=True, application_name="handrail doorbell", connect_timeout=5, **KEEPALIVE
    )
    async with connection:
        await connection.execute(f"listen {CHANNEL}")
        missed()
        async for notice in connection.notifies():
            ring = Ring.parse(notice.payload)
            if ring is not None:
                heard(ring)
