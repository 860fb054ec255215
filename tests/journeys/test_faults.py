"""Each fault that ``--fault`` can make: what the customer sees event by event, and what goes on nevertheless."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from httpx_sse import aconnect_sse
from typer.testing import CliRunner

from evals.postgres import free_port
from graphs import sabotage
from graphs.sabotage import FAULTS, Sabotage, plan_sabotage
from graphs.settings import Settings
from handrail import cli
from policies.types import Principal
from tests.chroma import chroma_server
from tests.journeys.shop import JSON, OpenShop, Shop, asked, finished, opener, said, shown, take_until
from tests.journeys.test_serve import wait_until_ready

pytestmark = pytest.mark.anyio

QUESTION = "How long does delivery take?"
ANSWER = "This is what the articles say."
BROKEN = "Something broke, so a colleague will answer you."
EXACT = ("degraded", {"dependency": "vector_store", "fallback": "exact search in memory"})


def plan(*names: str) -> Sabotage:
    return plan_sabotage(names, Settings(mode="development"))


def handed_over(because: str) -> list[tuple[str, JSON]]:
    """Return what a customer sees of a question that ends with a person because something broke."""
    whole = {"message_id": "msg:2", "author": "bot", "text": BROKEN, "citations": []}
    return [
        asked(QUESTION),
        ("degraded", {"dependency": because, "fallback": "a person"}),
        *said(2, BROKEN),
        ("message.completed", whole),
        ("handoff", {"queue": "general", "priority": "high"}),
        ("owner.changed", {"owner": "queue", "queue": "general"}),
        finished("degraded"),
    ]


async def restart(shop: Shop, fault: Sabotage) -> None:
    url = shop.product.settings.database_url
    await fault.restart(url.get_secret_value() if url else None)


@pytest.fixture(autouse=True)
def brief_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a SQLite database be away for less than two seconds."""
    monkeypatch.setattr(sabotage, "AWAY_SECONDS", 0.4)


async def test_a_model_that_never_answers_ends_with_a_person(open_shop: OpenShop) -> None:
    async with open_shop(sabotage=plan("model-timeout"), run_seconds=0.3) as shop:
        conversation = await shop.conversation()
        assert shown(await shop.say(conversation, QUESTION)) == handed_over("segment.deadline")
        found = await shop.get(f"/v1/conversations/{conversation}")
    assert [each["code"] for each in found["handoffs"][0]["brief"]["why"]] == ["segment.deadline"]


async def test_nothing_unchecked_leaves_when_the_checker_crashes(open_shop: OpenShop) -> None:
    async with open_shop(sabotage=plan("guard-crash")) as shop:
        conversation = await shop.conversation()
        assert shown(await shop.say(conversation, QUESTION)) == handed_over("segment.failed")
        found = await shop.get(f"/v1/conversations/{conversation}")
    assert [each["text"] for each in found["messages"]] == [QUESTION, BROKEN]
    assert [each["text"] for each in found["handoffs"][0]["brief"]["why"]] == ["A step failed: RuntimeError."]


async def test_without_its_vector_store_the_same_is_answered_and_staff_are_told(
    open_shop: OpenShop, shop: Shop
) -> None:
    sound = shown(await shop.say(await shop.conversation(), QUESTION))
    async with open_shop(sabotage=plan("vector-store-down")) as broken:
        events = await broken.say(await broken.conversation(), QUESTION)
        metrics = (await broken.http.get("/metrics")).text
        kinds = await kinds_for_a_customer(broken, events[0].json()["run_id"])
    assert shown(events) == [sound[0], EXACT, *sound[1:]]
    assert sound[-1] == finished("answered")
    assert 'handrail_fallbacks_total{dependency="vector_store"}' in metrics
    assert "degraded" not in kinds


async def kinds_for_a_customer(shop: Shop, run_id: str) -> list[str]:
    customer = Principal(workspace_id=shop.product.settings.workspace, id="c", role="customer")
    batches = [batch async for batch in shop.product.service.run_events(customer, run_id)]
    return [event.type for batch in batches for event in batch]


async def test_a_chroma_server_that_is_killed_in_mid_life_stops_no_answer(
    open_shop: OpenShop, tmp_path: Path
) -> None:
    with chroma_server(tmp_path) as server:
        async with open_shop(chroma_url=server.url) as shop:
            before = shown(await shop.say(await shop.conversation(), QUESTION))
            server.kill()
            after = shown(await shop.say(await shop.conversation(), QUESTION))
    assert before[-1] == finished("answered")
    assert after == [before[0], EXACT, *before[1:]]


async def test_a_slow_disk_makes_an_answer_late_and_changes_nothing_else(open_shop: OpenShop, shop: Shop) -> None:
    sound = shown(await shop.say(await shop.conversation(), QUESTION))
    async with open_shop(sabotage=plan("slow-disk")) as slow:
        conversation = await slow.conversation()
        began = time.perf_counter()
        events = await slow.say(conversation, QUESTION)
        seconds = time.perf_counter() - began
    assert shown(events) == sound
    # Acceptance, claim, first sentence and end are a commit each.
    assert seconds >= 4 * sabotage.SLOW_SECONDS


async def test_commits_that_wait_for_a_slow_disk_together_share_it(open_shop: OpenShop) -> None:
    async with open_shop(sabotage=plan("slow-disk")) as slow:
        began = time.perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(slow.conversation)
        seconds = time.perf_counter() - began
    assert sabotage.SLOW_SECONDS <= seconds < 20 * sabotage.SLOW_SECONDS / 2


async def test_a_run_in_the_middle_is_tried_again_when_the_database_restarts(open_shop: OpenShop) -> None:
    fault = plan("database-restart:9999")
    async with open_shop(sabotage=fault) as shop:
        hold = anyio.Event()
        shop.drafter.script[QUESTION] = (ANSWER, hold, "And more.")
        conversation = await shop.conversation()
        path = f"/v1/conversations/{conversation}/events"
        async with shop.listen(conversation, QUESTION) as stream, aconnect_sse(shop.http, "GET", path) as follower:
            seen = await take_until("message.delta", stream)
            await restart(shop, fault)
            hold.set()
            seen += [event async for event in stream]
            followed = await take_until("run.finished", follower.aiter_sse())
    whole = shown(seen)
    cites = whole[2][1]["citations"]
    completed = whole.pop(-2)
    again = [
        ("message.replaced", {"message_id": "msg:2", "reason": "retried", "text": ANSWER}),
        ("retry", {"attempt": 2}),
        *said(3, ANSWER, cites),
    ]
    # Over PostgreSQL another task may come upon the cut connections first, and the run gets new ones.
    hit = shop.product.settings.database_url is None or ("retry", {"attempt": 2}) in whole
    number = 3 if hit else 2
    assert whole == [
        asked(QUESTION),
        *said(2, ANSWER, cites),
        *(again if hit else []),
        ("message.delta", {"message_id": f"msg:{number}", "index": 1, "text": " And more.", "citations": cites}),
        finished("answered"),
    ]
    assert (completed[0], completed[1]["text"]) == ("message.completed", f"{ANSWER} And more.")
    assert [event.json()["seq"] for event in followed] == list(range(1, len(followed) + 1))


async def test_a_message_is_taken_once_or_refused_while_the_database_restarts(open_shop: OpenShop) -> None:
    fault = plan("database-restart:9999")
    async with open_shop(sabotage=fault) as shop:
        conversation = await shop.conversation()
        await restart(shop, fault)
        refused = []
        with anyio.fail_after(30):
            while (answer := await shop.ask(conversation, QUESTION, **{"Idempotency-Key": "k"})).is_error:
                refused.append((answer.status_code, answer.headers["retry-after"], answer.json()["code"]))
                await anyio.sleep(0.05)
        messages = (await shop.get(f"/v1/conversations/{conversation}"))["messages"]
        assert refused == [(503, "2", "unavailable")] * len(refused)
        assert refused or shop.product.settings.database_url
    assert answer.json()["outcome"] == "answered"
    assert [each["text"] for each in messages] == [QUESTION, ANSWER]


async def test_a_process_says_what_goes_wrong_in_it(open_shop: OpenShop, shop: Shop) -> None:
    async with open_shop(sabotage=plan("guard-crash", "slow-disk")) as broken:
        assert (await broken.get("/"))["faults"] == ["guard-crash", "slow-disk"]
    assert "faults" not in await shop.get("/")


@pytest.mark.parametrize("new_place", ["sqlite"], indirect=True)
async def test_a_full_disk_takes_nothing_and_loses_nothing(open_shop: OpenShop) -> None:
    async with open_shop() as shop:
        hold = anyio.Event()
        shop.drafter.script["slow"] = (hold, ANSWER)
        first, second = await shop.conversation(), await shop.conversation()
        async with shop.listen(first, "slow") as stream:
            seen = await take_until("run.started", stream)
            await fill_the_disk(shop)
            accepted = 0
            while (answer := await shop.ask(second, "x" * 300, Prefer="respond-async")).status_code == 202:
                accepted += 1
            hold.set()
            kept = (await shop.get(f"/v1/conversations/{second}"))["messages"]
            await make_room(shop)
            seen += [event async for event in stream]
        await shop.settled()
        messages = (await shop.get(f"/v1/conversations/{second}"))["messages"]
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["detail"]) == (
        503,
        "2",
        "The database does not answer: database or disk is full.",
    )
    assert len(kept) == accepted
    assert shown(seen)[-1] == finished("answered")
    assert [each["author"] for each in messages] == ["customer"] * accepted + ["bot"] * bool(accepted)


async def fill_the_disk(shop: Shop) -> None:
    await shop.product.service.store.database.write(
        lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1").all()
    )


async def make_room(shop: Shop) -> None:
    await shop.product.service.store.database.write(
        lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1073741823").all()
    )


def test_faults_are_refused_outside_development_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANDRAIL_MODE", raising=False)
    for command in ("serve", "worker"):
        done = CliRunner().invoke(cli.app, [command, "--fault", "slow-disk", "--fault", "guard-crash"])
        assert (done.exit_code, done.stderr) == (
            1,
            "Faults on purpose (slow-disk, guard-crash) are refused in production mode. "
            "Set HANDRAIL_MODE=development, never where customers are.\n",
        )


def test_a_fault_that_there_is_not_is_answered_with_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANDRAIL_MODE", "development")
    done = CliRunner().invoke(cli.app, ["serve", "--fault", "earthquake"])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"There is no fault 'earthquake'. Choose among {', '.join(FAULTS)}; POINT is ")


def test_help_lists_the_faults_that_there_are() -> None:
    assert cli.FAULTS.startswith(f"{', '.join(FAULTS)};")


@contextmanager
def serving(folder: Path, data: Path, *faults: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run ``handrail serve`` as a process until the block ends; yields it and its address, ready."""
    port = free_port()
    environment = {**os.environ, "HANDRAIL_MODE": "development", "HANDRAIL_PORT": str(port)}
    command = [sys.executable, "-m", "handrail", "serve", "--assistant", str(folder), "--data", str(data)]
    for name in faults:
        command += ["--fault", name]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}")
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def asked_to_death(folder: Path, data: Path, fault: str) -> tuple[str, int]:
    """Ask a server of its own something that it does not survive; returns the conversation and the exit code."""
    with serving(folder, data, fault) as (process, url), httpx.Client(base_url=url, timeout=10) as http:
        conversation = str(http.post("/v1/conversations").json()["id"])
        with pytest.raises(httpx.TransportError):
            http.post(f"/v1/conversations/{conversation}/messages", json={"text": QUESTION})
        return conversation, process.wait(10)


async def test_a_process_that_kills_itself_at_a_point_leaves_a_run_that_the_next_one_ends(
    assistant_folder: Path, tmp_path: Path
) -> None:
    conversation, code = asked_to_death(assistant_folder, tmp_path, "kill:route")
    assert code == -signal.SIGKILL
    async with opener(assistant_folder, lambda: {"data": tmp_path})() as shop:
        run = (await shop.get(f"/v1/conversations/{conversation}"))["messages"][0]["run_id"]
        kinds = [event.event for event in await shop.events(f"/v1/runs/{run}/events")]
    assert kinds[:2] == ["message.created", "run.started"]
    assert (kinds.count("run.started"), kinds.count("retry"), kinds.count("run.finished")) == (1, 1, 1)
    assert kinds[-1] == "run.finished"
