"""Customers of an earlier version are sealed, and admins alone export and erase, on record."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from cryptography.fernet import Fernet
from sqlalchemy import bindparam, column, insert, select, table

from graphs.explaining import details
from graphs.privacy import Privacy
from graphs.retention import seal_customers
from policies.consent import may_use
from policies.errors import InputError
from policies.personal_data import Found
from policies.types import Principal
from tools.clock import CountedIds, FixedClock
from tools.storage import conversations, subjects, tables
from tools.storage.audit import listing
from tools.storage.audit.listing import Wanted
from tools.storage.database import open_database
from tools.storage.migrations import _config
from tools.storage.sealing import Sealer
from tools.storage.sqlite import sqlite_engine
from tools.storage.store import Store

pytestmark = pytest.mark.anyio
PAGE = Path(__file__).resolve().parent.parent.parent / "design" / "privacy.md"
ADMIN = Principal(workspace_id="acme", id="ann", role="admin")
KNOWN = {"id": "jo", "attributes": {"tier": "gold"}}


@pytest.fixture(name="path")
def path_fixture(tmp_path: Path) -> Path:
    """Return a database of an earlier version, with two conversations of a customer and one of nobody."""
    path = tmp_path / "old.db"
    engine, config = sqlite_engine(path, immediate=True), _config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        for number, customer in enumerate((KNOWN, {}, KNOWN)):
            row = {"workspace_id": "acme", "id": f"old_{number}", "assistant": "a", "owner": "bot", "version": 1}
            row |= {"last_event": 0, "last_message": 0, "customer": customer, "consent": {}, "owner_since": "1"}
            row |= {"active_at": "1", "created_at": str(number)}
            typed = {name: tables.conversation.c[name].type for name in ("customer", "consent")}
            values = {name: bindparam(None, it, type_=typed.get(name)) for name, it in row.items()}
            connection.execute(insert(table("conversation", *map(column, row))).values(values))
    engine.dispose()
    return path


@pytest.fixture(name="store")
async def store_fixture(path: Path) -> AsyncIterator[Store]:
    async with open_database(path) as database:
        yield Store(
            database=database,
            clock=FixedClock(),
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=lambda _: None,
        )


@pytest.fixture(name="privacy")
def privacy_fixture(store: Store) -> Privacy:
    async def prune(_run_id: str) -> None:
        return

    async def scrub() -> bool:
        return True

    return Privacy(store=store, prune=prune, scrub=scrub)


async def stored(store: Store) -> list[tuple[Any, Any]]:
    c = tables.conversation.c
    rows = select(c.customer, c.subject).order_by(c.id)
    return await store.database.read(lambda connection: [(row[0], row[1]) for row in connection.execute(rows)])


async def test_customers_of_an_earlier_version_are_readable_and_are_sealed_once(store: Store) -> None:
    workspace = store.in_workspace("acme")
    assert await stored(store) == [(KNOWN, None), ({}, None), (KNOWN, None)]
    assert (await workspace.read(lambda tx: conversations.get(tx, "old_0"))).customer == KNOWN
    assert await seal_customers(store) == 3
    assert await seal_customers(store) == 0
    first, nobody, second = await stored(store)
    digest = subjects.digest(store.sealer, "acme", "jo")
    assert nobody == ({}, subjects.NOBODY)
    assert (first[1], second[1]) == (digest, digest)
    assert "gold" not in first[0]
    assert (await workspace.read(lambda tx: conversations.get(tx, "old_0"))).customer == KNOWN
    assert await workspace.read(lambda tx: subjects.conversations_of(tx, digest)) == ["old_0", "old_2"]


async def test_customers_of_an_earlier_version_are_found_before_house_is_kept(privacy: Privacy) -> None:
    assert len((await privacy.export(ADMIN, "jo"))["conversations"]) == 2
    assert (await privacy.erase(ADMIN, "jo")).conversations == 2
    assert (await privacy.export(ADMIN, "jo"))["conversations"] == []


async def test_a_new_conversation_keeps_its_customer_sealed(store: Store) -> None:
    made = await store.in_workspace("acme").write(
        lambda tx: conversations.create(tx, assistant="a", customer=KNOWN)
    )
    assert made.customer == KNOWN
    [kept] = [customer for customer, subject in await stored(store) if subject is not None]
    assert isinstance(kept, str)
    assert "gold" not in kept


async def test_exports_and_erasures_are_told_in_plain_words(privacy: Privacy, store: Store) -> None:
    await privacy.set_consent(ADMIN, "old_0", {"train_eval": True})
    await privacy.export(ADMIN, "jo")
    await privacy.erase(ADMIN, "jo", reason="A letter from jo.")
    workspace = store.in_workspace("acme")
    told = [
        await workspace.read(lambda tx, stream=stream: listing.listed(tx, Wanted(stream=stream), most=9))  # type: ignore[misc]
        for stream in ("old_0", "workspace")
    ]
    says = [each.says.partition(" (admin")[0] for stream in told for each in details(stream)]
    assert says == [
        "The customer's consent was given: third_party_llm no, train_eval yes.",
        "The conversation was erased; its decisions stay.",
        "The data of a subject was exported: 2 conversations.",
        "The data of a subject was erased: 2 conversations. Why: A letter from the subject. [privacy.request]",
    ]


async def told_reasons(store: Store) -> list[str]:
    """Return why subjects were erased, as the ledger keeps it."""
    wanted = Wanted(stream="workspace", kind="subject.erased")
    found = await store.in_workspace("acme").read(lambda tx: listing.listed(tx, wanted, most=9))
    return [reason["text"] for each in found for reason in each["reasons"]]


async def capitals(text: str) -> list[Found]:
    """Find a name in every word in capital letters."""
    return [Found(kind="NAME", start=each.start(), end=each.end()) for each in re.finditer(r"\b[A-Z]{2,}\b", text)]


async def test_a_reason_names_neither_the_subject_nor_anybody_else(privacy: Privacy, store: Store) -> None:
    reason = "JO's mother LOPEZ (lo@b.co) joined jo and jo_2: banjo."
    await replace(privacy, finder=capitals).erase(ADMIN, "jo", reason=reason)
    assert await told_reasons(store) == [
        "the subject's mother [NAME_1] ([EMAIL_1]) joined the subject and jo_2: banjo."
    ]


async def test_an_erasure_makes_the_process_forget_recent_texts_and_an_export_does_not(privacy: Privacy) -> None:
    forgotten: list[str] = []
    forgetting = replace(privacy, forget=lambda: forgotten.append("all"))
    await forgetting.export(ADMIN, "jo")
    assert forgotten == []
    await forgetting.erase(ADMIN, "jo")
    assert forgotten == ["all"]


@pytest.mark.parametrize("role", ["customer", "staff", "service"])
async def test_only_an_admin_may_export_or_erase(privacy: Privacy, role: Any) -> None:
    principal = Principal(workspace_id="acme", id="jo", role=role)
    for asked in (privacy.export, privacy.erase):
        with pytest.raises(InputError) as refused:
            await asked(principal, "jo")
        assert refused.value.code == "forbidden"


@pytest.mark.parametrize(
    ("consent", "private", "may"),
    [
        ({}, False, False),
        ({"third_party_llm": False}, False, False),
        ({"third_party_llm": "yes"}, False, False),
        ({"third_party_llm": True}, False, True),
        ({}, True, True),
        ({"third_party_llm": False}, True, True),
    ],
)
def test_a_model_of_others_needs_consent_and_a_private_one_does_not(
    consent: dict[str, object], private: bool, may: bool
) -> None:
    assert may_use(consent, private) is may


async def test_the_page_names_what_an_export_holds(privacy: Privacy) -> None:
    [told, _] = (await privacy.export(ADMIN, "jo"))["conversations"]
    table = PAGE.read_text().partition("<!-- export:")[2].partition("<!-- end of export -->")[0]
    named = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(named) == sorted(told)
