"""The vault keeps one placeholder for one value, and for one person however the name is written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from policies.personal_data import Found
from tools.clock import CountedIds, FixedClock
from tools.storage import vault
from tools.storage.database import open_database
from tools.storage.sealing import Sealer
from tools.storage.store import Store, Workspace

pytestmark = pytest.mark.anyio


@pytest.fixture
async def workspace(tmp_path: Path) -> AsyncIterator[Workspace]:
    async with open_database(tmp_path / "vault.db") as database:
        store = Store(
            database=database,
            clock=FixedClock(),
            ids=CountedIds(),
            sealer=Sealer(Fernet.generate_key()),
            publish=lambda _: None,
        )
        yield store.in_workspace("acme")


async def said(workspace: Workspace, text: str, *names: str, conversation: str = "con_1") -> str:
    """Mask what was said, with names that a finder found."""
    found = [Found(kind="NAME", start=text.index(name), end=text.index(name) + len(name)) for name in names]
    return await workspace.write(lambda tx: vault.masked(tx, conversation, text, found))


async def test_a_person_keeps_one_placeholder_from_message_to_message(workspace: Workspace) -> None:
    texts = [
        await said(workspace, "I am Maria Lopez, a@b.co", "Maria Lopez"),
        await said(workspace, "Maria here. Is Pedro in?", "Maria", "Pedro"),
        await said(workspace, "LOPEZ again, still a@b.co, not c@d.co", "LOPEZ"),
    ]
    assert texts == [
        "I am [NAME_1], [EMAIL_1]",
        "[NAME_1] here. Is [NAME_2] in?",
        "[NAME_1] again, still [EMAIL_1], not [EMAIL_2]",
    ]
    assert await workspace.read(lambda tx: vault.values(tx, "con_1")) == {
        "[EMAIL_1]": "a@b.co",
        "[EMAIL_2]": "c@d.co",
        "[NAME_1]": "Maria Lopez",
        "[NAME_2]": "Pedro",
    }


async def test_another_conversation_knows_nobody_of_this_one(workspace: Workspace) -> None:
    await said(workspace, "Maria Lopez", "Maria Lopez")
    assert await said(workspace, "Maria", "Maria", conversation="con_2") == "[NAME_1]"
    assert await workspace.read(lambda tx: vault.values(tx, "con_2")) == {"[NAME_1]": "Maria"}


async def test_placeholders_to_keep_stay_beside_new_values(workspace: Workspace) -> None:
    await said(workspace, "Maria Lopez", "Maria Lopez")
    text = "Dear [NAME_1], write to a@b.co or [EMAIL_4]"
    kept = await workspace.write(lambda tx: vault.masked(tx, "con_1", text, keep={"[NAME_1]"}))
    assert kept == "Dear [NAME_1], write to [EMAIL_1] or (EMAIL_4)"
