"""What language models cost, as the command shows it.

It asks the server that owns the data folder, or opens the rows itself where none does.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from handrail.client import JSON, Client
from handrail.terminal import print_json
from policies.types import Principal

if TYPE_CHECKING:
    from graphs.settings import Settings
    from tools.models.costs import Wanted

_UNNAMED = {"intent": "(not known yet)"}


async def show_usage(settings: Settings, out: Console, wanted: Wanted, *, as_json: bool) -> None:
    """Print a page of sums, what all come to, and calls that nobody has settled."""
    report = await _report(settings, wanted)
    if as_json:
        print_json(out, report)
        return
    if report["sums"]:
        out.print(_table(report))
    for line in _lines(report):
        out.print(line, markup=False, soft_wrap=True)


async def _report(settings: Settings, wanted: Wanted) -> JSON:
    from tools.storage.lock import running_server

    url = running_server(settings.data) if settings.database_url is None else None
    if url is not None:
        asked = {"by": wanted.by, "after": wanted.after, "limit": wanted.limit}
        async with Client.open(url) as client:
            return await client.usage(**asked, **{"from": _day(wanted.first), "to": _day(wanted.last)})
    from graphs.usage import open_usage

    admin = Principal(workspace_id=settings.workspace, id="local-admin", role="admin")
    async with open_usage(settings) as usage:
        return asdict(await usage.report(admin, wanted))


def _day(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _table(report: JSON) -> Table:
    shown = Table(report["by"], box=None, pad_edge=False)
    for name in ("money", "calls", "tokens in", "tokens out", "set aside", "saved"):
        shown.add_column(name, justify="right")
    total = [{**report["total"], "name": "in all"}] if report["by"] == "day" else []
    for each in (*report["sums"], *total):
        shown.add_row(each["name"] or _UNNAMED.get(report["by"], ""), *_cells(each))
    return shown


def _cells(sums: dict[str, Any]) -> tuple[str, ...]:
    counts = (f"{sums[name]:,}" for name in ("calls", "input_tokens", "output_tokens"))
    return (_money(sums["money"]), *counts, _money(sums["held_money"]), _money(sums["saved_money"]))


def _lines(report: JSON) -> list[str]:
    total, runs = report["total"], report["runs"]
    saved = f"{_many(total['saved_calls'], 'call')}, {total['saved_tokens']:,} tokens"
    lines = [
        f"In all {_money(total['money'])} for {_many(total['calls'], 'call')} and "
        f"{total['input_tokens'] + total['output_tokens']:,} tokens; kept replies saved "
        f"{_money(total['saved_money'])} ({saved})."
    ]
    if runs["ended"]:
        share = runs["without_model"] / runs["ended"]
        lines.append(f"Without a model: {runs['without_model']:,} of {_many(runs['ended'], 'run')} ({share:.0%}).")
    if total["unpriced_calls"]:
        lines.append(f"No price is known for {_many(total['unpriced_calls'], 'call')}: the money is too low.")
    for each in report["unsettled"]:
        whose = f"of {each['run_id']}" if each["run_id"] else "of a conversation that is erased"
        lines.append(f"Not settled: a call {whose} since {each['since']}, {_money(each['money'])} set aside.")
    if report["next"] is not None:
        lines.append(f"There are more: --after {report['next']!r}")
    return lines


def _money(money: float) -> str:
    return f"{money:,.4f}"


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
