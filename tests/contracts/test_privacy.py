"""Whatever is erased, in whatever order, is gone; others keep what is theirs, and the ledger still verifies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, inspect, select, text

from graphs.privacy import BATCH, Privacy
from policies.errors import Conflict, NotFound
from policies.types import Principal
from tools.clock import CountedIds, FixedClock
from tools.storage import (
    conversations,
    datasets,
    events,
    idempotency,
    ledger,
    reviews,
    runs,
    subjects,
    tables,
    vault,
)
from tools.storage.audit.check import check_workspace
from tools.storage.audit.keys import LedgerKey
from tools.storage.audit.signing import sign
from tools.storage.database import open_database
from tools.storage.events import NewEvent
from tools.storage.ledger import Decision
from tools.storage.sealing import Sealer
from tools.storage.store import Store, Tx, Workspace

pytestmark = pytest.mark.anyio
KEY = LedgerKey(bytes(range(32)))
ADMIN = Principal(workspace_id="acme", id="ann", role="admin")
PEOPLE = ("jo", "kim", "sam")


@pytest.fixture(name="store")
async def store_fixture(where: Path | str) -> AsyncIterator[Store]:
    async with open_database(where) as database:
        yield Store(
            database=database,
            clock=FixedClock(),
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=lambda _: None,
        )


@pytest.fixture(name="workspace")
def workspace_fixture(store: Store) -> Workspace:
    return store.in_workspace("acme")


@pytest.fixture(name="pruned")
def pruned_fixture() -> list[str]:
    """Collect the runs whose checkpoints are deleted."""
    return []


@pytest.fixture(name="privacy")
def privacy_fixture(store: Store, pruned: list[str]) -> Privacy:
    async def prune(run_id: str) -> None:
        pruned.append(run_id)

    async def scrub() -> bool:
        return True

    return Privacy(store=store, prune=prune, scrub=scrub)


def begun(tx: Tx, subject: str | None, **consent: bool) -> str:
    """Begin a conversation; returns its id."""
    customer = {"id": subject, "attributes": {"tier": f"mark-{subject}"}} if subject else {}
    return conversations.create(tx, assistant="a", customer=customer, consent=consent).id


def a_turn(tx: Tx, conversation_id: str, words: str, *, status: str = "finished") -> str:
    """Store what a turn leaves, everywhere; returns the run."""
    run_id = tx.ids.new("run")
    masked = vault.masked(tx, conversation_id, f"{words}, {words}@example.com")
    asked = conversations.add_message(tx, conversation_id, author="customer", text=masked, run_id=run_id)
    values = {"conversation_id": conversation_id, "assistant_version": "v", "conversation_version": 2}
    runs.create(
        tx,
        run_id=run_id,
        values={**values, "input": {"question": masked}, "trace_id": "t", "principal": "p", "status": status},
    )
    said = conversations.add_message(tx, conversation_id, author="bot", text=words, run_id=run_id)
    events.append(tx, conversation_id, [NewEvent(type="message.created", data={"text": words})], run_id=run_id)
    asked_for = {
        "id": tx.ids.new("rev"),
        "run_id": run_id,
        "conversation_id": conversation_id,
        "kind": "draft",
        "queue": "q",
        "due_at": "9",
    }
    reviews.create(tx, {**asked_for, "draft": [{"text": words}], "response_schema": {}, "reasons": []})
    reviews.suggest(tx, conversation_id, run_id, [{"text": words}], None)
    brief = {"conversation_id": conversation_id, "run_id": run_id, "queue": "q", "priority": "low", "due_at": "9"}
    reviews.hand_off(tx, {**brief, "brief": {"asked": words}})
    begin = {"key": run_id, "run_id": run_id, "conversation_id": conversation_id, "action": "a"}
    receipt = {**begin, "idempotent": True, "status": "done", "result": {"word": words}, "created_at": "1"}
    tx.insert(tables.receipt.insert(), [{**receipt, "finished_at": "2"}])
    for number, result in enumerate(({"conversation_id": conversation_id}, {"message_id": said.id})):
        idempotency.remember(tx, principal="p", route=str(number), key=words + run_id, body={}, result=result)
    digests = ledger.digests(tx, conversation_id, input=asked.text, output=words)
    closed = Decision(node="deliver", kind="close", body={"digests": digests, "outcome": "answered"})
    ledger.append(tx, conversation_id, run_id, [closed])
    return run_id


def whole(connection: Connection) -> str:
    """Return all that is stored."""
    names = inspect(connection).get_table_names()
    return repr([connection.execute(text(f'select * from "{name}"')).all() for name in names])


async def findings(workspace: Workspace) -> tuple[object, ...]:
    report = await workspace.store.database.read(
        lambda connection: check_workspace(connection, workspace.id, contents=True)
    )
    return report.findings


async def test_an_erased_subject_leaves_its_decisions_and_nothing_else(
    store: Store, workspace: Workspace, privacy: Privacy, pruned: list[str]
) -> None:
    def a_life(tx: Tx) -> tuple[str, str, str]:
        first, other = begun(tx, "jo", train_eval=True), begun(tx, "kim")
        ran = a_turn(tx, first, "markjo")
        a_turn(tx, other, "markkim")
        datasets.add(
            tx, first, run_id=ran, kind="route", source="message", version="v", content={"text": "markjo"}
        )
        return first, other, ran

    first, other, ran = await workspace.write(a_life)
    await workspace.write(lambda tx: sign(tx, KEY))
    assert "markjo" in await store.database.read(whole)
    done = await privacy.erase(ADMIN, "jo", reason="jo asked")
    assert (done.conversations, done.runs, done.scrubbed, pruned) == (1, 1, True, [ran])
    left = await store.database.read(whole)
    assert "markjo" not in left
    assert "mark-jo" not in left
    assert "markkim" in left
    assert await findings(workspace) == ()
    kept = await workspace.read(lambda tx: tx.all(select(tables.decision.c.stream, tables.decision.c.kind)))
    assert {tuple(row.values()) for row in kept} == {
        (first, "close"),
        (first, "conversation.erased"),
        (other, "close"),
        ("workspace", "subject.erased"),
    }


async def test_the_same_id_in_another_workspace_is_another_subject(store: Store, privacy: Privacy) -> None:
    there = await store.in_workspace("elsewhere").write(lambda tx: begun(tx, "jo"))
    assert (await privacy.erase(ADMIN, "jo")).conversations == 0
    kept = await store.in_workspace("elsewhere").read(lambda tx: conversations.get(tx, there))
    assert kept.customer == {"id": "jo", "attributes": {"tier": "mark-jo"}}


async def test_a_conversation_without_a_customer_s_id_belongs_to_no_subject(
    workspace: Workspace, privacy: Privacy
) -> None:
    nobody = await workspace.write(lambda tx: begun(tx, None))
    assert (await privacy.erase(ADMIN, subjects.NOBODY)).conversations == 0
    assert (await workspace.read(lambda tx: conversations.get(tx, nobody))).customer == {}


async def test_what_is_at_work_holds_an_erasure_back_and_what_waits_is_ended(
    workspace: Workspace, privacy: Privacy
) -> None:
    ids = [await workspace.write(lambda tx: begun(tx, "jo")) for _ in range(2)]
    await workspace.write(lambda tx: a_turn(tx, ids[0], "one", status="waiting"))
    busy = await workspace.write(lambda tx: a_turn(tx, ids[1], "two", status="running"))
    with pytest.raises(Conflict, match=busy) as caught:
        await privacy.erase(ADMIN, "jo")
    assert caught.value.code == "subject.busy"
    assert (await workspace.read(lambda tx: conversations.get(tx, ids[0]))).customer["id"] == "jo"
    alone = Privacy(store=privacy.store, prune=privacy.prune, scrub=privacy.scrub, alone=True)
    assert (await alone.erase(ADMIN, "jo")).conversations == 2
    cancelled = await workspace.read(lambda tx: ledger.of_run(tx, busy))
    assert [(each["kind"], each["outcome"]) for each in cancelled] == [
        ("close", "answered"),
        ("cancel", "cancelled"),
    ]


async def test_more_conversations_than_a_batch_go_with_a_decision_each_time(
    workspace: Workspace, privacy: Privacy
) -> None:
    await workspace.write(lambda tx: [begun(tx, "jo") for _ in range(BATCH + 1)])
    assert (await privacy.erase(ADMIN, "jo")).conversations == BATCH + 1
    told = await workspace.read(
        lambda tx: tx.all(select(tables.decision.c.kind).where(tables.decision.c.stream == "workspace"))
    )
    assert [row["kind"] for row in told] == ["subject.erased"] * 2


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "turn", "turn", "sign", "erase", "withdraw"]), st.integers(0, 5)),
    min_size=4,
    max_size=14,
)


async def test_any_order_of_turns_and_erasures_leaves_the_ledger_whole(store: Store, privacy: Privacy) -> None:
    plans: list[list[Step]] = []

    @given(STEPS)
    @settings(max_examples=12, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    def draw(steps: list[Step]) -> None:
        plans.append(steps)

    draw()
    for number, steps in enumerate(plans):
        workspace = store.in_workspace(f"w{number}")
        admin = Principal(workspace_id=workspace.id, id="ann", role="admin")
        living: dict[str, list[str]] = {person: [] for person in PEOPLE}
        for kind, which in steps:
            await a_step(workspace, privacy, admin, living, kind, which)
        assert await findings(workspace) == ()
        for person, ids in living.items():
            digest = subjects.digest(store.sealer, workspace.id, person)
            found = await workspace.read(lambda tx, digest=digest: subjects.conversations_of(tx, digest))  # type: ignore[misc]
            assert sorted(found) == sorted(ids)


async def a_step(
    workspace: Workspace, privacy: Privacy, admin: Principal, living: dict[str, list[str]], kind: str, which: int
) -> None:
    """Do one thing of a plan, where it can be done."""
    person = PEOPLE[which % len(PEOPLE)]
    if kind == "begin":
        living[person].append(await workspace.write(lambda tx: begun(tx, person)))
    elif kind == "turn" and living[person]:
        await workspace.write(lambda tx: a_turn(tx, living[person][-1], f"mark{person}"))
    elif kind == "sign":
        await workspace.write(lambda tx: sign(tx, KEY))
    elif kind == "erase":
        assert (await privacy.erase(admin, person)).conversations == len(living[person])
        living[person] = []
    elif kind == "withdraw":
        done = await privacy.set_consent_everywhere(admin, person, {"train_eval": which > 2})
        assert done == len(living[person])


async def test_an_example_needs_consent_and_goes_with_it(workspace: Workspace, privacy: Privacy) -> None:
    jo, kim = [await workspace.write(lambda tx, who=who: begun(tx, who)) for who in ("jo", "kim")]  # type: ignore[misc]

    def kept(tx: Tx) -> datasets.DatasetItem:
        return datasets.add(tx, jo, run_id=None, kind="route", source="m", version="v", content={"text": "t"})

    with pytest.raises(Conflict) as refused:
        await workspace.write(kept)
    assert refused.value.code == "consent.missing"
    agreed = {"train_eval": True, "third_party_llm": True}
    assert (await privacy.set_consent(ADMIN, jo, agreed)).consent == agreed
    item = await workspace.write(kept)
    assert await workspace.read(lambda tx: datasets.listed(tx)) == [item]
    assert await workspace.read(lambda tx: datasets.listed(tx, kind="draft")) == []
    assert await workspace.read(lambda tx: datasets.listed(tx, kind="route", after=item.id)) == []
    await privacy.set_consent(ADMIN, kim, {"train_eval": False})
    assert await workspace.read(lambda tx: datasets.of_conversation(tx, jo)) == [item]
    await privacy.set_consent(ADMIN, jo, {"third_party_llm": False})
    assert await workspace.read(lambda tx: datasets.of_conversation(tx, jo)) == [item]
    assert await privacy.set_consent_everywhere(ADMIN, "jo", {"train_eval": False}) == 1
    assert await workspace.read(lambda tx: datasets.of_conversation(tx, jo)) == []
    with pytest.raises(NotFound):
        await workspace.write(
            lambda tx: datasets.add(tx, "con_9", run_id=None, kind="k", source="s", version="v", content={})
        )
