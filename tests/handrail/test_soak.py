"""The soak in small: each of its parts over both databases, and the audit that must find what is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from handrail.soak.audit import audit
from handrail.soak.cli import broken, causes, parse
from handrail.soak.client import Sent, open_client
from handrail.soak.disconnects import Cutting
from handrail.soak.kills import Killing, simple
from handrail.soak.nursery import Nursery, open_nursery
from handrail.soak.place import Place, open_place
from handrail.soak.turns import Turning
from handrail.soak.waiting import Waiting
from tools.storage import tables

pytestmark = pytest.mark.anyio

NewPlace = Callable[..., AbstractAsyncContextManager[Place]]


def quiet(_done: int) -> None:
    """Show no progress."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Let one nursery serve all tests here."""
    return "asyncio"


@pytest.fixture(name="nursery", scope="module")
async def nursery_fixture(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nursery]:
    """Start the process that forks the others."""
    async with open_nursery(tmp_path_factory.mktemp("nursery") / "log") as nursery:
        yield nursery


@pytest.fixture(name="new_place", scope="module", params=["sqlite", "postgres"])
def new_place_fixture(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewPlace:
    """Return what makes a fresh place."""
    new = request.getfixturevalue("new_postgres") if request.param == "postgres" else None
    return partial(open_place, tmp_path_factory.mktemp("places"), new)


async def test_nothing_is_lost_when_processes_die(new_place: NewPlace, nursery: Nursery) -> None:
    async with new_place(effects=True) as place:
        found = await Killing(place=place, nursery=nursery, kills=10, tick=quiet, talkers=6).run()
    assert (found["broken"], found["kills"]) == ([], 10)
    assert found["recovery_s"]["max"] < 15


async def test_no_event_is_lost_or_repeated_when_streams_are_cut(new_place: NewPlace, nursery: Nursery) -> None:
    async with new_place(effects=False) as place:
        found = await Cutting(place=place, nursery=nursery, cuts=60, tick=quiet).run()
    assert (found["broken"], found["events_read"]) == ([], 2 * found["events"])
    assert found["disconnects"] >= 60


async def test_turns_take_the_same_room_and_leave_nothing_at_work(new_place: NewPlace, nursery: Nursery) -> None:
    async with new_place(effects=False) as place:
        turning = Turning(place=place, nursery=nursery, turns=100, every=50, tick=quiet, most_growth=1.3, rest=0.4)
        found = await turning.run()
    assert found["broken"] == []
    assert found["rows_per_turn"]["run"] == 1


async def test_runs_that_wait_are_rows_alone(new_place: NewPlace, nursery: Nursery) -> None:
    async with new_place(effects=False) as place:
        waiting = Waiting(
            place=place, nursery=nursery, runs=200, warm=40, tick=quiet, most_bytes=30_000_000, rest=0.4
        )
        found = await waiting.run()
    assert (found["broken"], found["waiting"], found["decided_one_ends"]) == ([], 240, "reviewed")


async def one_turn(place: Place, nursery: Nursery) -> list[Sent]:
    """Answer one message and stop."""
    (child,) = await place.staff(nursery)
    async with open_client([child.spec.port]) as client:
        await simple(client, "how long does delivery take")
    await child.stop()
    return client.sent


async def test_the_audit_finds_what_is_wrong(nursery: Nursery, tmp_path: Path) -> None:
    e, m, d = tables.event.c, tables.message.c, tables.decision.c
    harms = {
        "lost": delete(tables.message).where(m.author == "customer"),
        "whole messages": delete(tables.message).where(m.author == "bot"),
        "are not 1 to": delete(tables.event).where(e.seq == 3),
        "ends at": update(tables.event).where(e.type == "run.finished").values(type="usage"),
        "was shown as": update(tables.event).where(e.type == "message.completed").values(type="usage"),
        "is broken at": update(tables.decision).where(d.seq == 2).values(hash="0" * 64),
        "heads": delete(tables.decision).where(d.kind == "close"),
    }
    async with open_place(tmp_path, None, effects=False) as place:
        sent = await one_turn(place, nursery)
        with place.connection() as connection:
            assert audit(connection, sent, place.calls).broken == []
            for words, harm in harms.items():
                connection.execute(harm)
                assert [each for each in audit(connection, sent).broken if words in each], words
                connection.rollback()


def test_what_is_broken_is_found_wherever_it_stands() -> None:
    found = {"kills": {"sqlite": {"without": {"broken": ["one"]}}, "postgres": {"broken": ["two"]}}}
    assert broken(found) == ["one", "two"]


def test_what_ends_a_part_is_told_in_plain_words() -> None:
    error = ExceptionGroup("several", [ExceptionGroup("more", [ValueError("one")]), TimeoutError()])
    assert causes(error) == ["ValueError: one", "TimeoutError: "]


def test_a_part_can_be_chosen() -> None:
    wanted = parse(["--only", "turns", "--backend", "sqlite", "--turns", "10"])
    assert (wanted.only, wanted.backend, wanted.turns, wanted.kills) == (["turns"], "sqlite", 10, 200)
