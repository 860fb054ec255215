"""What is stored can be measured beside a process that is at work on it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from rich.console import Console

from graphs.settings import Settings
from handrail.database import show_stats
from policies.errors import ConfigError
from tools.clock import CountedIds, FixedClock
from tools.storage import conversations, events, runs
from tools.storage.checkpoints import open_checkpoints
from tools.storage.database import open_database
from tools.storage.events import NewEvent
from tools.storage.sealing import Sealer
from tools.storage.stats import StorageStats, TableStats, postgres_stats, sqlite_stats
from tools.storage.store import Store, Tx

pytestmark = pytest.mark.anyio
Measure = Callable[[], StorageStats]


@pytest.fixture(name="url", params=["sqlite", "postgres"])
def url_fixture(request: pytest.FixtureRequest) -> str | None:
    """Return the URL of an empty PostgreSQL database, or None for SQLite."""
    url: str | None = request.getfixturevalue("new_postgres")() if request.param == "postgres" else None
    return url


@pytest.fixture(name="measure")
async def measure_fixture(url: str | None, tmp_path: Path) -> AsyncIterator[Measure]:
    """Open a store with two runs in it; returns what measures it from outside while it is open."""
    rows, checkpoints = tmp_path / "handrail.db", tmp_path / "checkpoints.db"
    if url is not None:
        async with open_database(url) as database:
            await fill(database_store(database))
            yield lambda: postgres_stats(url)
        return
    async with open_database(rows) as database, open_checkpoints(checkpoints):
        await fill(database_store(database))
        yield lambda: sqlite_stats(rows, checkpoints)


def database_store(database: object) -> Store:
    return Store(
        database=database,  # type: ignore[arg-type]
        clock=FixedClock(),
        ids=CountedIds(),
        sealer=Sealer(Fernet.generate_key()),
        publish=lambda _: None,
    )


async def fill(store: Store) -> None:
    def work(tx: Tx) -> None:
        conversation = conversations.create(tx, assistant="a", customer={})
        values = {
            "conversation_id": conversation.id,
            "assistant_version": "v",
            "conversation_version": 1,
            "input": {"question": "q"},
            "trace_id": "t",
            "principal": "p",
        }
        for number in (1, 2):
            runs.create(tx, run_id=f"run_{number}", values=values)
            events.append(tx, conversation.id, [NewEvent(type="usage", data={})] * 3, run_id=f"run_{number}")
        runs.end(tx, "run_1", "cancelled")

    await store.in_workspace("acme").write(work)


async def test_rows_runs_and_bytes_are_told(measure: Measure) -> None:
    stats = measure()
    rows = {one.name: one.rows for one in stats.tables}
    assert {name: rows[name] for name in ("conversation", "run", "event", "message")} == {
        "conversation": 1,
        "run": 2,
        "event": 6,
        "message": 0,
    }
    assert stats.runs == {"finished": 1, "queued": 1}
    assert stats.bytes_per_turn == round(stats.bytes / 2)
    assert stats.oldest_event == "2026-01-05T12:00:00.000000+00:00"
    assert (stats.checkpoint_rows, stats.free_bytes) == (0, 0)


async def test_tables_are_listed_with_their_indexes_largest_first(measure: Measure) -> None:
    stats = measure()
    sizes = [one.bytes or 0 for one in stats.tables]
    assert sizes == sorted(sizes, reverse=True)
    assert all(sizes)
    assert 0 < sum(sizes) + (stats.checkpoint_bytes or 0) <= stats.bytes
    assert "checkpoints" not in {one.name for one in stats.tables}


async def test_what_is_measured_can_be_printed_as_a_table_or_as_json(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    async with open_database(tmp_path / "handrail.db") as database:
        await fill(database_store(database))
        shown, plain = StringIO(), StringIO()
        show_stats(settings, Console(file=shown, width=100), as_json=False)
        show_stats(settings, Console(file=plain), as_json=True)
    found = json.loads(plain.getvalue())
    tables = tuple(TableStats(**one) for one in found["tables"])
    told = replace(StorageStats(**found), tables=tables)
    assert told.runs == {"finished": 1, "queued": 1}
    lines = shown.getvalue().splitlines()
    assert lines[0].split() == ["table", "rows", "size"]
    assert ["event", "6"] in [line.split()[:2] for line in lines]
    assert lines[-3:] == [
        f"runs: 1 finished, 1 queued; {told.bytes_per_turn / 1000:.1f} kB for each",  # type: ignore[operator]
        "events since: 2026-01-05T12:00:00.000000+00:00",
        "checkpoints: 0 rows, 0 bytes",
    ]


async def test_a_folder_without_a_database_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no database"):
        sqlite_stats(tmp_path / "handrail.db", tmp_path / "checkpoints.db")
    assert not (tmp_path / "handrail.db").exists()
