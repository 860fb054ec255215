"""Figures: what a list of numbers comes to, and how large processes and databases are."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from handrail.soak.place import Place

PAGE = 4096


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return number, median, 95th percentile and maximum."""
    if not values:
        return {"n": 0}
    ordered = sorted(values)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)

    return {"n": len(ordered), "p50": at(0.5), "p95": at(0.95), "max": at(1.0)}


def resident(pid: int) -> int:
    """Return a process's resident memory in bytes (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def stored(place: Place) -> int:
    """Return how many bytes a place takes on disk, with all that was committed in its place."""
    if place.url is None:
        return sum(_file(place.data / name) for name in ("handrail.db", "checkpoints.db"))
    with place.connection() as connection:
        return int(connection.execute(text("select pg_database_size(current_database())")).scalar_one())


def stored_events(place: Place) -> int:
    """Return the bytes of the room that events use: their table on PostgreSQL, on SQLite the file."""
    if place.url is None:
        return stored(place)
    with place.connection() as connection:
        return int(connection.execute(text("select pg_total_relation_size('event')")).scalar_one())


def _file(path: Path) -> int:
    with closing(sqlite3.connect(path, timeout=10)) as connection:
        connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    return path.stat().st_size
