"""The tables of procrastinate, beside ours in the same PostgreSQL database."""

from __future__ import annotations

import re
from importlib.metadata import version

from procrastinate.schema import SchemaManager
from sqlalchemy import Connection, text

from policies.errors import ConfigError

# Any number that nobody else uses: two processes that upgrade at once take turns.
_LOCK = text("select pg_advisory_xact_lock(4772246)")
_PRESENT = text("select to_regclass('procrastinate_jobs') is not null")
_FUNCTIONS = text(
    "select proname from pg_proc where proname like 'procrastinate\\_%' and pg_function_is_visible(oid)"
)
# Rows come and go all the time; a table that is tidied by the server's defaults makes taking a job slow.
_TIDY = [
    text(f"alter table {name} set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02)")
    for name in ("procrastinate_jobs", "procrastinate_events")
]

_ALIVE = text(
    "select count(*) from procrastinate_workers where last_heartbeat > now() - make_interval(secs => :s)"
)


def apply_schema(connection: Connection) -> None:
    """Create procrastinate's tables in the transaction of ``connection``, unless they are there.

    Raises ``ConfigError`` when they are there but of another release: its changes are files in its package, and
    which of them are missing is not written down in the database.
    """
    connection.execute(_LOCK)
    if not connection.execute(_PRESENT).scalar_one():
        # Many statements in one text, which SQLAlchemy's cursors do not take.
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute(SchemaManager.get_schema())
        for statement in _TIDY:
            connection.execute(statement)
        return
    require_schema(connection)


def require_schema(connection: Connection) -> None:
    """Make sure that procrastinate's tables are there and fit its release; raises ``ConfigError`` if not."""
    if not connection.execute(_PRESENT).scalar_one():
        raise ConfigError(
            "The database has no tables for jobs.", remedy="Run `handrail db upgrade`.", code="database.old"
        )
    needed = set(re.findall(r"CREATE FUNCTION (\w+)", SchemaManager.get_schema()))
    missing = needed - set(connection.execute(_FUNCTIONS).scalars())
    if missing:
        raise ConfigError(
            f"The tables for jobs are of another release of procrastinate: {min(missing)} is missing.",
            remedy=(
                f"Apply the files of `procrastinate schema --migrations-path` that came after that release, up to "
                f"{version('procrastinate')}, then start again."
            ),
            code="database.old",
        )


def count_workers(connection: Connection, lease: float) -> int:
    """Return how many workers have told that they live within a lease."""
    return int(connection.execute(_ALIVE, {"s": lease}).scalar_one())
