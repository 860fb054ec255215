"""Spending is counted once, set aside in one step with reading what is spent, and kept apart by workspace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from cryptography.fernet import Fernet

from policies.budgets import Spent, spent_outcome
from policies.sections import Budget
from tools.clock import CountedIds, FixedClock, TimeOrderedIds
from tools.models.costs import Accounts, By, Costs, Unsettled, Wanted
from tools.models.ports import Account, Usage
from tools.models.spending import InMemorySpending
from tools.storage import conversations, erasure
from tools.storage.database import Database, open_database
from tools.storage.sealing import Sealer
from tools.storage.spending import StoredSpending
from tools.storage.store import Store, stamp

pytestmark = pytest.mark.anyio

ACCOUNT = Account(workspace_id="acme", conversation_id="con_1", run_id="run_1", intent="returns")
ESTIMATE = Usage(input_tokens=60, output_tokens=40, money=1.0)
USED = Usage(input_tokens=20, output_tokens=10, money=0.25)
AS_USED = Costs(calls=1, input_tokens=20, output_tokens=10, money=0.25)
KINDS: tuple[By, ...] = ("day", "intent", "conversation", "run")


def a_store(database: Database, clock: FixedClock) -> Store:
    sealer = Sealer(Fernet.generate_key())
    return Store(database=database, clock=clock, ids=TimeOrderedIds(), sealer=sealer, publish=lambda _: None)


@pytest.fixture(name="clock")
def clock_fixture() -> FixedClock:
    return FixedClock()


@pytest.fixture(name="spending", params=["memory", "sqlite", "postgres"])
async def spending_fixture(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock
) -> AsyncIterator[Accounts]:
    """Return an empty spending of each kind."""
    if request.param == "memory":
        yield InMemorySpending(clock, CountedIds())
        return
    where = tmp_path / "s.db" if request.param == "sqlite" else request.getfixturevalue("new_postgres")()
    async with open_database(where) as database:
        yield StoredSpending(a_store(database, clock))


async def sums(spending: Accounts, by: By, workspace_id: str = "acme", **wanted: object) -> list[Costs]:
    return await spending.costs(workspace_id, Wanted(by=by, **wanted))  # type: ignore[arg-type]


async def spend(spending: Accounts, account: Account, used: Usage = USED, calls: int = 1) -> None:
    await spending.settle(await spending.hold(account, used), used, calls=calls)


async def test_what_is_set_aside_is_seen_by_the_next_and_replaced_by_what_was_used(spending: Accounts) -> None:
    first = await spending.hold(ACCOUNT, ESTIMATE)
    second = await spending.hold(ACCOUNT, ESTIMATE)
    assert first.before == dict.fromkeys(("run", "conversation", "day"), Spent())
    assert second.before == dict.fromkeys(("run", "conversation", "day"), Spent(money=1.0, tokens=100))
    await spending.settle(first, USED, calls=1)
    await spending.settle(second, Usage())
    assert set((await spending.spent(ACCOUNT)).values()) == {Spent(money=0.25, tokens=30)}
    names = ("2026-01-05", "returns", "con_1", "run_1")
    assert [await sums(spending, by) for by in KINDS] == [[replace(AS_USED, name=name)] for name in names]


async def test_a_second_settlement_changes_nothing(spending: Accounts) -> None:
    hold = await spending.hold(ACCOUNT, ESTIMATE)
    await spending.settle(hold, USED, calls=1)
    await spending.settle(hold, Usage(input_tokens=900, money=9.0), calls=3)
    assert await sums(spending, "run") == [replace(AS_USED, name="run_1")]


async def test_fifty_at_once_do_not_spend_more_than_there_is(spending: Accounts) -> None:
    budget = Budget(money=10.0, at_100="local")
    allowed: list[float] = []

    async def call(number: int) -> None:
        account = replace(ACCOUNT, conversation_id=f"con_{number % 5}", run_id=f"run_{number}")
        hold = await spending.hold(account, ESTIMATE)
        before = hold.before["day"].money
        if spent_outcome(budget, hold.before["day"]).action == "local":
            await spending.settle(hold, Usage())
        else:
            allowed.append(before)
            await spending.settle(hold, ESTIMATE, calls=1)

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(call, number)
    assert sorted(allowed) == [float(each) for each in range(10)]
    whole = Costs(name="2026-01-05", calls=10, input_tokens=600, output_tokens=400, money=10.0)
    assert await sums(spending, "day") == [whole]


async def test_scopes_of_a_budget_are_told_apart(spending: Accounts) -> None:
    await spend(spending, ACCOUNT)
    await spend(spending, replace(ACCOUNT, run_id="run_2"))
    await spend(spending, replace(ACCOUNT, conversation_id="con_2", run_id="run_3"))
    assert await spending.spent(ACCOUNT) == {
        "run": Spent(money=0.25, tokens=30),
        "conversation": Spent(money=0.5, tokens=60),
        "day": Spent(money=0.75, tokens=90),
    }


async def test_a_call_belongs_to_the_day_on_which_it_began(spending: Accounts, clock: FixedClock) -> None:
    hold = await spending.hold(ACCOUNT, ESTIMATE)
    clock.advance(timedelta(hours=13))
    await spending.settle(hold, USED, calls=1)
    assert (await spending.spent(ACCOUNT))["day"] == Spent()
    assert (await spending.spent(ACCOUNT))["conversation"] == Spent(money=0.25, tokens=30)
    await spend(spending, ACCOUNT)
    days = [replace(AS_USED, name=day) for day in ("2026-01-06", "2026-01-05")]
    assert await sums(spending, "day") == days
    assert await sums(spending, "day", last=date(2026, 1, 5)) == days[1:]
    assert await sums(spending, "run", first=date(2026, 1, 6)) == [replace(AS_USED, name="run_1")]
    both = replace(AS_USED + AS_USED, name="returns")
    assert await sums(spending, "intent") == [both]


async def test_workspaces_pay_for_themselves(spending: Accounts) -> None:
    await spend(spending, ACCOUNT)
    other = replace(ACCOUNT, workspace_id="other")
    assert set((await spending.spent(other)).values()) == {Spent()}
    assert await sums(spending, "day", "other") == []


async def test_an_intent_may_be_unknown_and_a_run_without_conversation(spending: Accounts) -> None:
    lone = Account(workspace_id="acme", conversation_id="", run_id="run_9")
    await spend(spending, lone)
    await spend(spending, replace(lone, run_id="run_8"))
    assert (await spending.spent(lone))["conversation"] == Spent()
    assert (await spending.spent(lone))["run"] == Spent(money=0.25, tokens=30)
    assert await sums(spending, "intent") == [AS_USED + AS_USED]
    assert await sums(spending, "conversation") == []


async def test_what_was_saved_is_counted_apart(spending: Accounts) -> None:
    await spending.save(ACCOUNT, USED)
    await spending.save(ACCOUNT, USED)
    saved = Costs(name="con_1", saved_calls=2, saved_tokens=60, saved_money=0.5)
    assert await sums(spending, "conversation") == [saved]
    assert set((await spending.spent(ACCOUNT)).values()) == {Spent()}


async def test_calls_without_a_price_are_counted(spending: Accounts) -> None:
    await spend(spending, ACCOUNT, Usage(input_tokens=5, priced=False), calls=2)
    assert await sums(spending, "run") == [Costs(name="run_1", calls=2, unpriced_calls=2, input_tokens=5)]


async def test_small_amounts_add_up_exactly(spending: Accounts) -> None:
    for _ in range(10):
        await spend(spending, ACCOUNT, Usage(input_tokens=1, money=0.00000015))
    assert [each.money for each in await sums(spending, "day")] == [0.0000015]


async def test_sums_come_page_by_page(spending: Accounts) -> None:
    for number in range(1, 6):
        intent = "abcde"[number - 1]
        await spend(spending, replace(ACCOUNT, run_id=f"run_{number}", intent=intent))
    pages: list[list[str]] = []
    after: str | None = None
    while page := await sums(spending, "run", limit=2, after=after):
        pages.append([each.name for each in page])
        after = page[-1].name
    assert pages == [["run_5", "run_4"], ["run_3", "run_2"], ["run_1"]]
    assert [each.name for each in await sums(spending, "intent", limit=2, after="b")] == ["c", "d"]


async def test_a_call_that_nobody_settles_stays_counted_is_named_and_is_booked_in_the_end(
    spending: Accounts, clock: FixedClock
) -> None:
    began = clock.now()
    lost = await spending.hold(ACCOUNT, ESTIMATE)
    await spend(spending, ACCOUNT)
    held = replace(AS_USED, name="run_1", held_tokens=100, held_money=1.0)
    assert await sums(spending, "run") == [held]
    assert await spending.unsettled("acme", began) == []
    clock.advance(timedelta(hours=2))
    assert await spending.unsettled("acme", clock.now()) == [
        Unsettled(
            id=lost.id,
            run_id="run_1",
            conversation_id="con_1",
            intent="returns",
            since=stamp(began),
            tokens=100,
            money=1.0,
        )
    ]
    assert await spending.unsettled("other", clock.now()) == []
    assert [await spending.book(clock.now()) for _ in range(2)] == [1, 0]
    booked = Costs(name="run_1", calls=2, input_tokens=80, output_tokens=50, money=1.25)
    assert await sums(spending, "run") == [booked]
    await spending.settle(lost, USED, calls=1)
    assert (await sums(spending, "run"), await spending.unsettled("acme", clock.now())) == ([booked], [])


async def test_processes_do_not_spend_the_same_rest(where: Path | str, clock: FixedClock) -> None:
    seen: list[int] = []
    async with AsyncExitStack() as stack:
        # Only PostgreSQL has more than one process.
        count = 2 if isinstance(where, str) else 1
        opened = [await stack.enter_async_context(open_database(where)) for _ in range(count)]
        processes = [StoredSpending(a_store(each, clock)) for each in opened]

        async def call(number: int) -> None:
            account = replace(ACCOUNT, run_id=f"run_{number}", intent=f"intent {number % 3}")
            hold = await processes[number % len(processes)].hold(account, ESTIMATE)
            seen.append(hold.before["day"].tokens)
            await processes[-1].settle(hold, ESTIMATE, calls=1)

        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(call, number)
        total = [(each.calls, each.held_tokens) for each in await sums(processes[0], "day")]
    assert sorted(seen) == [100 * each for each in range(50)]
    assert total == [(50, 0)]


async def test_nothing_stays_set_aside_for_who_is_cancelled_while_waiting(
    where: Path | str, clock: FixedClock
) -> None:
    async with open_database(where) as database:
        spending = StoredSpending(a_store(database, clock))
        # As LangGraph does it, through any shield of anyio's.
        waiting = asyncio.get_running_loop().create_task(spending.hold(ACCOUNT, ESTIMATE))
        await anyio.lowlevel.checkpoint()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await sums(spending, "day") == []
        assert await spending.unsettled("acme", clock.now() + timedelta(days=1)) == []


async def test_an_erased_conversation_leaves_the_sums_that_do_not_name_it(
    where: Path | str, clock: FixedClock
) -> None:
    async with open_database(where) as database:
        store = a_store(database, clock)
        workspace, spending = store.in_workspace("acme"), StoredSpending(store)
        conversation = await workspace.write(lambda tx: conversations.create(tx, assistant="shop", customer={}))
        theirs = replace(ACCOUNT, conversation_id=conversation.id)
        await spend(spending, theirs)
        await spend(spending, replace(ACCOUNT, conversation_id="con_2", run_id="run_2"))
        late, lost = await spending.hold(theirs, ESTIMATE), await spending.hold(theirs, ESTIMATE)
        await workspace.write(lambda tx: erasure.erase(tx, [conversation.id], actor={}))
        assert [each.name for each in await sums(spending, "conversation")] == ["con_2"]
        assert [each.name for each in await sums(spending, "run")] == ["run_2"]
        clock.advance(timedelta(hours=1))
        open_still = await spending.unsettled("acme", clock.now())
        assert [(each.id, each.run_id, each.conversation_id) for each in open_still] == [
            (late.id, "", ""),
            (lost.id, "", ""),
        ]
        await spending.settle(late, USED, calls=1)
        assert await spending.book(clock.now()) == 1
        assert [each.name for each in await sums(spending, "run")] == ["run_2"]
        day = Costs(name="2026-01-05", calls=4, input_tokens=120, output_tokens=70, money=1.75)
        assert await sums(spending, "day") == [day]
        assert await sums(spending, "intent") == [replace(day, name="returns")]
