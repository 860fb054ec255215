"""``handrail worker``: a process that works on segments, timers and house-keeping over PostgreSQL."""

from __future__ import annotations

import logging
import signal
from collections.abc import Sequence

import anyio
from prometheus_client import start_http_server

from graphs.assembly import open_product
from graphs.sabotage import NO_SABOTAGE, Sabotage
from graphs.settings import Settings
from graphs.work import QUEUES
from policies.errors import ConfigError
from server.logs import write_logs

log = logging.getLogger("handrail.worker")


async def run_worker(
    settings: Settings,
    queues: Sequence[str],
    metrics_port: int | None = None,
    sabotage: Sabotage = NO_SABOTAGE,
) -> None:
    """Work until SIGTERM or SIGINT; what is being worked on then has ``HANDRAIL_DRAIN_SECONDS`` to finish.

    Raises ``ConfigError`` without PostgreSQL, and for a queue that there is not.
    """
    if settings.database_url is None:
        raise ConfigError(
            "A worker needs PostgreSQL: a SQLite data folder belongs to one process, which works by itself.",
            remedy="Set HANDRAIL_DATABASE_URL, or run `handrail serve` alone.",
        )
    if unknown := [name for name in queues if name not in QUEUES]:
        raise ConfigError(f"There is no queue {unknown[0]!r}.", remedy=f"Choose among {', '.join(QUEUES)}.")
    write_logs(as_json=settings.log == "json")
    if metrics_port is not None:
        start_http_server(metrics_port, "127.0.0.1")
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with open_product(settings, warms=True, queues=list(queues) or None, sabotage=sabotage):
            log.info("working on %s", ", ".join(queues or QUEUES))
            async for _ in signals:
                break
            log.info("stopping: what is at work has %g seconds", settings.drain_seconds)
