"""What people write is looked through before it is stored, by whatever finder there is."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from cryptography.fernet import Fernet

from graphs.effects import _masked, _texts
from graphs.writing import AT_ONCE, findings, masked_by_staff
from policies.errors import InputError
from policies.personal_data import Found
from tools.clock import CountedIds, FixedClock
from tools.storage import vault
from tools.storage.database import open_database
from tools.storage.sealing import Sealer
from tools.storage.store import Store, Workspace

pytestmark = pytest.mark.anyio


class Capitals:
    """A finder to which every word in capital letters is a name."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, text: str) -> list[Found]:
        self.asked.append(text)
        return [
            Found(kind="NAME", start=each.start(), end=each.end()) for each in re.finditer(r"\b[A-Z]{2,}\b", text)
        ]


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


async def test_each_text_is_looked_through_once_and_no_text_is_none() -> None:
    finder = Capitals()
    found = await findings(finder, "ANN", "ANN", None, "", "bob")
    assert (sorted(found), sorted(finder.asked)) == (["ANN", "bob"], ["ANN", "bob"])
    assert await findings(None, "ANN") == {}


class Failing(Capitals):
    """A finder that crashes over some texts, hangs over others, and notes how many it works on at once."""

    def __init__(self) -> None:
        super().__init__()
        self.working = self.most = 0

    async def __call__(self, text: str) -> list[Found]:
        self.working += 1
        self.most = max(self.most, self.working)
        try:
            await anyio.sleep(60 if "HANG" in text else 0)
        finally:
            self.working -= 1
        if "CRASH" in text:
            raise RuntimeError(text)
        return await super().__call__(text)


async def test_a_text_over_which_the_finder_crashes_is_left_to_patterns_and_the_others_are_not(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    texts = ("CRASH, a@b.co", "ANN, a@b.co")
    found = await findings(Failing(), *texts)
    done = await workspace.write(lambda tx: vault.all_masked(tx, "con_1", texts, found))
    assert list(done.values()) == ["CRASH, [EMAIL_1]", "[NAME_1], [EMAIL_1]"]
    assert caplog.messages == ["personal data is looked for by patterns alone: RuntimeError"]


async def test_a_finder_that_hangs_is_waited_for_only_so_long(caplog: pytest.LogCaptureFixture) -> None:
    assert list(await findings(Failing(), "ANN", "HANG", seconds=0.1)) == ["ANN"]
    assert caplog.messages == ["personal data is looked for by patterns alone: the finder took over 0.2 seconds"]


async def test_few_texts_are_looked_through_at_the_same_time() -> None:
    finder = Failing()
    assert len(await findings(finder, *(f"N{number}" for number in range(100)))) == 100
    assert finder.most == AT_ONCE


async def test_staff_may_use_the_conversation_s_placeholders_and_their_own_words_are_masked(
    workspace: Workspace,
) -> None:
    await workspace.write(lambda tx: vault.put(tx, "con_1", {"[NAME_1]": "ANN LEE"}))
    text = "Dear [NAME_1], LEE and BOB wrote to a@b.co"
    found = (await findings(Capitals(), text))[text]
    kept = await workspace.write(lambda tx: masked_by_staff(tx, "con_1", text, found))
    assert kept == "Dear [NAME_1], [NAME_2] and [NAME_3] wrote to [EMAIL_1]"


async def test_a_placeholder_that_stands_for_nothing_is_refused(workspace: Workspace) -> None:
    with pytest.raises(InputError, match=r"\[NAME_9\], which stands for nothing"):
        await workspace.write(lambda tx: masked_by_staff(tx, "con_1", "Dear [NAME_9]"))


async def test_every_text_of_an_action_s_result_is_looked_through_and_masked(workspace: Workspace) -> None:
    result = {"owner": "ANN", "seen": [("BOB", 3), None, 2.5], 7: {"BOB": Path("a/ANN")}}
    assert sorted(set(_texts(result))) == ["7", "ANN", "BOB", "a/ANN", "owner", "seen"]
    found = await findings(Capitals(), *_texts(result))
    assert await workspace.write(lambda tx: _masked(tx, "con_1", result, found)) == {
        "owner": "[NAME_1]",
        "seen": [["[NAME_2]", 3], None, 2.5],
        "7": {"[NAME_2]": "a/[NAME_1]"},
    }
