"""When a person takes over, writes and gives back: one owner at a time, told to those whom it concerns."""

from __future__ import annotations

from typing import Any

import anyio
import orjson
import pytest
from sqlalchemy import select

from policies.errors import Conflict, IdempotencyMismatch, InputError, NotFound
from policies.types import Owner, Principal
from server import schemas
from tests.journeys.desk import owner_of, staff, told_to, transcript
from tests.journeys.shop import Shop
from tools.storage import conversations, tables

pytestmark = pytest.mark.anyio

COMPLAINT = "I want to complain."


async def test_a_person_takes_a_conversation_from_the_queue(shop: Shop) -> None:
    conversation = await shop.conversation()
    await shop.ask(conversation, COMPLAINT)
    queued = schemas.Conversation.model_validate(await shop.get(f"/v1/conversations/{conversation}"))
    taken = await shop.product.service.desk.take(staff(shop, "ann"), conversation)
    assert (taken.owner, taken.owner_id, taken.queue, taken.priority) == (Owner.HUMAN, "ann", "care", "high")
    assert (taken.version, taken.due_at) == (queued.version + 1, queued.due_at)
    assert taken.waiting_since == queued.waiting_since
    assert queued.waiting_since is not None
    assert queued.waiting_since <= queued.owner_since <= taken.owner_since


async def test_who_took_it_is_told_to_staff_alone(shop: Shop) -> None:
    conversation = await shop.conversation()
    ann, customer = staff(shop, "ann"), Principal(workspace_id="local", id="c-1", role="customer")
    desk = shop.product.service.desk
    await desk.take(ann, conversation)
    await desk.take(staff(shop, "bo"), conversation, from_id="ann")
    await desk.hand_back(staff(shop, "bo"), conversation, note="Write to jo@example.com.")
    assert await told_to(shop, ann, conversation) == [
        ("owner.changed", {"owner": "human", "by": "ann"}),
        ("owner.changed", {"owner": "human", "by": "bo", "from": "ann"}),
        ("owner.changed", {"owner": "bot", "by": "bo", "note": "Write to jo@example.com."}),
    ]
    customer = Principal(workspace_id=ann.workspace_id, id="c-1", role="customer")
    assert await told_to(shop, customer, conversation) == [
        ("owner.changed", {"owner": "human"}),
        ("owner.changed", {"owner": "human"}),
        ("owner.changed", {"owner": "bot"}),
    ]
    await desk.take(ann, conversation)
    seen = await shop.product.service.get_conversation(customer, conversation)
    assert (seen.conversation.owner, seen.conversation.owner_id) == (Owner.HUMAN, None)


async def test_taking_twice_changes_nothing(shop: Shop) -> None:
    conversation, desk = await shop.conversation(), shop.product.service.desk
    first = await desk.take(staff(shop, "ann"), conversation)
    assert await desk.take(staff(shop, "ann"), conversation) == first


async def test_what_another_person_has_is_taken_deliberately_or_not_at_all(shop: Shop) -> None:
    conversation, desk = await shop.conversation(), shop.product.service.desk
    taken = await desk.take(staff(shop, "ann"), conversation)
    for body in ({}, {"from": "cy"}):
        refused = await shop.http.post(f"/v1/conversations/{conversation}/take", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "conversation.taken")
        assert refused.json()["first"] == {"owner_id": "ann", "owner_since": taken.owner_since}
    for path, more in (("replies", {"text": "Hello!"}), ("return", {})):
        refused = await shop.http.post(f"/v1/conversations/{conversation}/{path}", json=more)
        assert (refused.status_code, refused.json()["code"]) == (409, "conversation.taken")
    done = await shop.http.post(f"/v1/conversations/{conversation}/take", json={"from": "ann"})
    assert (done.status_code, done.json()["owner_id"]) == (200, "local-admin")
    assert await transcript(shop, conversation) == []


async def test_of_many_who_take_at_once_one_wins(shop: Shop) -> None:
    conversation, desk = await shop.conversation(), shop.product.service.desk
    won: list[str] = []
    lost: list[Any] = []

    async def take(name: str) -> None:
        try:
            await desk.take(staff(shop, name), conversation)
            won.append(name)
        except Conflict as conflict:
            lost.append(conflict.data["first"]["owner_id"])

    async with anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(take, f"agent-{number}")
    assert len(won) == 1
    assert lost == won * 5
    assert await owner_of(shop, conversation) == ("human", won[0])


async def test_a_persons_message_takes_the_conversation(shop: Shop) -> None:
    conversation = await shop.conversation()
    await shop.ask(conversation, COMPLAINT)
    response = await shop.http.post(f"/v1/conversations/{conversation}/replies", json={"text": " I am sorry. "})
    assert (response.status_code, response.headers["Idempotency-Replayed"]) == (201, "false")
    said = schemas.Message.model_validate(response.json())
    assert (said.author, said.text, said.position, said.run_id) == ("human", "I am sorry.", 3, None)
    found = await shop.get(f"/v1/conversations/{conversation}")
    assert (found["owner"], found["owner_id"]) == ("human", "local-admin")
    assert (found["waiting_since"], found["due_at"]) == (None, None)
    admin = shop.product.principal
    assert (await told_to(shop, admin, conversation))[-4:] == [
        ("owner.changed", {"owner": "human", "by": "local-admin"}),
        ("message.created", {"message_id": "msg:3", "author": "human"}),
        ("message.delta", {"message_id": "msg:3", "index": 0, "text": "I am sorry.", "citations": []}),
        (
            "message.completed",
            {"message_id": "msg:3", "author": "human", "text": "I am sorry.", "citations": []},
        ),
    ]


async def test_a_repeated_reply_is_sent_once(shop: Shop) -> None:
    conversation, path = await shop.conversation(), "/v1/conversations/{}/replies"
    headers = {"Idempotency-Key": f"reply-{conversation}"}
    answers = [
        await shop.http.post(path.format(conversation), json={"text": "Hello!"}, headers=headers) for _ in range(2)
    ]
    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert await transcript(shop, conversation) == [("human", "Hello!", "complete")]
    with pytest.raises(IdempotencyMismatch):
        await shop.product.service.desk.reply(
            shop.product.principal, conversation, "Another.", idempotency_key=headers["Idempotency-Key"]
        )


async def test_equal_keys_at_once_send_one_message(shop: Shop) -> None:
    conversation, ids = await shop.conversation(), list[str]()

    async def write() -> None:
        replied = await shop.product.service.desk.reply(
            staff(shop, "ann"), conversation, "Hello!", idempotency_key=f"at-once-{conversation}"
        )
        ids.append(replied.message.id)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(write)
    assert len(set(ids)) == 1
    assert await transcript(shop, conversation) == [("human", "Hello!", "complete")]


async def test_a_reply_may_use_the_conversations_placeholders_and_no_other(shop: Shop) -> None:
    conversation, desk = await shop.conversation(), shop.product.service.desk
    await shop.ask(conversation, "I want to complain; write to jo@example.com.")
    replied = await desk.reply(staff(shop, "ann"), conversation, "I write to [EMAIL_1] and to bo@example.com.")
    assert replied.message.text == "I write to jo@example.com and to bo@example.com."
    workspace = shop.product.service.store.in_workspace(shop.product.settings.workspace)
    kept = await workspace.read(lambda tx: conversations.message(tx, conversation, replied.message.id))
    assert kept.text == "I write to [EMAIL_1] and to [EMAIL_2]."
    with pytest.raises(InputError, match="stands for nothing"):
        await desk.reply(staff(shop, "ann"), conversation, "I write to [EMAIL_9].")
    with pytest.raises(InputError, match="empty"):
        await desk.reply(staff(shop, "ann"), conversation, "\u202e \x00")


async def test_a_customer_may_do_none_of_this(shop: Shop) -> None:
    conversation, desk = await shop.conversation(), shop.product.service.desk
    customer = Principal(workspace_id=shop.product.settings.workspace, id="c-1", role="customer")
    for call in (
        lambda: desk.take(customer, conversation),
        lambda: desk.reply(customer, conversation, "Hello!"),
        lambda: desk.hand_back(customer, conversation),
        lambda: desk.conversations(customer),
    ):
        with pytest.raises(InputError) as refused:
            await call()
        assert refused.value.code == "forbidden"
    assert await owner_of(shop, conversation) == ("bot", None)


async def test_what_is_not_there_can_not_be_taken(shop: Shop) -> None:
    desk = shop.product.service.desk
    for call in (desk.take, desk.hand_back):
        with pytest.raises(NotFound):
            await call(staff(shop, "ann"), "con_none")
    with pytest.raises(NotFound):
        await desk.reply(staff(shop, "ann"), "con_none", "Hello!")


async def test_each_move_is_in_the_ledger_and_the_chain_holds(shop: Shop) -> None:
    conversation, desk = await shop.conversation(), shop.product.service.desk
    ann, bo = staff(shop, "ann"), staff(shop, "bo")
    await desk.take(ann, conversation)
    await desk.reply(ann, conversation, "Hello!")
    await desk.take(bo, conversation, from_id="ann")
    await desk.hand_back(bo, conversation, note="Done.")
    d = tables.decision.c
    rows = await shop.product.service.store.in_all_workspaces(
        lambda connection: connection.execute(
            select(d.kind, d.body, d.hash, d.previous).where(d.stream == conversation).order_by(d.seq)
        ).all()
    )
    told = [(row.kind, orjson.loads(row.body)["actor"]) for row in rows]
    assert told == [
        ("take", {"type": "staff", "id": "ann"}),
        ("reply", {"type": "staff", "id": "ann"}),
        ("take", {"type": "staff", "id": "bo"}),
        ("return", {"type": "staff", "id": "bo"}),
    ]
    assert [row.previous for row in rows[1:]] == [row.hash for row in rows[:-1]]
