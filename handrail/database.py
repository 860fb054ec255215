"""What the commands show of the database."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from handrail.terminal import print_json
from tools.storage.stats import StorageStats, postgres_stats, sqlite_stats

if TYPE_CHECKING:
    from graphs.settings import Settings


async def upgrade_database(settings: Settings, out: Console) -> None:
    """Bring the tables to this version and say so."""
    from graphs.backend import upgrade_backend

    revision = await upgrade_backend(settings)
    where = "PostgreSQL" if settings.database_url else settings.data / "handrail.db"
    out.print(f"The tables in {where} are at revision {revision}.", markup=False, soft_wrap=True)


def show_stats(settings: Settings, out: Console, as_json: bool) -> None:
    """Print how much is stored and where; it reads beside a running server and changes no row."""
    stats = _measured(settings)
    if as_json:
        print_json(out, asdict(stats))
        return
    out.print(_table(stats))
    for line in _lines(stats):
        out.print(line, markup=False, soft_wrap=True)


def _measured(settings: Settings) -> StorageStats:
    if settings.database_url is not None:
        return postgres_stats(settings.database_url.get_secret_value())
    return sqlite_stats(settings.data / "handrail.db", settings.data / "checkpoints.db")


def _table(stats: StorageStats) -> Table:
    shown = Table("table", box=None, pad_edge=False)
    shown.add_column("rows", justify="right")
    shown.add_column("size", justify="right")
    for one in stats.tables:
        shown.add_row(one.name, f"{one.rows:,}", _size(one.bytes))
    return shown


def _lines(stats: StorageStats) -> list[str]:
    runs = ", ".join(f"{count:,} {status}" for status, count in stats.runs.items())
    each = f"; {_size(stats.bytes_per_turn)} for each" if runs else ""
    return [
        f"{stats.backend}: {_size(stats.bytes)} in use, {_size(stats.free_bytes)} free for new rows",
        f"runs: {runs or 'none'}{each}",
        f"events since: {stats.oldest_event or 'none kept'}",
        f"checkpoints: {stats.checkpoint_rows:,} rows, {_size(stats.checkpoint_bytes)}",
    ]


def _size(count: int | None) -> str:
    return "unknown" if count is None else decimal(count)
