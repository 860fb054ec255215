"""``handrail usage``: what language models cost, from a running server or from the rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import Result
from cryptography.fernet import Fernet
from typer.testing import CliRunner

from handrail.cli import app
from tools.clock import CountedIds, FixedClock
from tools.models.ports import Account, Usage
from tools.storage.database import open_database
from tools.storage.lock import owned
from tools.storage.sealing import Sealer
from tools.storage.spending import StoredSpending
from tools.storage.store import Store

KEY = Fernet.generate_key()
ACCOUNT = Account(workspace_id="default", conversation_id="con_1", run_id="run_1", intent="returns")
USED = Usage(input_tokens=1200, output_tokens=300, money=0.125)


async def fill(where: Path | str) -> None:
    """Store two calls of two days, one kept reply, and one call that never ended."""
    clock = FixedClock()
    async with open_database(where) as database:
        store = Store(database=database, clock=clock, ids=CountedIds(), sealer=Sealer(KEY), publish=lambda _: None)
        spending = StoredSpending(store)
        await spending.settle(await spending.hold(ACCOUNT, USED), USED, calls=1)
        clock.advance(timedelta(days=1))
        other = replace(ACCOUNT, run_id="run_2", intent="")
        unpriced = replace(USED, money=0.0, priced=False)
        await spending.settle(await spending.hold(other, USED), unpriced, calls=2)
        await spending.save(other, USED)
        await spending.hold(other, USED)


@pytest.fixture(name="data")
def data_fixture(tmp_path: Path) -> Path:
    """Return a data folder in which models were paid for."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "vault.key").write_bytes(KEY)
    anyio.run(fill, data / "handrail.db")
    return data


def usage(data: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["usage", *words, "--data", str(data)], env={"COLUMNS": "100"})


def rows(done: Result) -> list[list[str]]:
    return [line.split() for line in done.stdout.splitlines()]


LINES = [
    "In all 0.1250 for 3 calls and 3,000 tokens; kept replies saved 0.1250 (1 call, 1,500 tokens).",
    "No price is known for 2 calls: the money is too low.",
    "Not settled: a call of run_2 since 2026-01-06T12:00:00.000000+00:00, 0.1250 set aside.",
]


def test_days_are_shown_with_their_sum(data: Path) -> None:
    done = usage(data)
    assert done.exit_code == 0, done.output
    assert rows(done)[:4] == [
        ["day", "money", "calls", "tokens", "in", "tokens", "out", "set", "aside", "saved"],
        ["2026-01-06", "0.0000", "2", "1,200", "300", "0.1250", "0.1250"],
        ["2026-01-05", "0.1250", "1", "1,200", "300", "0.0000", "0.0000"],
        ["in", "all", "0.1250", "3", "2,400", "600", "0.1250", "0.1250"],
    ]
    assert done.stdout.splitlines()[4:] == LINES


def test_intents_and_days_can_be_chosen_page_by_page(data: Path) -> None:
    done = usage(data, "--by", "intent", "--limit", "1")
    assert rows(done)[1][:4] == ["(not", "known", "yet)", "0.0000"]
    assert "There are more: --after ''" in done.stdout
    assert rows(usage(data, "--by", "intent", "--after", ""))[1][0] == "returns"
    chosen = usage(data, "--by", "run", "--from", "2026-01-05", "--to", "2026-01-05")
    assert [line[0] for line in rows(chosen)[1:3]] == ["run_1", "In"]


def test_it_is_given_as_json(data: Path) -> None:
    told: dict[str, Any] = json.loads(usage(data, "--by", "conversation", "--json").stdout)
    assert set(told) == {"workspace_id", "by", "sums", "next", "total", "runs", "unsettled"}
    assert [(each["name"], each["calls"]) for each in told["sums"]] == [("con_1", 3)]
    assert (told["runs"], told["total"]["money"]) == ({"ended": 0, "without_model": 0}, 0.125)


def test_what_can_not_be_shown_is_refused(data: Path, tmp_path: Path) -> None:
    nowhere = usage(tmp_path / "none")
    assert (nowhere.exit_code, "There is no database in" in nowhere.stderr) == (1, True)
    assert usage(data, "--by", "colour").exit_code == 2
    assert usage(data, "--from", "yesterday").exit_code == 2
    turned = usage(data, "--from", "2026-01-02", "--to", "2026-01-01")
    assert (turned.exit_code, "Name the earlier day first." in turned.stderr) == (1, True)
    with owned(data):
        assert usage(data).exit_code == 1


def test_over_postgres_it_is_read_from_there(
    tmp_path: Path, new_postgres: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = new_postgres()
    anyio.run(fill, url)
    monkeypatch.setenv("HANDRAIL_DATABASE_URL", url)
    (tmp_path / "vault.key").write_bytes(KEY)
    done = usage(tmp_path)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[4:] == LINES
