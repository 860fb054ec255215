"""A process dies in the middle of workflows, and the next one does the rest: what was done is not done again."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import delete, select, text, update

from graphs.assembly import Product, open_product
from graphs.fakes import route_to, scripted_team
from graphs.retention import erase_old_conversations
from graphs.settings import Settings
from graphs.team import Team
from graphs.work import segment_job
from graphs.workflows.desk import Item
from graphs.workflows.views import BatchView, WorkflowRunView
from policies.sections import Retention
from tests.journeys.flows import ERRANDS, write_errands
from tests.journeys.shop import NewPlace
from tests.journeys.till import PROCESSES
from tools.assistants import Assistant
from tools.encoder.ports import Encoder
from tools.knowledge.base import Knowledge
from tools.storage import tables
from tools.storage.runs import Pending
from tools.storage.store import Tx

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, kw_only=True)
class Office:
    """Where errands are run, in this process or in one that dies."""

    folder: Path
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def calls(self) -> Path:
        """The file that the first step of each run writes a line to, the outside world."""
        return Path(self.settings["data"]) / "calls"

    @property
    def batch(self) -> Path:
        """The file that names the batch."""
        return Path(self.settings["data"]) / "batch"

    def open(self, **how: Any) -> AbstractAsyncContextManager[Product]:
        """Open it in this process."""

        async def hire(assistant: Assistant, knowledge: Knowledge, _encoder: Encoder) -> Team:
            return scripted_team(assistant, knowledge, route_to("delivery"))

        settings = Settings(**{"assistant": self.folder, "lease_seconds": 2.0, **self.settings})
        return open_product(settings, hire=hire, announce=lambda _: None, **how)

    def items(self, hows: Sequence[str]) -> list[Item]:
        """Return errands, one for each way."""
        return [
            Item(input={"name": f"box {number}", "how": how, "calls": str(self.calls)})
            for number, how in enumerate(hows)
        ]

    async def run(self, hows: Sequence[str]) -> None:
        """Begin a batch and follow it, as far as it gets."""
        async with self.open() as product:
            workflows, me = product.service.workflows, product.principal
            batch = await workflows.start_batch(me, "errand", self.items(hows))
            self.batch.write_text(batch.batch_id)
            await rested(product, batch.batch_id)

    async def run_and_die(self, hows: Sequence[str]) -> int | None:
        """Begin a batch in a process of its own that dies in the middle; returns how it ended."""
        await anyio.Path(f"{self.calls}.dies").touch()
        process = PROCESSES.Process(target=_run, args=(self, hows))
        process.start()
        await anyio.to_thread.run_sync(process.join)
        code = process.exitcode
        process.close()
        return code


def _run(office: Office, hows: Sequence[str]) -> None:
    anyio.run(office.run, hows)


async def rested(product: Product, batch_id: str) -> BatchView:
    """Wait until nothing of a batch goes on without a person."""
    with anyio.fail_after(60):
        async for _ in product.service.workflows.follow_batch(product.principal, batch_id):
            pass
    return await product.service.workflows.batch(product.principal, batch_id)


@pytest.fixture(name="office")
def office_fixture(new_place: NewPlace, tmp_path: Path) -> Office:
    return Office(folder=write_errands(tmp_path / "errands"), settings=new_place())


async def test_a_run_goes_on_where_its_process_died(office: Office) -> None:
    assert await office.run_and_die(["die"]) == -signal.SIGKILL
    assert office.calls.read_text().split("\n") == ["box 0", ""]
    async with office.open() as product:
        batch = await rested(product, office.batch.read_text())
        run_id = batch.items[0].run_id
        events = [event async for some in product.service.run_events(product.principal, run_id) for event in some]
        report = await product.service.audit.verify(product.principal, run_id)
    assert (batch.progress["done"], batch.items[0].output) == (
        1,
        {"text": "box 0 is there", "key": f"{run_id}:act:parcel"},
    )
    assert office.calls.read_text().split("\n") == ["box 0", ""]
    told = [(event.type, event.data.get("name")) for event in events]
    assert told[-4:] == [
        ("retry", None),
        ("step.started", "carry"),
        ("step.finished", "carry"),
        ("run.finished", None),
    ]
    assert [event.run_seq for event in events] == list(range(1, len(events) + 1))
    assert report.clean


async def test_a_batch_is_finished_by_the_next_process(office: Office) -> None:
    hows = [*["plainly"] * 12, "die", *["plainly"] * 12, "ask"]
    assert await office.run_and_die(hows) == -signal.SIGKILL
    async with office.open() as product:
        batch = await rested(product, office.batch.read_text())
    assert (batch.progress["total"], batch.progress["done"], batch.progress["waiting"]) == (26, 25, 1)
    assert [each.position for each in batch.items] == list(range(26))
    texts = [each.output["text"] for each in batch.items[:25] if each.output]
    assert texts == [f"box {number} is there" for number in range(25)]


async def test_an_answer_reaches_a_process_that_was_not_there_when_it_was_asked(office: Office) -> None:
    async with office.open() as product:
        workflows, me = product.service.workflows, product.principal
        started = await workflows.start(me, "errand", office.items(["ask"])[0])
        async for _ in product.service.run_events(me, started.run_id):
            pass
        [review] = await product.service.list_reviews(me)
    async with office.open() as product:
        await product.service.decide(product.principal, review.id, {"decision": "approve", "note": "yes"})
        async for _ in product.service.run_events(product.principal, started.run_id):
            pass
        view = await product.service.show_run(product.principal, started.run_id)
    assert view.outcome == "done"
    assert office.calls.read_text().split("\n") == ["box 0", ""]


async def test_a_run_whose_job_was_lost_is_taken_up_again(office: Office) -> None:
    async with office.open(works=False) as product:
        started = await product.service.workflows.start(product.principal, "errand", office.items(["plainly"])[0])
        jobs = "job" if product.settings.database_url is None else "procrastinate_jobs"
        await product.service.store.database.write(
            lambda connection: connection.execute(text(f"delete from {jobs}"))
        )
    async with office.open() as product:
        with anyio.fail_after(60):
            async for _ in product.service.run_events(product.principal, started.run_id):
                pass
        assert (await product.service.show_run(product.principal, started.run_id)).outcome == "done"


async def test_workers_do_what_servers_accept(new_postgres: Callable[[], str], tmp_path: Path) -> None:
    folder = write_errands(tmp_path / "errands")
    shared = {"database_url": new_postgres(), "vault_key": Fernet.generate_key().decode()}
    door = Office(folder=folder, settings={**shared, "data": tmp_path / "door"})
    hand = Office(folder=folder, settings={**shared, "data": tmp_path / "hand"})
    async with door.open(works=False) as product, hand.open(queues=["workflows"]):
        workflows, me = product.service.workflows, product.principal
        batch = await workflows.start_batch(me, "errand", hand.items(["plainly", "ask", "raise"]))
        progress = (await rested(product, batch.batch_id)).progress
        running = (await workflows.start(me, "errand", Item(input={"name": "tea", "how": "hang"}))).run_id
        with anyio.fail_after(60):
            async for some in product.service.run_events(me, running):
                if any(event.type == "step.started" and event.data["name"] == "carry" for event in some):
                    break
        await product.service.cancel(me, running)
        assert (await product.service.run(me, running)).outcome == "cancelled"
    assert (progress["done"], progress["waiting"], progress["failed"]) == (1, 1, 1)


async def test_what_policy_keeps_no_longer_is_erased(office: Office) -> None:
    async with office.open() as product:
        me, store = product.principal, product.service.store
        workspace = store.in_workspace(me.workspace_id)
        items = [*office.items(["plainly"]), *office.items(["ask"])]
        runs = [(await product.service.workflows.start(me, "errand", each)).run_id for each in items]
        for run_id in runs:
            async for _ in product.service.run_events(me, run_id):
                pass
        past = {"created_at": "2001"}
        await workspace.write(lambda tx: tx.change(update(tables.workflow_run).values(**past)))
        await workspace.write(lambda tx: tx.change(update(tables.run).values(**past, finished_at="2001")))
        kept = product.assistant.policy.model_copy(update={"retention": Retention(conversations_days=30)})
        assert await erase_old_conversations(store, replace(product.assistant, policy=kept)) == 1
        left = await workspace.read(lambda tx: [row["run_id"] for row in tx.all(select(tables.workflow_run))])
        report = await product.service.audit.verify(me, runs[0])
    assert left == [runs[1]]
    assert (report.clean, report.erased > 0) == (True, True)


async def waiting(office: Office) -> tuple[str, str]:
    """Begin a run that asks; returns its id and the review's."""
    async with office.open() as product:
        started = await product.service.workflows.start(product.principal, "errand", office.items(["ask"])[0])
        async for _ in product.service.run_events(product.principal, started.run_id):
            pass
        [review] = await product.service.list_reviews(product.principal)
    return started.run_id, review.id


async def answered(product: Product, run_id: str, review_id: str) -> WorkflowRunView:
    """Answer a review and return the run at its end."""
    await product.service.decide(product.principal, review_id, {"decision": "approve"})
    with anyio.fail_after(60):
        async for _ in product.service.run_events(product.principal, run_id):
            pass
    view = await product.service.show_run(product.principal, run_id)
    assert isinstance(view, WorkflowRunView)
    return view


async def test_a_run_that_waits_goes_on_with_the_file_as_it_is_then(office: Office) -> None:
    run_id, review_id = await waiting(office)
    (office.folder / "errands.py").write_text(ERRANDS.replace('f"{answer[', 'f"Since then {answer['))
    async with office.open() as product:
        view = await answered(product, run_id, review_id)
        told = await product.service.audit.explanation(product.principal, run_id)
    assert (view.output or {})["text"] == "Since then approve: "
    assert view.assistant_version != product.assistant.version
    assert told.story[-1] == "The assistant's files changed while it ran; it ended on the later version."


async def test_a_run_whose_workflow_is_gone_fails_with_that_reason(office: Office) -> None:
    run_id, review_id = await waiting(office)
    file = office.folder / "assistant.yaml"
    file.write_text(
        file.read_text().replace("  errand:\n", "  other-errand:\n").replace("errands.py\n", "errands.py:errand\n")
    )
    async with office.open() as product:
        view = await answered(product, run_id, review_id)
    assert (view.outcome, [each["code"] for each in view.reasons]) == ("failed", ["workflow.unknown"])


async def test_a_run_that_was_cut_off_too_often_is_given_up(office: Office) -> None:
    async with office.open(works=False) as product:
        me, store = product.principal, product.service.store
        run_id = (await product.service.workflows.start(me, "errand", office.items(["plainly"])[0])).run_id
        often = update(tables.run).where(tables.run.c.id == run_id).values(attempts=99)
        await store.in_workspace(me.workspace_id).write(lambda tx: tx.change(often))
    async with office.open() as product:
        with anyio.fail_after(60):
            async for _ in product.service.run_events(me, run_id):
                pass
        view = await product.service.show_run(me, run_id)
    assert isinstance(view, WorkflowRunView)
    assert (view.outcome, [each["code"] for each in view.reasons]) == ("failed", ["workflow.attempts"])


async def test_a_question_that_was_not_put_before_its_process_died_is_put_by_the_next(office: Office) -> None:
    run_id, _ = await waiting(office)
    async with office.open(works=False) as product:
        me, jobs = product.principal, product.service.jobs

        def before_the_question(tx: Tx) -> None:
            tx.change(delete(tables.review).where(tables.review.c.run_id == run_id))
            row = update(tables.run).where(tables.run.c.id == run_id)
            tx.change(row.values(status="running", resume=None, attempts=1))
            jobs.enqueue(tx, segment_job(Pending(me.workspace_id, run_id, run_id)))

        await product.service.store.in_workspace(me.workspace_id).write(before_the_question)
    async with office.open() as product:
        with anyio.fail_after(60):
            # The run paused before, so its events end at once.
            await product.service.jobs.settled()
        [review] = await product.service.list_reviews(me)
        view = await answered(product, run_id, review.id)
    assert (view.output or {})["text"] == "approve: "
    assert office.calls.read_text().split("\n") == ["box 0", ""]
