"""The ledger betrays every change: any byte, any decision missing, added or moved, and a tail that was cut."""

from __future__ import annotations

import gc
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Executable, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from policies.errors import ConfigError, HandrailError
from tools.clock import CountedIds, FixedClock
from tools.storage import conversations, ledger, runs, tables, vault
from tools.storage.audit import reading
from tools.storage.audit.check import check_stream, check_workspace
from tools.storage.audit.export import write_export
from tools.storage.audit.exported import anchor_of, check_file
from tools.storage.audit.findings import SIGNED, Finding, Report
from tools.storage.audit.keys import LedgerKey
from tools.storage.audit.signing import sign, sign_daily
from tools.storage.database import Database, open_database
from tools.storage.ledger import Decision
from tools.storage.sealing import Sealer
from tools.storage.store import Store, Tx, Workspace

pytestmark = pytest.mark.anyio
KEY = LedgerKey(bytes(range(32)))
STREAMS = ("con_1", "con_2", "workspace")
MUTABLE: tuple[Table, ...] = (tables.decision, tables.chain_head, tables.signed_heads)


class Undone(Exception):
    """Ends a transaction whose changes must not stay."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


@pytest.fixture(name="clock")
def clock_fixture() -> FixedClock:
    return FixedClock()


@pytest.fixture(name="store")
async def store_fixture(where: Path | str, clock: FixedClock) -> AsyncIterator[Store]:
    async with open_database(where) as database:
        yield Store(
            database=database,
            clock=clock,
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=lambda _: None,
        )


@pytest.fixture(name="workspace")
def workspace_fixture(store: Store) -> Workspace:
    return store.in_workspace("acme")


def some(count: int, first: int = 0) -> list[Decision]:
    return [
        Decision(node="check", kind="verdict", step=first + number, body={"outcome": "pass", "confidence": 0.5})
        for number in range(count)
    ]


async def a_ledger(workspace: Workspace) -> None:
    """Write three streams, sign them twice, and go on in two of them."""
    for stream in STREAMS:
        await workspace.write(partial(ledger.append, stream=stream, run_id=None, decisions=some(3)))
    await workspace.write(lambda tx: sign(tx, KEY))
    await workspace.write(lambda tx: ledger.append(tx, "con_2", "run_2", some(2, 3)))
    await workspace.write(lambda tx: sign(tx, KEY))
    await workspace.write(lambda tx: ledger.append(tx, "con_2", "run_2", some(2, 5)))


async def verified(workspace: Workspace, **how: Any) -> Report:
    return await workspace.store.database.read(lambda connection: check_workspace(connection, workspace.id, **how))


def execute(statement: Executable) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(statement)


async def after(database: Database, change: Callable[[Connection], object], **how: Any) -> Report:
    """Return what a verification finds after a change, which is then undone."""

    def work(connection: Connection) -> None:
        change(connection)
        raise Undone(check_workspace(connection, "acme", **how))

    try:
        await database.write(work)
    except Undone as undone:
        return undone.report
    raise AssertionError("The work always raises.")


def whats(report: Report) -> list[tuple[str, int, str]]:
    return [(each.stream, each.seq, each.what) for each in report.findings]


def exported(workspace: Workspace, path: Path, **how: Any) -> Callable[[Connection], dict[str, int]]:
    def work(connection: Connection) -> dict[str, int]:
        with path.open("wb") as file:
            return write_export(connection, workspace.id, file.write, at="now", **how)

    return work


async def test_an_untouched_ledger_is_clean(workspace: Workspace) -> None:
    await a_ledger(workspace)
    report = await verified(workspace)
    assert report == Report(
        workspace_id="acme",
        decisions=13,
        streams=3,
        records=2,
        unsigned=2,
        findings=(),
        not_proven=report.not_proven,
    )
    assert len(report.not_proven) == 4
    assert (await verified(workspace, public_key=KEY.public)).clean


def other(value: Any, draw: Callable[[Any], Any]) -> Any:
    """Return a value that differs by one byte, or that is there where none was and the other way round."""
    if isinstance(value, str) and value:
        at = draw(st.integers(0, len(value) - 1))
        byte = draw(st.sampled_from([chr(each) for each in range(32, 127) if chr(each) != value[at]]))
        return value[:at] + byte + value[at + 1 :]
    return value + draw(st.sampled_from([-1, 1, 2, 1000])) if isinstance(value, int) else "x"


def everything(connection: Connection) -> dict[Table, list[Any]]:
    return {table: list(connection.execute(select(table)).mappings()) for table in MUTABLE}


async def test_any_single_byte_of_any_column_of_any_row_counts(workspace: Workspace) -> None:
    await a_ledger(workspace)
    database = workspace.store.database
    rows: dict[Table, list[Any]] = await database.read(everything)
    draws: list[tuple[Table, dict[str, Any], str, Any]] = []

    @given(st.data())
    @settings(max_examples=120, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    def draw(data: st.DataObject) -> None:
        table = data.draw(st.sampled_from(MUTABLE))
        row = dict(data.draw(st.sampled_from(rows[table])))
        column = data.draw(st.sampled_from(sorted(row)))
        value = 7 if row[column] is None and column == "signed_count" else other(row[column], data.draw)
        draws.append((table, row, column, value))

    draw()
    for table, row, column, value in draws:
        key = [table.c[each.name] == row[each.name] for each in table.primary_key.columns]
        changed = update(table).where(*key).values({column: value})
        try:
            report = await after(database, execute(changed))
        except IntegrityError:
            # Where such a row stands already, the database refuses the change by itself.
            continue
        assert not report.clean, (table.name, row, column, value)


async def test_any_deletion_insertion_or_swap_counts(workspace: Workspace) -> None:
    await a_ledger(workspace)
    database, d = workspace.store.database, tables.decision.c
    rows = [dict(row) for row in (await database.read(everything))[tables.decision]]

    def at(row: dict[str, Any]) -> Any:
        return (d.stream == row["stream"]) & (d.seq == row["seq"])

    for row in rows:
        gone = delete(tables.decision).where(at(row))
        added = insert(tables.decision).values({**row, "seq": row["seq"] + 100, "node": "forged"})
        for statement in (gone, added):
            assert not (await after(database, execute(statement))).clean
    numbers = random.Random(7)
    for _ in range(20):
        one, two = numbers.sample(rows, 2)

        def swap(connection: Connection, one: dict[str, Any] = one, two: dict[str, Any] = two) -> None:
            connection.execute(delete(tables.decision).where(at(one) | at(two)))
            place = ("stream", "seq")
            moved = [
                {**one, **{name: two[name] for name in place}},
                {**two, **{name: one[name] for name in place}},
            ]
            connection.execute(insert(tables.decision), moved)

        assert not (await after(database, swap)).clean


def cut(stream: str, count: int) -> Callable[[Connection], None]:
    """Return a change that cuts a stream to its first decisions and rolls its head back with them."""

    def change(connection: Connection) -> None:
        d, h = tables.decision.c, tables.chain_head.c
        connection.execute(delete(tables.decision).where(d.stream == stream, d.seq > count))
        last = select(d.hash).where(d.stream == stream, d.seq == count).scalar_subquery()
        connection.execute(update(tables.chain_head).where(h.stream == stream).values(count=count, hash=last))

    return change


async def test_a_tail_cut_with_its_head_is_found_back_to_the_last_signed_head(workspace: Workspace) -> None:
    await a_ledger(workspace)
    database = workspace.store.database
    assert (await after(database, cut("con_2", 6))).clean
    report = await after(database, cut("con_2", 4))
    assert report.findings == (Finding(stream="con_2", seq=4, what="signed.cut", expected=5, found=4),)


async def test_a_tail_cut_with_its_signatures_is_found_back_to_the_last_export(
    workspace: Workspace, tmp_path: Path
) -> None:
    await a_ledger(workspace)
    database, file = workspace.store.database, tmp_path / "ledger.jsonl"
    await database.read(exported(workspace, file))
    await workspace.write(lambda tx: ledger.append(tx, "con_1", None, some(1, 9)))

    def roll_back(connection: Connection) -> None:
        cut("con_2", 3)(connection)
        connection.execute(delete(tables.signed_heads).where(tables.signed_heads.c.number == 2))
        h = tables.chain_head.c
        connection.execute(
            update(tables.chain_head).where(h.stream == "con_2").values(signed_count=3, signed_hash=h.hash)
        )

    assert (await after(database, roll_back)).clean
    report = await after(database, roll_back, anchor=anchor_of(file))
    assert whats(report) == [("con_2", 7, "anchor.cut"), (SIGNED, 2, "anchor.record")]
    assert (await verified(workspace, anchor=anchor_of(file))).clean
    assert (await after(database, cut("con_1", 3), anchor=anchor_of(file))).clean
    assert whats(await after(database, cut("con_2", 6), anchor=anchor_of(file))) == [("con_2", 7, "anchor.cut")]


async def test_a_ledger_written_anew_differs_from_the_export(workspace: Workspace, tmp_path: Path) -> None:
    await a_ledger(workspace)
    database, file = workspace.store.database, tmp_path / "ledger.jsonl"
    await database.read(exported(workspace, file))

    def rewrite(connection: Connection) -> None:
        for table in (tables.decision, tables.chain_head, tables.signed_heads):
            connection.execute(delete(table))
        made = {"connection": connection, "workspace_id": "acme", "clock": FixedClock(), "ids": CountedIds()}
        tx = Tx(**made, sealer=workspace.store.sealer)  # type: ignore[arg-type]
        for stream in STREAMS:
            ledger.append(tx, stream, None, some(8))
        sign(tx, KEY)
        sign(tx, KEY)

    assert (await after(database, rewrite)).clean
    report = await after(database, rewrite, anchor=anchor_of(file))
    assert {each.what for each in report.findings} == {"anchor.hash", "anchor.record"}


async def test_an_export_is_verified_without_the_database(workspace: Workspace, tmp_path: Path) -> None:
    await a_ledger(workspace)
    file = tmp_path / "ledger.jsonl"
    counts = await workspace.store.database.read(exported(workspace, file))
    assert counts == {"ledger": 1, "head": 3, "decision": 13, "signed": 2}
    report = check_file(file, public_key=KEY.public)
    assert (report.findings, report.decisions, report.streams, report.records) == ((), 13, 3, 2)
    stranger = LedgerKey(bytes(32)).public
    assert {each.what for each in check_file(file, public_key=stranger).findings} == {"record.key"}


async def test_any_byte_of_an_export_counts(workspace: Workspace, tmp_path: Path) -> None:
    await a_ledger(workspace)
    file, changed = tmp_path / "ledger.jsonl", tmp_path / "changed.jsonl"
    await workspace.store.database.read(exported(workspace, file))
    content = file.read_bytes()

    @given(st.integers(0, len(content) - 1), st.integers(1, 255))
    @settings(max_examples=200, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    def holds(at: int, by: int) -> None:
        changed.write_bytes(content[:at] + bytes([content[at] ^ by]) + content[at + 1 :])
        try:
            assert not check_file(changed).clean
        except ConfigError:
            assert at <= content.index(b"\n")

    holds()
    changed.write_bytes(content[: content.rindex(b"\n", 0, -1) + 1])
    assert [each.what for each in check_file(changed).findings] == ["file.end", "record.heads"]


async def test_a_part_of_the_ledger_can_be_exported(
    workspace: Workspace, clock: FixedClock, tmp_path: Path
) -> None:
    await a_ledger(workspace)
    clock.advance(timedelta(days=1))
    await workspace.write(lambda tx: ledger.append(tx, "con_1", None, some(2, 20)))
    file, database = tmp_path / "part.jsonl", workspace.store.database
    assert await database.read(exported(workspace, file, since="2026-01-06")) == {
        "ledger": 1,
        "head": 3,
        "decision": 2,
        "signed": 2,
    }
    assert (check_file(file).clean, (await verified(workspace, anchor=anchor_of(file))).clean) == (True, True)
    await database.read(exported(workspace, file, stream="con_2"))
    report = check_file(file)
    assert (report.findings, report.decisions, report.streams) == ((), 7, 1)


async def test_erasing_a_vault_leaves_the_ledger_valid(workspace: Workspace) -> None:
    conversation = await workspace.write(lambda tx: conversations.create(tx, assistant="a", customer={}))

    def a_turn(tx: Tx) -> None:
        values = {
            "conversation_id": conversation.id,
            "assistant_version": "v",
            "conversation_version": 1,
            "input": {"question": "q"},
            "trace_id": "t",
            "principal": "p",
        }
        runs.create(tx, run_id="run_1", values=values)
        conversations.add_message(tx, conversation.id, author="customer", text="Hi [EMAIL_1]", run_id="run_1")
        conversations.add_message(tx, conversation.id, author="bot", text="Hello.", run_id="run_1")
        vault.put(tx, conversation.id, {"[EMAIL_1]": "ann@example.com"})
        found = ledger.digests(tx, conversation.id, input="Hi [EMAIL_1]", output="Hello.")
        ledger.append(
            tx, conversation.id, "run_1", [Decision(node="deliver", kind="close", body={"digests": found})]
        )

    await workspace.write(a_turn)
    before = await verified(workspace)
    assert (before.checked, before.erased, before.findings) == (1, 0, ())
    changed = update(tables.message).where(tables.message.c.author == "bot").values(text="Go away.")
    report = await after(workspace.store.database, execute(changed))
    assert whats(report) == [(conversation.id, 1, "contents.output")]
    await workspace.write(lambda tx: vault.erase(tx, conversation.id))
    forgotten = await verified(workspace)
    assert (forgotten.checked, forgotten.erased, forgotten.findings) == (0, 1, ())


async def test_a_day_is_signed_once_and_with_one_key(workspace: Workspace, clock: FixedClock) -> None:
    await workspace.write(lambda tx: ledger.append(tx, "con_1", None, some(1)))
    first = await workspace.write(lambda tx: sign_daily(tx, KEY))
    assert first is not None
    assert (first.number, first.day, first.heads_count) == (1, "2026-01-05", 1)
    assert await workspace.write(lambda tx: sign_daily(tx, KEY)) is None
    clock.advance(timedelta(days=1))
    with pytest.raises(ConfigError) as error:
        await workspace.write(lambda tx: sign_daily(tx, LedgerKey(bytes(32))))
    assert error.value.code == "ledger.key"
    second = await workspace.write(lambda tx: sign_daily(tx, KEY))
    assert second is not None
    assert (second.number, second.previous) == (2, first.hash)


async def test_what_was_tampered_with_is_not_signed_over(workspace: Workspace) -> None:
    await a_ledger(workspace)
    await workspace.store.database.write(cut("con_2", 4))
    with pytest.raises(HandrailError) as error:
        await workspace.write(lambda tx: sign(tx, KEY))
    assert error.value.code == "ledger.cut"


async def test_one_stream_is_verified_alone(workspace: Workspace) -> None:
    await a_ledger(workspace)
    database = workspace.store.database
    report = await database.read(lambda connection: check_stream(connection, "acme", "con_2", 7))
    assert report is not None
    assert (report.findings, report.decisions, report.unsigned) == ((), 7, 2)
    assert await database.read(lambda connection: check_stream(connection, "acme", "con_2", 6)) is None


async def test_a_reading_that_is_left_half_way_closes_its_cursor(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_ledger(workspace)
    left: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: left.append(str(told.exc_value)))

    def leave(connection: Connection) -> None:
        readings = (
            reading.signed_positions(connection, workspace.id),
            reading.rows_of(connection, workspace.id, STREAMS),
        )
        for each in readings:
            next(iter(each))
        del each, readings
        gc.collect()

    await workspace.store.database.read(leave)
    assert left == []


async def test_ten_thousand_decisions_are_verified_within_three_seconds(workspace: Workspace) -> None:
    def fill(tx: Tx) -> None:
        for number in range(2000):
            ledger.append(tx, f"con_{number}", f"run_{number}", some(5))
        sign(tx, KEY)

    await workspace.write(fill)
    seen: list[int] = []
    began = time.perf_counter()
    report = await verified(workspace, progress=seen.append)
    elapsed = time.perf_counter() - began
    print(f"10,000 decisions: {elapsed:.2f} s")  # noqa: T201
    assert (report.findings, report.decisions, sum(seen)) == ((), 10_000, 10_000)
    assert max(seen) == reading.PAGE
    assert elapsed < 3
