"""The audit: what was promised, compared with every row that is left."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, inspect, select, text

from handrail.soak.assistant import EFFECTS
from handrail.soak.client import Sent
from tools.storage import tables
from tools.storage.ledger import GENESIS

ANSWERS = ("answered", "reviewed", "said", "degraded")
"""Endings with exactly one whole message of the bot; the others have one at most."""
_JOBS = {
    "sqlite": "select count(*) from job where run_at is null",
    "postgresql": "select count(*) from procrastinate_jobs where scheduled_at is null or scheduled_at <= now()",
}


@dataclass(kw_only=True)
class Audit:
    """What the rows say."""

    broken: list[str] = field(default_factory=list)
    """Promises that do not hold, in words; empty when all do."""
    counts: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)


def audit(connection: Connection, sent: Sequence[Sent], calls: Path | None = None) -> Audit:
    """Compare the rows with what a client was told; nothing may be at work any more."""
    rows = {name: _rows(connection, getattr(tables, name)) for name in ("run", "message", "event", "decision")}
    heads = _rows(connection, tables.chain_head)
    conversations = _rows(connection, tables.conversation)
    found = Audit()
    found.outcomes = dict(Counter(str(each["outcome"]) for each in rows["run"]))
    found.broken += _messages(rows["message"], rows["run"], sent)
    found.broken += _numbers(rows["event"], conversations, rows["run"])
    found.broken += _endings(rows["event"], rows["run"])
    found.broken += _texts(rows["event"], rows["message"])
    found.broken += _chains(rows["decision"], heads)
    left = int(connection.execute(text(_JOBS[connection.dialect.name])).scalar_one())
    found.broken += [f"{left} jobs are left"] if left else []
    receipts = _rows(connection, tables.receipt)
    if calls is not None:
        found.broken += _effects(receipts, calls)
    found.counts = {name: len(each) for name, each in rows.items()} | {
        "accepted": len(sent),
        "conversations": len(conversations),
        "effects": len(receipts),
        "retried": sum(each["type"] == "retry" for each in rows["event"]),
        "taken_back": sum(each["type"] == "message.replaced" for each in rows["event"]),
    }
    return found


def _rows(connection: Connection, table: Table) -> Sequence[RowMapping]:
    return connection.execute(select(table).order_by(*table.primary_key.columns)).mappings().all()


def _messages(messages: Sequence[RowMapping], runs: Sequence[RowMapping], sent: Sequence[Sent]) -> Iterator[str]:
    written = Counter((each["conversation_id"], each["text"]) for each in messages if each["author"] == "customer")
    expected = Counter((each.conversation_id, each.text) for each in sent)
    if written != expected:
        lost, more = expected - written, written - expected
        yield f"{lost.total()} accepted messages are lost, {more.total()} were not accepted: {[*lost, *more][:3]}"
    known = {each["id"] for each in runs}
    yield from (f"the run {each.run_id} is lost" for each in sent if each.run_id not in known)
    whole = Counter(each["run_id"] for each in messages if each["author"] == "bot" and each["state"] == "complete")
    for run in runs:
        most, least = 1, int(run["outcome"] in ANSWERS)
        if not least <= whole[run["id"]] <= most:
            yield f"the run {run['id']} ({run['outcome']}) has {whole[run['id']]} whole messages of the bot"


def _numbers(
    events: Sequence[RowMapping], conversations: Sequence[RowMapping], runs: Sequence[RowMapping]
) -> Iterator[str]:
    of_conversation, of_run = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for each in events:
        of_conversation[each["conversation_id"]].append(each["seq"])
        if each["run_id"]:
            of_run[each["run_id"]].append(each["run_seq"])
    for rows, found in ((conversations, of_conversation), (runs, of_run)):
        for row in rows:
            if sorted(found[row["id"]]) != list(range(1, row["last_event"] + 1)):
                yield f"the events of {row['id']} are not 1 to {row['last_event']}"


def _endings(events: Sequence[RowMapping], runs: Sequence[RowMapping]) -> Iterator[str]:
    ended, told = defaultdict[str, list[int]](list), defaultdict[str, list[str]](list)
    for each in events:
        told[each["run_id"]].append(each["type"])
        if each["type"] == "run.finished":
            ended[each["run_id"]].append(each["run_seq"])
    for run in runs:
        if run["status"] != "finished":
            yield f"the run {run['id']} is {run['status']}"
        elif ended[run["id"]] != [run["last_event"]]:
            order = " ".join(told[run["id"]])
            yield f"the run {run['id']} ({run['outcome']}) ends at {ended[run['id']]}: {order}"


def _texts(events: Sequence[RowMapping], messages: Sequence[RowMapping]) -> Iterator[str]:
    """Each message of the bot is closed once, with the text that its pieces make, which is the transcript's."""
    pieces, closings = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    begun = set()
    for each in events:
        data: dict[str, Any] = each["data"]
        if each["type"] == "message.created" and data["author"] == "bot":
            begun.add(data["message_id"])
        elif each["type"] == "message.delta":
            pieces[data["message_id"]].append(data["text"])
        elif each["type"] in ("message.completed", "message.replaced"):
            closings[data["message_id"]].append(data["text"])
    written = {each["id"]: each["text"] for each in messages if each["author"] == "bot"}
    for message_id in begun | closings.keys() | written.keys():
        told = "".join(pieces[message_id])
        if closings[message_id] != [told] or written.get(message_id) != told:
            yield f"the message {message_id} was shown as {told!r} and closed as {closings[message_id]}"


def _chains(decisions: Sequence[RowMapping], heads: Sequence[RowMapping]) -> Iterator[str]:
    last: dict[str, tuple[int, str]] = {}
    for row in decisions:
        count, previous = last.get(row["stream"], (0, GENESIS))
        body = json.loads(row["body"])
        whole = (row["seq"], row["previous"], body["previous"]) == (count + 1, previous, previous)
        if not whole or hashlib.sha256(row["body"].encode()).hexdigest() != row["hash"]:
            yield f"the chain of {row['stream']} is broken at {row['seq']}"
        last[row["stream"]] = (row["seq"], row["hash"])
    if {each["stream"]: (each["count"], each["hash"]) for each in heads} != last:
        yield "the heads of the chains are not their ends"


def _effects(receipts: Sequence[RowMapping], calls: Path) -> Iterator[str]:
    made = Counter(calls.read_text().split() if calls.exists() else [])
    known = {each["key"]: each for each in receipts}
    yield from (f"{key} was done and nobody knows of it" for key in made.keys() - known.keys())
    for key, receipt in known.items():
        if receipt["status"] == "pending":
            yield f"the receipt {key} was never settled"
        if receipt["status"] == "done" and not made[key]:
            yield f"{key} says it is done and was never called"
        if receipt["action"] != EFFECTS[0] and made[key] > 1:
            yield f"{key} was done {made[key]} times"


def recoveries(connection: Connection, kills: Iterable[float]) -> list[float]:
    """Return, for each second attempt at a run, the seconds from the kill that cut it off to its ``retry``."""
    times, found = sorted(kills), list[float]()
    of_run = defaultdict[str, list[tuple[float, str]]](list)
    for each in _rows(connection, tables.event):
        if each["run_id"]:
            at = datetime.fromisoformat(each["at"]).timestamp()
            of_run[each["run_id"]].append((at, each["type"]))
    for told in of_run.values():
        for (before, _), (at, kind) in pairwise(told):
            if kind == "retry" and (cut := next((each for each in times if each >= before), None)) and cut <= at:
                found.append(at - cut)
    return found


def table_rows(connection: Connection) -> dict[str, int]:
    """Return how many rows each table has, those that have any."""
    counted = {
        name: int(connection.execute(text(f'select count(*) from "{name}"')).scalar_one())
        for name in inspect(connection).get_table_names()
    }
    return {name: count for name, count in sorted(counted.items()) if count}
