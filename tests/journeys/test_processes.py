"""Many processes over one PostgreSQL: one dies, one stands still, the database goes away, and nothing is lost.

The processes are real ones, with agents that follow a script: two servers and two workers with a lease of two
seconds.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from httpx_sse import ServerSentEvent
from sqlalchemy import select

from evals.postgres import Postgres, private_postgres
from handrail.soak.audit import audit
from handrail.soak.client import Client, Sent, open_client
from handrail.soak.nursery import ROOT, Child, Nursery, open_nursery
from handrail.soak.place import Place, maker, open_place
from tools.storage import tables

pytestmark = pytest.mark.anyio

SLOWLY = "tell me slowly how long delivery takes"
TEXT = "Delivery takes three days. Delivery costs four euros. Boxes go out on weekdays."
WHOLE = ["message.created", *["message.delta"] * 3, "message.completed", "run.finished"]
RECOVERY_SECONDS = 15


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Let one nursery and one place serve all tests here."""
    return "asyncio"


@pytest.fixture(name="nursery", scope="module")
async def nursery_fixture(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nursery]:
    """Start the process that forks the others."""
    async with open_nursery(tmp_path_factory.mktemp("nursery") / "log") as nursery:
        yield nursery


@pytest.fixture(name="place", scope="module")
async def place_fixture(
    tmp_path_factory: pytest.TempPathFactory, new_postgres: Callable[[], str]
) -> AsyncIterator[Place]:
    """Make one database for these tests; each begins conversations of its own."""
    async with open_place(tmp_path_factory.mktemp("place"), new_postgres, effects=False) as place:
        yield place


async def worker(nursery: Nursery, place: Place) -> Child:
    """Start a worker."""
    return await nursery.started(place.worker(pace=0.1))


async def servers(nursery: Nursery, place: Place) -> list[Child]:
    """Start two servers."""
    return [await nursery.started(place.server(pace=0.1)) for _ in range(2)]


def ports(children: list[Child]) -> list[int]:
    """Return where servers listen."""
    return [each.spec.port for each in children]


async def read(client: Client, sent: Sent, *, until: str) -> list[ServerSentEvent]:
    """Read a run from its beginning up to an event."""
    told: list[ServerSentEvent] = []
    with anyio.fail_after(30):
        async for event in client.follow(f"/v1/runs/{sent.run_id}/events"):
            told.append(event)
            if event.event == until:
                break
    return told


def kinds(told: list[ServerSentEvent]) -> list[str]:
    """Return what a customer sees, without the steps behind it."""
    behind = ("step.", "retrieval", "run.started")
    return [each.event for each in told if not each.event.startswith(behind)]


def assert_kept(place: Place, sent: list[Sent]) -> None:
    """Compare the rows of these messages' runs with what was promised; other tests have rows of their own."""
    with place.connection() as connection:
        found = audit(connection, sent)
    assert [each for each in found.broken if "accepted messages" not in each] == []


async def stopped(children: list[Child]) -> None:
    """Let processes end in order."""
    assert [await each.stop() for each in children] == [0] * len(children)


async def test_a_run_whose_worker_dies_is_finished_elsewhere(place: Place, nursery: Nursery) -> None:
    door = await servers(nursery, place)
    first = await worker(nursery, place)
    async with open_client(ports(door)) as client:
        sent = await client.say(await client.conversation(), SLOWLY)
        await read(client, sent, until="message.delta")
        await first.stop(signal.SIGKILL)
        with anyio.fail_after(RECOVERY_SECONDS):
            second = await worker(nursery, place)
            told = await read(client, sent, until="run.finished")
        run = await client.get(f"/v1/runs/{sent.run_id}")
    shown = kinds(told)
    assert shown[:3] == ["message.created", "message.created", "message.delta"]
    assert shown[-8:] == ["message.replaced", "retry", *WHOLE]
    assert [each.json()["reason"] for each in told if each.event == "message.replaced"] == ["retried"]
    assert (run["outcome"], run["text"]) == ("answered", TEXT)
    assert_kept(place, [sent])
    await stopped([*door, second])


async def test_a_stream_goes_on_from_the_other_server(place: Place, nursery: Nursery) -> None:
    door = await servers(nursery, place)
    hand = await worker(nursery, place)
    async with open_client(ports(door)) as client:
        conversation = await client.conversation()
        sent = await client.say(conversation, SLOWLY)
        told: list[ServerSentEvent] = []
        # The client asks by turns, so the next stream comes from the server that is killed.
        streaming = door[0] if client.url("").endswith(str(door[1].spec.port)) else door[1]
        with anyio.fail_after(30):
            async for event in client.follow(f"/v1/conversations/{conversation}/events"):
                told.append(event)
                if event.event == "message.delta" and not streaming.ended.is_set():
                    streaming.send(signal.SIGKILL)
                    await streaming.ended.wait()
                if event.event == "run.finished":
                    break
    assert [each.id for each in told] == [f"{conversation}:{number}" for number in range(1, len(told) + 1)]
    assert kinds(told)[-6:] == WHOLE
    assert streaming.code == -signal.SIGKILL
    assert_kept(place, [sent])
    await stopped([each for each in (*door, hand) if each is not streaming])


async def test_a_worker_that_stood_still_writes_nothing(place: Place, nursery: Nursery) -> None:
    door = await servers(nursery, place)
    first = await worker(nursery, place)
    async with open_client(ports(door)) as client:
        sent = await client.say(await client.conversation(), SLOWLY)
        await read(client, sent, until="message.delta")
        first.send(signal.SIGSTOP)
        second = await worker(nursery, place)
        with anyio.fail_after(RECOVERY_SECONDS):
            told = await read(client, sent, until="run.finished")
        before = rows(place, sent)
        first.send(signal.SIGCONT)
        # It wakes in the middle of its answer and would send the rest at once.
        await anyio.sleep(1.5)
        assert rows(place, sent) == before
    assert kinds(told).count("message.completed") == 1
    assert_kept(place, [sent])
    await stopped([*door, first, second])


def rows(place: Place, sent: Sent) -> list[list[tuple[object, ...]]]:
    """Return all rows that belong to a run."""
    run, event, message, decision = tables.run, tables.event, tables.message, tables.decision
    statements = [select(run).where(run.c.id == sent.run_id)]
    statements += [select(each).where(each.c.run_id == sent.run_id) for each in (event, message, decision)]
    with place.connection() as connection:
        return [sorted(map(tuple, connection.execute(each)), key=str) for each in statements]


@pytest.fixture(name="fragile", scope="module")
def fragile_fixture() -> Iterator[Postgres]:
    """Run a PostgreSQL that a test may stop."""
    with private_postgres() as server:
        yield server


async def test_all_come_back_when_the_database_does(fragile: Postgres, nursery: Nursery, tmp_path: Path) -> None:
    new = await anyio.to_thread.run_sync(maker, fragile, tmp_path)
    async with open_place(tmp_path, new, effects=False) as place:
        door = await servers(nursery, place)
        hands = [await worker(nursery, place) for _ in range(2)]
        async with open_client(ports(door)) as client, anyio.create_task_group() as talks:
            for _ in range(4):
                talks.start_soon(talk, client)
            await anyio.sleep(0.5)
            await anyio.to_thread.run_sync(fragile.stop)
            await anyio.sleep(0.5)
            await anyio.to_thread.run_sync(fragile.start)
        with place.connection() as connection:
            found = audit(connection, client.sent)
        assert (found.broken, found.counts["accepted"]) == ([], 12)
        assert nursery.alive == [*door, *hands]
        await stopped([*door, *hands])


async def talk(client: Client) -> None:
    """Ask three times and follow each run to its end."""
    for _ in range(3):
        sent = await client.say(await client.conversation(), SLOWLY)
        await client.run_to(sent.run_id, ("run.finished",))


async def test_a_worker_that_is_asked_to_stop_finishes_what_it_does(place: Place, nursery: Nursery) -> None:
    door = await servers(nursery, place)
    hand = await worker(nursery, place)
    async with open_client(ports(door)) as client:
        sent = await client.say(await client.conversation(), SLOWLY)
        await read(client, sent, until="message.delta")
        assert await hand.stop(within=hand.spec.drain) == 0
        told = await read(client, sent, until="run.finished")
    assert kinds(told) == ["message.created", *WHOLE]
    await stopped(door)
    assert_kept(place, [sent])


async def test_the_one_process_of_sqlite_finishes_what_it_does(nursery: Nursery, tmp_path: Path) -> None:
    async with open_place(tmp_path, None, effects=False) as place:
        child = await nursery.started(place.server(pace=0.1))
        async with open_client([child.spec.port]) as client:
            sent = await client.say(await client.conversation(), SLOWLY)
            await read(client, sent, until="message.delta")
            assert await child.stop(within=child.spec.drain) == 0
        assert_kept(place, [sent])


async def test_the_commands_end_in_order(place: Place, assistant_folder: Path, tmp_path: Path) -> None:
    environment = {
        "HANDRAIL_DATABASE_URL": str(place.url),
        "HANDRAIL_VAULT_KEY": place.vault_key,
        "HANDRAIL_ASSISTANT": str(assistant_folder),
        "HANDRAIL_PORT": str(place.server().port),
    }
    # The server ends as the signal asks, once it has closed everything.
    assert await anyio.to_thread.run_sync(ended, tmp_path, environment) == {"serve": 0, "worker": 0}


def ended(folder: Path, environment: dict[str, str]) -> dict[str, int]:
    """Start both commands, ask them to end, and return their exit codes."""
    with launched("serve", folder, environment) as server, launched("worker", folder, environment) as hand:
        for process, line in ((server, "ready"), (hand, "working on")):
            assert process.stderr is not None
            assert any(line in each for each in process.stderr)
        for process in (server, hand):
            process.terminate()
        return {"serve": server.wait(15), "worker": hand.wait(15)}


@contextmanager
def launched(name: str, folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Run a command of ours."""
    whole = [sys.executable, "-m", "handrail", name, "--data", str(folder / name)]
    with subprocess.Popen(whole, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()
