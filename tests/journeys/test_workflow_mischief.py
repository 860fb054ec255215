"""A workflow that misbehaves fails alone and once: the process goes on, and so do all other runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from graphs.assembly import Product, open_product
from graphs.fakes import route_to, scripted_team
from graphs.settings import Settings
from graphs.team import Team
from graphs.workflows.desk import Item
from graphs.workflows.views import WorkflowRunView
from tests.journeys.mischief import write_mischief
from tests.journeys.shop import NewPlace
from tests.journeys.till import PROCESSES
from tools.assistants import Assistant
from tools.encoder.ports import Encoder
from tools.knowledge.base import Knowledge

pytestmark = pytest.mark.anyio
PLACES = ("blocking", "chained", "inside", "way", "waiting", "called")


async def hire(assistant: Assistant, knowledge: Knowledge, _encoder: Encoder) -> Team:
    """Hire a team of fakes."""
    return scripted_team(assistant, knowledge, route_to("delivery"))


async def done(product: Product, how: str, calls: Path | None = None) -> WorkflowRunView:
    """Run the workflow and follow it to its end, or to its question."""
    given = {"how": how, "calls": str(calls) if calls else None}
    started = await product.service.workflows.start(product.principal, "mischief", Item(input=given))
    with anyio.fail_after(60):
        async for _ in product.service.run_events(product.principal, started.run_id):
            pass
    view = await product.service.show_run(product.principal, started.run_id)
    assert isinstance(view, WorkflowRunView)
    return view


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """Runs that are made in a process of its own, which writes how they ended."""

    settings: dict[str, Any]
    told: Path

    async def run(self) -> None:
        """Run each of them, then one that is well-behaved."""
        found = {}
        async with open_product(Settings(**self.settings), hire=hire, announce=lambda _: None) as product:
            for how in [*(f"{ends} {place}" for ends in ("exit", "interrupt") for place in PLACES), "plainly"]:
                view = await done(product, how)
                found[how] = [view.outcome, *(reason["text"].split(" at ")[0] for reason in view.reasons)]
        self.told.write_bytes(orjson.dumps(found))


def _run(elsewhere: Elsewhere) -> None:
    anyio.run(elsewhere.run)


async def test_no_step_ends_the_process(new_place: NewPlace, tmp_path: Path) -> None:
    settings = {"assistant": write_mischief(tmp_path / "shop"), **new_place()}
    elsewhere = Elsewhere(settings=settings, told=tmp_path / "told")
    process = PROCESSES.Process(target=_run, args=(elsewhere,))
    process.start()
    await anyio.to_thread.run_sync(process.join)
    code = process.exitcode
    process.close()
    assert code == 0
    steps = {place: {"way": "inside", "called": "waiting"}.get(place, place) for place in PLACES}
    assert orjson.loads(elsewhere.told.read_bytes()) == {
        **{f"exit {place}": ["failed", f"{step} failed: SystemExit"] for place, step in steps.items()},
        **{f"interrupt {place}": ["failed", f"{step} failed: KeyboardInterrupt"] for place, step in steps.items()},
        "plainly": ["done"],
    }


@pytest.fixture(name="product", scope="module")
async def product_fixture(tmp_path_factory: pytest.TempPathFactory, new_place: NewPlace) -> AsyncIterator[Product]:
    folder = write_mischief(tmp_path_factory.mktemp("mischief"))
    settings = Settings(**{"assistant": folder, **new_place()})
    async with open_product(settings, hire=hire, announce=lambda _: None) as product:
        yield product


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ("half", "ValueError", " It says: half  here"),
        ("null", "ValueError", " It says: null  here"),
        ("mute", "Mute", ""),
        ("half noted", "ValueError", " It says: bad"),
        ("null noted", "ValueError", " It says: bad"),
        ("half decided", "ValueError", " It says: bad"),
        ("named kind", "InputError", "Name what is decided, always by the same word; what is particular belongs "),
        ("long outcome", "InputError", "more than 200 characters. Say why in the reasons."),
    ],
)
async def test_what_can_not_be_kept_fails_a_run_once(
    product: Product, tmp_path: Path, how: str, kind: str, said: str
) -> None:
    view = await done(product, how, tmp_path / "calls")
    [reason] = view.reasons
    assert (view.outcome, reason["code"]) == ("failed", "workflow.failed")
    assert reason["text"].startswith(f"waiting failed: {kind} at mischief.py:")
    assert (tmp_path / "calls").read_text() == "called\n"
    events = [e async for some in product.service.run_events(product.principal, view.run_id) for e in some]
    [error] = [each.data for each in events if each.type == "error"]
    assert said in error["message"]
    decided = await product.service.explain(product.principal, view.run_id)
    assert "eve@" not in orjson.dumps(decided).decode()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("large question", "What a person is asked has 2,000,"),
        ("large plain question", "What a person is asked has 2,000,002 bytes of JSON; there may be 65,536."),
    ],
)
async def test_what_can_not_be_asked_fails_a_run_at_once(product: Product, how: str, said: str) -> None:
    view = await done(product, how)
    [reason] = view.reasons
    assert (view.outcome, reason["code"], view.review_id) == ("failed", "workflow.question", None)
    assert reason["text"].startswith(said)


async def test_a_question_is_asked_without_what_can_not_be_kept(product: Product) -> None:
    view = await done(product, "null question")
    reviews = await product.service.list_reviews(product.principal)
    [asked] = [each for each in reviews if each.id == view.review_id]
    assert asked.draft == [{"question": "Pay ?", "details": [""], "otherwise": None}]
