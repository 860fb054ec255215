"""An effect, and a process killed before, during and after it: nothing is done twice, nothing is said twice."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from graphs.assembly import Product
from policies.types import JSON
from tests.journeys.till import ANSWER, Till, write_folder
from tools.storage import receipts
from tools.storage.conversations import Message
from tools.storage.receipts import Receipt
from tools.storage.runs import Run

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Ending:
    """What is left when the shop was opened again and the run has ended."""

    calls: int
    receipt: str
    outcome: str
    said: tuple[tuple[str, str], ...]
    """State and text of the bot's messages."""
    decided: str
    """The steps whose decisions are in the ledger, in order."""
    intent: str | None = "delivery"


WHOLE = "route retrieve act draft check deliver"
ANSWERED = (("complete", " ".join(ANSWER)),)
HANDED_OVER = (("complete", "A colleague will answer you here."),)
AGAIN = (("retried", ANSWER[0]), *ANSWERED)

# Where the process dies: before the receipt, before the call has done anything, after it has, after it returned
# and before the receipt says so, after that, after a sentence was shown, and after the answer was delivered.
ONCE = {
    "searched": Ending(1, "done", "answered", ANSWERED, WHOLE),
    "begun": Ending(0, "unknown", "handed_over", HANDED_OVER, "route retrieve act escalate"),
    "called": Ending(1, "unknown", "handed_over", HANDED_OVER, "route retrieve act escalate"),
    "unsettled": Ending(1, "unknown", "handed_over", HANDED_OVER, "route retrieve act escalate"),
    "settled": Ending(1, "done", "answered", ANSWERED, WHOLE),
    "shown": Ending(1, "done", "answered", AGAIN, WHOLE),
    "delivered": Ending(1, "done", "answered", ANSWERED, WHOLE),
}
SAME_KEY = {
    "begun": Ending(1, "done", "answered", ANSWERED, WHOLE),
    "called": Ending(2, "done", "answered", ANSWERED, WHOLE),
    "unsettled": Ending(2, "done", "answered", ANSWERED, WHOLE),
    "settled": Ending(1, "done", "answered", ANSWERED, WHOLE),
}


def kinds(places: Iterable[str]) -> list[tuple[str, str]]:
    """Return each place with its kind of database.

    A worker on PostgreSQL is taken for dead after its lease, of a second at least: there, the hardest place alone.
    """
    return [*(("sqlite", place) for place in places), ("postgres", "called")]


@pytest.fixture(scope="module", name="folder")
def folder_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("till"))


@pytest.fixture(name="new_till")
def new_till_fixture(folder: Path, new_place: Callable[[], dict[str, Any]]) -> Callable[..., Till]:
    """Return a function that makes a till, over each kind of database."""

    def made(*, idempotent: bool = False) -> Till:
        where = {**new_place(), "lease_seconds": 1}
        return Till(folder=folder, data=where["data"], idempotent=idempotent, settings=where)

    return made


@dataclass(frozen=True)
class Left:
    """What the rows hold of a run that has ended."""

    run: Run
    receipts: list[Receipt]
    messages: list[Message]
    handoffs: list[JSON]
    decisions: list[JSON]


async def ended(product: Product, run_id: str) -> Left:
    """Wait for a run's end."""
    service, me = product.service, product.principal
    with anyio.fail_after(10):
        async for _ in service.run_events(me, run_id):
            pass
    run = await service.run(me, run_id)
    workspace = service.store.in_workspace(me.workspace_id)
    held = await workspace.read(lambda tx: receipts.of_run(tx, run_id))
    view = await service.get_conversation(me, run.conversation_id)
    messages = [each for each in view.messages if each.author == "bot"]
    return Left(run, held, messages, view.handoffs, await service.explain(me, run_id))


async def ending(till: Till) -> Ending:
    """Open the shop again and return what is left once the run has ended."""
    async with till.open() as product:
        left = await ended(product, till.asked.read_text())
    keys, [receipt] = till.action.keys, left.receipts
    assert set(keys) <= {receipt.key}
    return Ending(
        calls=len(keys),
        receipt=receipt.status,
        outcome=left.run.outcome or "",
        said=tuple((each.state, each.text) for each in left.messages),
        decided=" ".join(each["node"] for each in left.decisions),
        intent=left.run.intent,
    )


@pytest.mark.parametrize(("new_place", "place"), kinds(ONCE), indirect=["new_place"])
async def test_what_may_not_be_done_twice_is_not(new_till: Callable[..., Till], place: str) -> None:
    till = new_till()
    assert await till.ask_and_die(place) == -signal.SIGKILL
    assert await ending(till) == ONCE[place]


@pytest.mark.parametrize(("new_place", "place"), kinds(SAME_KEY), indirect=["new_place"])
async def test_what_may_be_done_again_is_done_with_the_same_key(new_till: Callable[..., Till], place: str) -> None:
    till = new_till(idempotent=True)
    assert await till.ask_and_die(place) == -signal.SIGKILL
    assert await ending(till) == SAME_KEY[place]


async def test_a_person_is_told_what_to_check(folder: Path, tmp_path: Path) -> None:
    till = Till(folder=folder, data=tmp_path)
    await till.ask_and_die("called")
    run_id = till.asked.read_text()
    async with till.open() as product:
        left = await ended(product, run_id)
    brief, [receipt] = left.handoffs[0]["brief"], left.receipts
    assert brief["why"] == [
        {
            "code": "act.unknown",
            "text": f"The outcome of 'send_money' is unknown: it was begun at {receipt.created_at} and nothing "
            f"came back. Look in the system it acts on for the key {receipt.key} before anybody does it again.",
            "rule_id": None,
        }
    ]
    assert brief["next_step"] == (
        "Find out first whether what was begun has been done; nothing will try it again. Then answer."
    )
