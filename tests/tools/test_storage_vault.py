"""The vault keeps one placeholder for one value, and looks up all values of a text at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, event

from policies.personal_data import Found
from tools.clock import CountedIds, FixedClock
from tools.storage import vault
from tools.storage.database import open_database
from tools.storage.sealing import Sealer
from tools.storage.store import Store, Workspace

pytestmark = pytest.mark.anyio


@pytest.fixture
def counted() -> Iterator[list[str]]:
    """Collect what is done with the vault's table, in order."""
    done: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if "vault" in statement:
            done.append(statement.split()[0].lower())

    event.listen(Engine, "before_cursor_execute", note)
    yield done
    event.remove(Engine, "before_cursor_execute", note)


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


async def test_a_name_keeps_its_placeholder_from_message_to_message_and_a_part_is_another(
    workspace: Workspace,
) -> None:
    texts = [
        await said(workspace, "I am Maria Lopez, a@b.co", "Maria Lopez"),
        await said(workspace, "Maria here. Is Pedro in?", "Maria", "Pedro"),
        await said(workspace, "MARIA LOPEZ again, still a@b.co, not c@d.co", "MARIA LOPEZ"),
    ]
    assert texts == [
        "I am [NAME_1], [EMAIL_1]",
        "[NAME_2] here. Is [NAME_3] in?",
        "[NAME_1] again, still [EMAIL_1], not [EMAIL_2]",
    ]
    assert await workspace.read(lambda tx: vault.values(tx, "con_1")) == {
        "[EMAIL_1]": "a@b.co",
        "[EMAIL_2]": "c@d.co",
        "[NAME_1]": "Maria Lopez",
        "[NAME_2]": "Maria",
        "[NAME_3]": "Pedro",
    }


async def test_numbers_go_on_after_the_highest_not_after_the_last_in_the_alphabet(workspace: Workspace) -> None:
    many = " ".join(f"m{number}@b.co" for number in range(1, 12))
    assert (await said(workspace, many)).endswith("[EMAIL_10] [EMAIL_11]")
    assert await said(workspace, "m3@b.co new@b.co") == "[EMAIL_3] [EMAIL_12]"


async def test_several_texts_are_masked_at_the_cost_of_one_and_nothing_is_opened(
    workspace: Workspace, counted: list[str]
) -> None:
    await said(workspace, "Maria Lopez, a@b.co", "Maria Lopez")
    texts = [f"{number}: a@b.co and n{number}@b.co" for number in range(50)]
    counted.clear()
    done = await workspace.write(lambda tx: vault.all_masked(tx, "con_1", [*texts, *texts, "none"], {}))
    assert [done[text] for text in texts] == [
        f"{number}: [EMAIL_1] and [EMAIL_{number + 2}]" for number in range(50)
    ]
    assert (len(done), done["none"]) == (51, "none")
    assert counted == ["select", "insert"]


async def test_another_conversation_knows_nobody_of_this_one(workspace: Workspace) -> None:
    await said(workspace, "Maria Lopez", "Maria Lopez")
    assert await said(workspace, "Maria", "Maria", conversation="con_2") == "[NAME_1]"
    assert await workspace.read(lambda tx: vault.values(tx, "con_2")) == {"[NAME_1]": "Maria"}


async def test_placeholders_to_keep_stay_beside_new_values(workspace: Workspace) -> None:
    await said(workspace, "Maria Lopez", "Maria Lopez")
    text = "Dear [NAME_1], write to a@b.co or [EMAIL_4]"
    kept = await workspace.write(lambda tx: vault.masked(tx, "con_1", text, keep={"[NAME_1]"}))
    assert kept == "Dear [NAME_1], write to [EMAIL_1] or (EMAIL_4)"
