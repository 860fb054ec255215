"""A change of an assistant's files is one decision, and what waits over it ends as it began."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest
from pydantic import SecretStr
from sqlalchemy import select

from graphs.assembly import Product, open_product
from graphs.fakes import (
    ScriptedAction,
    route_to,
    scripted_team,
)
from graphs.settings import Settings
from graphs.team import Team
from graphs.versions import WORKSPACE_STREAM as STREAM
from graphs.versions import difference, note_version
from policies.types import JSON, Autonomy
from tests.journeys.shop import FILES
from tools.assistants import Assistant, load_assistant
from tools.clock import FixedClock
from tools.encoder.ports import Encoder
from tools.knowledge.base import Knowledge
from tools.storage import tables
from tools.storage.store import Tx

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, kw_only=True)
class Place:
    """A shop's folder and its data."""

    folder: Path
    settings: Settings
    clock: FixedClock = field(default_factory=FixedClock)
    actions: dict[str, ScriptedAction] = field(default_factory=dict)
    autonomy: Autonomy = Autonomy.REVIEW

    def open(self) -> AbstractAsyncContextManager[Product]:
        """Open it in this process."""
        clock = self.clock if self.settings.database_url is None else None
        return open_product(self.settings, hire=self.hire, announce=lambda _: None, clock=clock)

    async def hire(self, assistant: Assistant, knowledge: Knowledge, _encoder: Encoder) -> Team:
        return scripted_team(
            assistant, knowledge, route_to("refund", self.autonomy, queue="returns"), actions=dict(self.actions)
        )

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)


@pytest.fixture(name="place", params=["sqlite", "postgres"])
def place_fixture(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    """Return a shop over each kind of database."""
    return a_place(tmp_path, request)


@pytest.fixture(name="alone")
def alone_fixture(tmp_path: Path) -> Place:
    """Return a shop over SQLite."""
    return a_place(tmp_path, None)


def a_place(tmp_path: Path, request: pytest.FixtureRequest | None) -> Place:
    for name, text in FILES.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    more: dict[str, Any] = {}
    if request is not None and request.param == "postgres":
        more["database_url"] = SecretStr(request.getfixturevalue("new_postgres")())
    return Place(
        folder=tmp_path / "shop",
        settings=Settings(assistant=tmp_path / "shop", data=tmp_path / "data", **more),
    )


def changes(tx: Tx) -> list[JSON]:
    """Return the decisions of the workspace's own stream."""
    d = tables.decision.c
    rows = tx.all(select(d.body).where(d.workspace_id == tx.workspace_id, d.stream == STREAM).order_by(d.seq))
    return [orjson.loads(row["body"]) for row in rows]


async def noted(product: Product) -> list[JSON]:
    return await product.service.store.in_workspace("default").read(changes)


async def ask(product: Product, text: str) -> tuple[str, str]:
    """Begin a conversation and ask; returns its id and the run's."""
    service, me = product.service, product.principal
    conversation = await service.create_conversation(me)
    accepted = await service.post_message(me, conversation.id, text)
    await service.jobs.settled()
    return conversation.id, accepted.run_id


async def test_a_change_is_a_decision_that_shows_the_difference(place: Place) -> None:
    async with place.open() as product:
        [first] = await noted(product)
    async with place.open() as product:
        assert await noted(product) == [first]
    place.write("policy.yaml", FILES["policy.yaml"].replace("400", "300"))
    async with place.open() as product:
        [_, second] = await noted(product)
    assert (first["kind"], first["before"], first["diff"]) == ("policy.changed", None, "")
    assert (second["before"], second["after"]) == (first["after"], load_assistant(place.folder).version)
    assert second["actor"] == {"type": "admin", "id": "local-admin"}
    assert second["diff"].splitlines()[:5] == [
        "--- before/policy.yaml",
        "+++ after/policy.yaml",
        "@@ -1,4 +1,4 @@",
        "-limits: {message_characters: 400}",
        "+limits: {message_characters: 300}",
    ]


def test_the_difference_shows_a_file_that_is_gone() -> None:
    gone = difference({"a.yaml": "a: 1", "questions.yaml": "questions: []"}, {"a.yaml": "a: 1"})
    assert gone.splitlines()[0::3] == ["--- before/questions.yaml", "-questions: []"]


async def test_processes_that_start_at_once_note_it_once(place: Place) -> None:
    async with place.open() as product:
        workspace = product.service.store.in_workspace("default")
        place.write("policy.yaml", "languages: [en, de]\n")
        changed = load_assistant(place.folder)
        outcomes: list[bool] = []

        async def start() -> None:
            outcomes.append(await workspace.write(lambda tx: note_version(tx, changed, product.principal)))

        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(start)
        assert sorted(outcomes) == [False] * 7 + [True]
        assert [each["after"] for each in await noted(product)][1:] == [changed.version]


async def test_a_version_that_comes_back_is_a_change_too(alone: Place) -> None:
    for text in (FILES["policy.yaml"], "languages: [en, de]\n", FILES["policy.yaml"]):
        alone.write("policy.yaml", text)
        async with alone.open() as product:
            found = [each["after"] for each in await noted(product)]
    assert (len(found), found[0] == found[2], found[0] == found[1]) == (3, True, False)


async def test_a_review_that_waits_over_a_change_of_policy_ends_under_the_old_one(place: Place) -> None:
    async with place.open() as product:
        await product.knowledge.ingest(product.assistant.knowledge)
        conversation_id, run_id = await ask(product, "I want my money back")
        [review] = await product.service.list_reviews(product.principal)
    place.write("policy.yaml", "messages: {handoff: We have other words now.}\n")
    place.write("intents.yaml", FILES["intents.yaml"].replace("queue: returns", "queue: elsewhere"))
    async with place.open() as product:
        service, me = product.service, product.principal
        await service.decide(me, review.id, {"decision": "reject"})
        await service.jobs.settled()
        view = await service.get_conversation(me, conversation_id)
        later, _ = await ask(product, "I want my money back")
        [other] = await service.list_reviews(me)
        await service.decide(me, other.id, {"decision": "reject"})
        await service.jobs.settled()
        new = await service.get_conversation(me, later)
        explained = await service.explain(me, run_id)
    assert [each.text for each in view.messages if each.author == "bot"] == ["A colleague will answer you here."]
    assert [each.text for each in new.messages if each.author == "bot"] == ["We have other words now."]
    versions = {each["actor"]["version"] for each in explained if each["actor"]["type"] == "assistant"}
    assert len(versions) == 1


async def test_a_version_that_can_not_be_read_any_more_ends_on_the_present_one(
    alone: Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with alone.open() as product:
        await product.knowledge.ingest(product.assistant.knowledge)
        conversation_id, _ = await ask(product, "I want my money back")
        [review] = await product.service.list_reviews(product.principal)
        forget = tables.assistant_version.update().values(files={**FILES, "policy.yaml": "tea: green\n"})
        await product.service.store.in_workspace("default").write(lambda tx: tx.change(forget))
    alone.write("policy.yaml", "messages: {handoff: We have other words now.}\n")
    async with alone.open() as product:
        service, me = product.service, product.principal
        await service.decide(me, review.id, {"decision": "reject"})
        await service.jobs.settled()
        view = await service.get_conversation(me, conversation_id)
    assert [each.text for each in view.messages if each.author == "bot"] == ["We have other words now."]
    assert "can't be read any more" in caplog.text


async def test_a_required_action_waits_for_a_person_who_is_told_why(alone: Place, tmp_path: Path) -> None:
    action = ScriptedAction(name="send_money", calls=tmp_path / "calls")
    look = ScriptedAction(name="look_up", calls=tmp_path / "looks", effect=False)
    place = Place(
        folder=alone.folder,
        settings=alone.settings,
        actions={"send_money": action, "look_up": look},
        autonomy=Autonomy.AUTO,
    )
    tools = FILES["intents.yaml"].replace("queue: returns", "queue: returns\n  tools: [look_up, send_money]")
    place.write("intents.yaml", tools)
    rule = "{id: first, when: 'amounts.exists(a, a > 50.0)', effect: require, tool: send_money, reason: Over 50.}"
    place.write("policy.yaml", f"rules:\n- {rule}\n")
    async with place.open() as product:
        await product.knowledge.ingest(product.assistant.knowledge)
        _, small = await ask(product, "I want my $20 back")
        conversation_id, large = await ask(product, "I want my $60 back")
        service, me = product.service, product.principal
        outcomes = [(await service.get_run(me, run)).outcome for run in (small, large)]
        [review] = await service.list_reviews(me)
        done = len(action.keys)
        await service.decide(me, review.id, {"decision": "approve"})
        await service.jobs.settled()
        outcomes.append((await service.get_run(me, large)).outcome)
    assert outcomes == ["answered", "review", "answered"]
    assert (done, len(action.keys), len(look.keys)) == (1, 2, 2)
    assert review.conversation_id == conversation_id
    assert review.reasons == [{"code": "rule.require", "text": "Over 50.", "rule_id": "first"}]


async def test_a_review_that_nobody_answers_is_raised_before_it_is_handed_over(alone: Place) -> None:
    alone.write("policy.yaml", "sla: {minutes: {normal: 60, high: 30, urgent: 10}, breach: raise}\n")
    async with alone.open() as product:
        await product.knowledge.ingest(product.assistant.knowledge)
        conversation_id, run_id = await ask(product, "I want my money back")
        service, me = product.service, product.principal
        seen: list[tuple[str, str]] = []
        asked = (await service.list_reviews(me))[0]
        for minutes in (61, 31, 11):
            alone.clock.advance(timedelta(minutes=minutes))
            with anyio.fail_after(30):
                while True:
                    [review] = await service.list_reviews(me, status=None)
                    if (review.priority, review.status) not in [("normal", "open"), *seen]:
                        break
                    await anyio.sleep(0.02)
            seen.append((review.priority, review.status))
        await service.jobs.settled()
        view = await service.get_conversation(me, conversation_id)
        decided = [each["kind"] for each in await service.explain(me, run_id) if each["node"] == "review"]
    assert (asked.priority, seen) == ("normal", [("high", "open"), ("urgent", "open"), ("urgent", "expired")])
    assert decided == ["review.raised", "review.raised", "review"]
    assert [each["priority"] for each in view.handoffs] == ["urgent"]


async def test_a_raised_review_can_still_be_answered_and_a_late_timer_changes_nothing(
    alone: Place,
) -> None:
    alone.write("policy.yaml", "sla: {minutes: {normal: 60, high: 30, urgent: 10}, breach: raise}\n")
    async with alone.open() as product:
        await product.knowledge.ingest(product.assistant.knowledge)
        _, run_id = await ask(product, "I want my money back")
        service, me = product.service, product.principal
        [review] = await service.list_reviews(me)
        due = timedelta(minutes=30)
        rest = [{"priority": "high", "at": (alone.clock.now() + due).isoformat()}]
        timer = {"workspace_id": "default", "review_id": review.id, "due_at": review.due_at, "rest": rest}
        await service.expire_review(timer)
        await service.expire_review(timer)
        [raised] = await service.list_reviews(me)
        await service.decide(me, review.id, {"decision": "approve"})
        await service.expire_review(timer)
        await service.expire_review({**timer, "rest": []})
        await service.jobs.settled()
        run = await service.get_run(me, run_id)
        decided = [each["kind"] for each in await service.explain(me, run_id) if each["node"] == "review"]
    assert (raised.priority, run.outcome) == ("high", "reviewed")
    assert decided == ["review.raised", "review"]
