"""A review that nobody answers in time is answered by its breach action: a person gets the conversation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from graphs.assembly import open_product
from graphs.fakes import route_to, scripted_team
from graphs.settings import Settings
from graphs.team import Team
from policies.types import Autonomy
from tests.journeys.shop import FILES
from tools.assistants import Assistant
from tools.clock import FixedClock, SystemClock
from tools.encoder.ports import Encoder
from tools.knowledge.base import Knowledge

pytestmark = pytest.mark.anyio


async def hire(assistant: Assistant, knowledge: Knowledge, _encoder: Encoder) -> Team:
    return scripted_team(assistant, knowledge, route_to("refund", Autonomy.REVIEW, queue="returns"))


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "shop"


async def test_an_expired_review_is_handed_over_once(folder: Path, tmp_path: Path) -> None:
    clock = FixedClock()
    settings = Settings(assistant=folder, data=tmp_path / "data")
    async with open_product(settings, clock=clock, hire=hire, announce=lambda _: None) as product:
        await product.knowledge.ingest(product.assistant.knowledge)
        service, me = product.service, product.principal
        conversation = await service.create_conversation(me)
        accepted = await service.post_message(me, conversation.id, "I want my money back")
        await service.jobs.settled()
        assert (await service.get_run(me, accepted.run_id)).status == "waiting"

        clock.advance(timedelta(minutes=product.assistant.policy.sla.minutes["normal"] + 1))
        with anyio.fail_after(30):
            async for batch in service.conversation_events(me, conversation.id):
                if any(event.type == "run.finished" for event in batch):
                    break

        run = await service.get_run(me, accepted.run_id)
        view = await service.get_conversation(me, conversation.id)
        reviews = await service.list_reviews(me, status="expired")
    assert (run.status, run.outcome) == ("finished", "handed_over")
    assert view.conversation.owner == "queue"
    assert [handoff["queue"] for handoff in view.handoffs] == ["returns"]
    assert [review.decided_by for review in reviews] == ["sla"]


class LateClock(SystemClock):
    """A clock that is behind by all but a second of the time that a person has."""

    def now(self) -> datetime:
        """Return an earlier time."""
        return super().now() - timedelta(minutes=480) + timedelta(seconds=1)


async def test_over_postgresql_a_timer_does_the_same(
    folder: Path, tmp_path: Path, new_postgres: Callable[[], str]
) -> None:
    settings = Settings(assistant=folder, data=tmp_path / "data", database_url=SecretStr(new_postgres()))
    async with open_product(settings, clock=LateClock(), hire=hire, announce=lambda _: None) as product:
        await product.knowledge.ingest(product.assistant.knowledge)
        service, me = product.service, product.principal
        conversation = await service.create_conversation(me)
        accepted = await service.post_message(me, conversation.id, "I want my money back")
        with anyio.fail_after(10):
            async for batch in service.conversation_events(me, conversation.id):
                if any(event.type == "run.finished" for event in batch):
                    break
        run = await service.get_run(me, accepted.run_id)
        reviews = await service.list_reviews(me, status="expired")
    assert (run.status, run.outcome) == ("finished", "handed_over")
    assert [review.decided_by for review in reviews] == ["sla"]
