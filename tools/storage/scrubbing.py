"""Scrubbing: what deleted rows leave in the files beside SQLite's tables is written over.

Our connections delete with ``secure_delete``, so the tables' own pages hold zeros where rows were. The write-ahead
log keeps earlier images of pages until it is begun anew; this brings that about.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

WAIT_SECONDS = 0.2
TRIES = 25


def scrub(path: Path) -> bool:
    """Empty the write-ahead log of a SQLite file; returns False when readers kept it from that.

    It waits for readers in short tries, because writers wait meanwhile.
    """
    with closing(sqlite3.connect(path, timeout=WAIT_SECONDS)) as connection:
        return any(_emptied(connection) for _ in range(TRIES))


def _emptied(connection: sqlite3.Connection) -> bool:
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:
        return False
    return not busy
