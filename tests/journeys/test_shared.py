"""One place for data over time and between processes: nothing is forgotten, nobody has the wrong key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import update

from graphs.accept import Request, accept
from graphs.running import take_up_orphans
from policies.errors import ConfigError
from policies.types import JSON
from tests.journeys.shop import NewPlace, OpenShop, Shop, take_until
from tools.jobs.ports import Handler, Job, Jobs
from tools.storage import tables
from tools.storage.store import Tx

pytestmark = pytest.mark.anyio

QUESTION = "How long does delivery take?"


class Forgetful:
    """Jobs that are promised and forgotten, as if their rows had been lost."""

    def enqueue(self, tx: Tx, job: Job) -> None:
        """Forget a job."""

    def holds(self, tx: Tx, lock: str) -> bool:
        """Hold nothing."""
        raise NotImplementedError(lock)

    async def work(
        self,
        handlers: Mapping[str, Handler],
        *,
        queues: Sequence[str] | None,
        concurrency: int,
        stop: anyio.Event,
        drain: float,
    ) -> None:
        """Do nothing."""
        raise NotImplementedError

    async def settled(self) -> None:
        """Be settled."""

    async def counts(self) -> JSON:
        """Count nothing."""
        return {}


async def accepted_without_a_job(shop: Shop) -> str:
    """Accept a message whose job gets lost; returns the run's id."""
    product, forgetful = shop.product, Forgetful()
    request = Request(
        principal=product.principal,
        conversation_id=await shop.conversation(),
        assistant=product.assistant.name,
        text=QUESTION,
        key=None,
    )
    jobs: Jobs = forgetful
    workspace = product.service.store.in_workspace(product.principal.workspace_id)
    taken = await workspace.write(lambda tx: accept(tx, request, product.assistant.version, limit=400, jobs=jobs))
    return taken.accepted.run_id


async def test_a_run_whose_job_was_lost_is_taken_up_once(open_shop: OpenShop) -> None:
    async with open_shop() as shop:
        run = await accepted_without_a_job(shop)
        segments: Any = shop.product.service.prune.__self__  # type: ignore[attr-defined]
        assert await take_up_orphans(shop.product.service.store, segments) == 1
        await shop.settled()
        assert (await shop.get(f"/v1/runs/{run}"))["outcome"] == "answered"
        assert await take_up_orphans(shop.product.service.store, segments) == 0


async def test_a_run_whose_job_was_lost_is_taken_up_at_the_next_start(
    open_shop: OpenShop, new_place: NewPlace
) -> None:
    place = new_place()
    async with open_shop(**place) as shop:
        run = await accepted_without_a_job(shop)
    async with open_shop(**place) as shop:
        events = await shop.events(f"/v1/runs/{run}/events")
    assert events[-1].json()["outcome"] == "answered"


async def test_a_segment_that_was_tried_too_often_goes_to_a_person(
    open_shop: OpenShop, new_place: NewPlace
) -> None:
    place = new_place()
    async with open_shop(**place, works=False) as shop:
        conversation = await shop.conversation()
        run = (await shop.ask(conversation, QUESTION, Prefer="respond-async")).json()["run_id"]
        tried = update(tables.run).where(tables.run.c.id == run).values(attempts=3)
        await shop.product.service.store.database.write(lambda connection: connection.execute(tried))
    async with open_shop(**place, segment_attempts=3) as shop:
        events = await shop.events(f"/v1/runs/{run}/events")
        [handoff] = (await shop.get(f"/v1/conversations/{conversation}"))["handoffs"]
    assert events[-1].json()["outcome"] == "degraded"
    assert [(each["code"], each["text"]) for each in handoff["brief"]["why"]] == [
        ("segment.attempts", "Gave up after 3 attempts.")
    ]


async def test_a_place_is_not_opened_with_another_key(open_shop: OpenShop, new_place: NewPlace) -> None:
    place = new_place()
    async with open_shop(**place) as shop:
        await shop.ask(await shop.conversation(), QUESTION)
    with pytest.raises(ConfigError) as failure:
        async with open_shop(**place, vault_key=SecretStr(Fernet.generate_key().decode())):
            pass
    assert failure.value.code == "vault.key"


@pytest.mark.parametrize("new_place", ["postgres"], indirect=True)
async def test_what_one_process_says_is_heard_from_another(open_shop: OpenShop, new_place: NewPlace) -> None:
    place = new_place()
    hold = anyio.Event()
    async with open_shop(**place, works=True) as works, open_shop(**place, works=False) as serves:
        works.drafter.script["from afar"] = ("First.", hold, "Second.")
        conversation = await serves.conversation()
        async with serves.listen(conversation, "from afar") as stream:
            begun = await take_until("message.delta", stream)
            hold.set()
            rest = [event async for event in stream]
        whole = [*begun, *rest]
        assert [each.json()["run_seq"] for each in whole] == list(range(1, len(whole) + 1))
        assert [each.json()["text"] for each in whole if each.event == "message.delta"] == ["First.", " Second."]
        assert serves.drafter.asked == []


@pytest.mark.parametrize("new_place", ["postgres"], indirect=True)
async def test_a_cancellation_reaches_the_process_that_works(open_shop: OpenShop, new_place: NewPlace) -> None:
    place = new_place()
    async with open_shop(**place, works=True) as works, open_shop(**place, works=False) as serves:
        works.drafter.script["for ever"] = (anyio.Event(),)
        conversation = await serves.conversation()
        run = (await serves.ask(conversation, "for ever", Prefer="respond-async")).json()["run_id"]
        with anyio.fail_after(30):
            async with serves.listen(await serves.conversation(), QUESTION) as stream:
                await take_until("run.finished", stream)
        assert (await serves.http.post(f"/v1/runs/{run}/cancel")).status_code == 200
        with anyio.fail_after(30):
            await works.product.service.jobs.settled()
        answer = (await serves.ask(conversation, QUESTION)).json()
        assert answer["outcome"] == "answered"


@pytest.mark.parametrize("new_place", ["postgres"], indirect=True)
async def test_what_one_process_ingests_another_finds(open_shop: OpenShop, new_place: NewPlace) -> None:
    place = new_place()
    async with open_shop(**place) as one, open_shop(**place) as two:
        folder = one.product.settings.data / "more"
        folder.mkdir()
        (folder / "parrots.md").write_text("# Parrots\n\nParrots travel free of charge.\n")
        await one.product.knowledge.ingest(folder)
        assert await two.product.knowledge.refresh()
        found = await two.product.knowledge.search("parrots", audience="customer", limit=1)
        assert [each.document for each in found.passages] == ["parrots.md"]
        assert not await two.product.knowledge.refresh()


async def test_a_conversation_of_another_assistant_is_not_answered(open_shop: OpenShop) -> None:
    async with open_shop() as shop:
        conversation = await shop.conversation()
        moved = update(tables.conversation).where(tables.conversation.c.id == conversation).values(assistant="b")
        await shop.product.service.store.database.write(lambda connection: connection.execute(moved))
        refused = await shop.ask(conversation, QUESTION)
    assert (refused.status_code, refused.json()["code"]) == (409, "conversation.other_assistant")
