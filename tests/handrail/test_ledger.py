"""``handrail ledger``: verify, export, sign and show, with the exit codes that a script goes by."""

from __future__ import annotations

import json
import sqlite3
from functools import partial
from pathlib import Path

import anyio
import pytest
from click.testing import Result
from typer.testing import CliRunner

from handrail.cli import app
from tools.clock import CountedIds, FixedClock
from tools.storage import ledger
from tools.storage.database import open_database
from tools.storage.ledger import Decision
from tools.storage.lock import owned
from tools.storage.sealing import Sealer
from tools.storage.store import Store


async def fill(data: Path, count: int) -> None:
    """Write decisions as a server does."""
    async with open_database(data / "handrail.db") as database:
        store = Store(
            database=database,
            clock=FixedClock(),
            ids=CountedIds(),
            sealer=Sealer(b""),
            publish=lambda _: None,
        )
        reasons = [{"code": "route.unsure", "text": "The subject is not clear [enough]."}]
        body = {"outcome": "escalate", "confidence": 0.5, "reasons": reasons, "actor": {"type": "assistant"}}
        decisions = [Decision(node="route", kind="route", body=body, step=step) for step in range(count)]
        await store.in_workspace("default").write(
            partial(ledger.append, stream="con_1", run_id="run_1", decisions=decisions)
        )


@pytest.fixture(name="data")
def data_fixture(tmp_path: Path) -> Path:
    """Return a data folder with a ledger in it."""
    data = tmp_path / "data"
    data.mkdir()
    anyio.run(fill, data, 3)
    return data


def handrail(data: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["ledger", *words, "--data", str(data)])


def change(data: Path, statement: str) -> None:
    with sqlite3.connect(data / "handrail.db") as connection:
        connection.execute(statement)
    connection.close()


def test_a_clean_ledger_is_verified_with_what_it_can_not_prove(data: Path) -> None:
    done = handrail(data, "verify")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "3 decisions in 1 streams of the workspace 'default', 0 signed records; 3 decisions came after the latest."
    )
    assert lines[1:3] == ["Nothing is wrong.", "What this can't prove:"]
    assert lines[3].startswith("- Nothing is signed yet")


def test_findings_end_with_two_and_errors_with_one(data: Path, tmp_path: Path) -> None:
    change(data, "update decision set kind = 'verdict' where seq = 2")
    done = handrail(data, "verify", "--json")
    assert done.exit_code == 2, done.output
    found = json.loads(done.stdout)
    assert (found["clean"], found["decisions"]) == (False, 3)
    assert found["findings"] == [
        {"stream": "con_1", "seq": 2, "what": "column.kind", "expected": "route", "found": "verdict"}
    ]
    told = handrail(data, "verify").stdout
    assert "con_1 2: the column kind is not what the body says (expected route, found verdict)" in told
    assert handrail(tmp_path / "none", "verify").exit_code == 1
    assert handrail(data, "verify", "--file", "a", "--against", "b").exit_code == 1
    assert handrail(data, "verify", "--public-key", "no").exit_code == 1
    assert handrail(data, "verify", "--file", str(data / "handrail.db")).exit_code == 1


def test_what_is_signed_and_exported_anchors_the_database(data: Path, tmp_path: Path) -> None:
    signed = handrail(data, "sign")
    assert signed.exit_code == 0, signed.output
    public_key = signed.stdout.split()[-1].rstrip(".")
    file = tmp_path / "ledger.jsonl"
    assert handrail(data, "export", "--out", str(file)).exit_code == 0
    assert handrail(tmp_path, "verify", "--file", str(file), "--public-key", public_key).exit_code == 0
    anyio.run(partial(fill_on, data))
    assert handrail(data, "verify", "--against", str(file), "--public-key", public_key).exit_code == 0
    change(data, "delete from decision where seq > 2")
    change(data, "delete from signed_heads")
    last = "(select hash from decision where seq = 2)"
    change(data, f"update chain_head set count = 2, hash = {last}, signed_count = null, signed_hash = null")
    assert handrail(data, "verify").exit_code == 0
    found = handrail(data, "verify", "--against", str(file), "--json")
    assert found.exit_code == 2
    assert [each["what"] for each in json.loads(found.stdout)["findings"]] == ["anchor.cut", "anchor.record"]


async def fill_on(data: Path) -> None:
    """Add a decision of another run."""
    async with open_database(data / "handrail.db") as database:
        store = Store(
            database=database,
            clock=FixedClock(),
            ids=CountedIds(),
            sealer=Sealer(b""),
            publish=lambda _: None,
        )
        more = [Decision(node="service", kind="cancel", body={"outcome": "cancelled"})]
        await store.in_workspace("default").write(
            partial(ledger.append, stream="con_1", run_id="run_2", decisions=more)
        )


def test_an_export_goes_to_standard_output_and_may_be_a_part(data: Path) -> None:
    done = handrail(data, "export", "--stream", "con_1", "--since", "2030-01-01")
    assert done.exit_code == 0, done.output
    kinds = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert kinds == ["ledger", "head", "end"]
    assert handrail(data, "export", "--since", "yesterday").exit_code == 1


def test_a_changed_export_does_not_hold(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    handrail(data, "export", "--out", str(file))
    file.write_text(file.read_text().replace("escalate", "deliver!"))
    assert handrail(data, "verify", "--file", str(file)).exit_code == 2
    assert handrail(data, "verify", "--against", str(file)).exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "ledger.jsonl"]


def test_reading_goes_on_beside_a_server_and_signing_does_not(data: Path, tmp_path: Path) -> None:
    with owned(data):
        assert handrail(data, "verify").exit_code == 0
        assert handrail(data, "export", "--out", str(tmp_path / "ledger.jsonl")).exit_code == 0
        assert handrail(data, "sign").exit_code == 1


def test_decisions_are_shown_by_run_and_by_stream(data: Path) -> None:
    shown = handrail(data, "show", "run_1")
    assert shown.exit_code == 0, shown.output
    assert "route/route" in shown.stdout
    assert "[enough]" in "".join(shown.stdout.split("\n"))
    decisions = json.loads(handrail(data, "show", "con_1", "--json").stdout)["decisions"]
    assert [(each["seq"], each["kind"]) for each in decisions] == [(1, "route"), (2, "route"), (3, "route")]
    assert handrail(data, "show", "run_9").exit_code == 1
