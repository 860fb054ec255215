"""What an action leads to: an answer when it is done, a person when it is not, never a second try by chance."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from agents.escalation import LocalEscalation
from graphs.assembly import Product, open_product
from graphs.fakes import (
    ScriptedAction,
    ScriptedChecker,
    ScriptedDrafter,
    ScriptedGuards,
    ScriptedRouter,
    route_to,
    scripted_team,
)
from graphs.settings import Settings
from graphs.team import Team
from policies.errors import ConfigError, Refused
from policies.personal_data import Found, PersonalDataFinder
from policies.types import Autonomy, Outcome, Owner, Verdict
from tests.journeys.shop import FILES
from tools.assistants import Assistant, load_assistant
from tools.encoder.ports import Encoder
from tools.knowledge.base import Knowledge
from tools.knowledge.fake import InMemoryRetriever
from tools.storage import conversations, receipts
from tools.storage.runs import Run
from tools.storage.store import StoredEvent

pytestmark = pytest.mark.anyio

QUESTION = "Where is the delivery?"


@dataclass(frozen=True, kw_only=True)
class Counter:
    """An open shop, its actions and what tests ask of it."""

    product: Product
    actions: dict[str, ScriptedAction]
    router: ScriptedRouter
    checker: ScriptedChecker

    async def ask(self, text: str = QUESTION) -> Run:
        """Ask and wait for the end."""
        return await self.end(await self.post(text))

    async def post(self, text: str = QUESTION, conversation: str | None = None) -> Run:
        """Ask, in a new conversation if none is named."""
        service, me = self.product.service, self.product.principal
        customer = {"id": "c-1", "attributes": {"member": True}}
        conversation = conversation or (await service.create_conversation(me, customer=customer)).id
        return await service.run(me, (await service.post_message(me, conversation, text)).run_id)

    async def end(self, run: Run) -> Run:
        """Wait for a run's end."""
        service, me = self.product.service, self.product.principal
        with anyio.fail_after(30):
            async for _ in service.run_events(me, run.id):
                pass
        return await service.run(me, run.id)

    async def take_over(self, run: Run) -> None:
        """Let a person have the conversation."""
        workspace = self.product.service.store.in_workspace(self.product.principal.workspace_id)
        await workspace.write(
            lambda tx: conversations.set_owner(tx, run.conversation_id, Owner.QUEUE, queue="care")
        )

    async def receipts(self, run: Run) -> list[tuple[str, str, Any]]:
        """Return action, status and result of a run's receipts."""
        workspace = self.product.service.store.in_workspace(self.product.principal.workspace_id)
        held = await workspace.read(lambda tx: receipts.of_run(tx, run.id))
        return [(each.action, each.status, each.result) for each in held]

    async def brief(self, run: Run) -> dict[str, Any]:
        """Return what the person was given."""
        view = await self.product.service.get_conversation(self.product.principal, run.conversation_id)
        [handoff] = view.handoffs
        found: dict[str, Any] = handoff["brief"]
        return found

    async def why(self, run: Run) -> list[str]:
        """Return the codes of why a person was given a run."""
        return [reason["code"] for reason in (await self.brief(run))["why"]]

    async def events(self, run: Run) -> list[StoredEvent]:
        """Return what a conversation has told so far."""
        service = self.product.service
        stream = service.conversation_events(self.product.principal, run.conversation_id)
        found = await anext(stream)
        await stream.aclose()
        return found


OpenCounter = Callable[..., AbstractAsyncContextManager[Counter]]


def write_folder(folder: Path, tools: list[str]) -> Path:
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("  queue: shipping\n", f"  queue: shipping\n  tools: [{', '.join(tools)}]\n"))
    return folder


@pytest.fixture(name="opened")
def opened_fixture(tmp_path: Path) -> OpenCounter:
    """Return a function that opens a shop whose deliveries have these actions."""

    @asynccontextmanager
    async def opened(
        *given: ScriptedAction,
        autonomy: Autonomy = Autonomy.AUTO,
        finder: PersonalDataFinder | None = None,
        **settings: Any,
    ) -> AsyncIterator[Counter]:
        actions = {each.name: each for each in given}
        router = ScriptedRouter(otherwise=route_to("delivery", autonomy, queue="shipping"))
        checker = ScriptedChecker()

        async def hire(assistant: Assistant, _knowledge: Knowledge, _encoder: Encoder) -> Team:
            return Team(
                assistant=assistant,
                router=router,
                searcher=InMemoryRetriever({"delivery.md": FILES["knowledge/delivery.md"]}),
                drafter=ScriptedDrafter(),
                checker=checker,
                escalation=LocalEscalation(),
                guards=ScriptedGuards(),
                language=lambda _text: "en",
                actions=actions,
                finder=finder,
            )

        folder = write_folder(tmp_path / "shop", list(actions))
        made = Settings(**{"assistant": folder, "data": tmp_path / "data", **settings})
        async with open_product(made, hire=hire, announce=lambda _: None) as product:
            yield Counter(product=product, actions=actions, router=router, checker=checker)

    return opened


@pytest.fixture(name="action")
def action_fixture(tmp_path: Path) -> Callable[..., ScriptedAction]:
    """Return a function that makes an action."""

    def made(name: str = "resend", **more: Any) -> ScriptedAction:
        return ScriptedAction(name=name, calls=tmp_path / f"{name}.calls", **more)

    return made


Made = Callable[..., ScriptedAction]


def at(place: str, event: anyio.Event) -> Callable[[str], None]:
    """Return what sets an event when an action is at a place."""
    return lambda reached: event.set() if reached == place else None


async def test_an_effect_is_done_once_and_recorded(opened: OpenCounter, action: Made) -> None:
    async with opened(action(result={"parcel": 7})) as counter:
        run = await counter.ask()
        told = await counter.events(run)
        decisions = await counter.product.service.explain(counter.product.principal, run.id)
        [request] = counter.actions["resend"].asked
        assert await counter.receipts(run) == [("resend", "done", {"parcel": 7})]
    assert (run.outcome, counter.actions["resend"].keys) == ("answered", [f"{run.id}:act:resend"])
    assert (request.key, request.intent, request.question, request.attributes) == (
        f"{run.id}:act:resend",
        "delivery",
        QUESTION,
        {"member": True},
    )
    steps = [each.data for each in told if each.type == "step.finished" and each.data["name"] == "effect"]
    assert [each["actions"] for each in steps] == [[{"name": "resend", "status": "done"}]]
    found = [(each["action"], each["outcome"]) for each in decisions if each["node"] == "act"]
    assert found == [("resend", "done")]


async def test_an_intent_without_actions_has_no_such_step(opened: OpenCounter) -> None:
    async with opened() as counter:
        run = await counter.ask()
        told = await counter.events(run)
    assert run.outcome == "answered"
    assert "act" not in [each.data["name"] for each in told if each.type == "step.started"]


async def test_what_an_action_returns_is_kept_with_placeholders(opened: OpenCounter, action: Made) -> None:
    result = {"to": ["ann@example.org", 1.5, None], "at": Path("x")}
    async with opened(action(result=result)) as counter:
        run = await counter.ask()
        assert await counter.receipts(run) == [("resend", "done", {"to": ["[EMAIL_1]", 1.5, None], "at": "x"})]


async def test_a_refusal_goes_to_a_person_with_its_reason(opened: OpenCounter, action: Made) -> None:
    async with opened(action(refuses="The parcel for ann@example.org is on its way.")) as counter:
        run = await counter.ask()
        brief = await counter.brief(run)
        why = "The parcel for [EMAIL_1] is on its way."
        assert await counter.receipts(run) == [("resend", "refused", why)]
    assert (run.outcome, counter.actions["resend"].keys) == ("handed_over", [])
    assert [each["code"] for each in brief["why"]] == ["act.refused"]
    assert brief["why"][0]["text"].startswith("'resend' was refused, and nothing was done: The parcel for ")


@pytest.mark.parametrize(
    ("refuses", "kept"),
    [("half \ud800 and null \x00", "half  and null "), ("x" * 5_000_000, "x" * 500)],
    ids=["can't be kept", "too long"],
)
async def test_a_refusal_is_kept_whatever_it_says(
    opened: OpenCounter, action: Made, refuses: str, kept: str
) -> None:
    async with opened(action(refuses=refuses)) as counter:
        run = await counter.ask()
        assert await counter.receipts(run) == [("resend", "refused", kept)]
        [why] = (await counter.brief(run))["why"]
    assert why["text"] == f"'resend' was refused, and nothing was done: {kept}"


@pytest.mark.parametrize(
    "how", [{"fails": [OSError("gone")]}, {"hangs": True, "timeout": 0.05}], ids=["raises", "hangs"]
)
async def test_an_effect_that_breaks_is_not_tried_again(
    opened: OpenCounter, action: Made, how: dict[str, Any]
) -> None:
    async with opened(action(**how)) as counter:
        run = await counter.ask()
        assert await counter.receipts(run) == [("resend", "unknown", None)]
        assert await counter.why(run) == ["act.unknown"]
    assert (run.outcome, len(counter.actions["resend"].keys)) == ("handed_over", 1)


async def test_an_idempotent_effect_that_breaks_is_tried_again_with_its_key(
    opened: OpenCounter, action: Made
) -> None:
    async with opened(action(idempotent=True, fails=[OSError("gone")])) as counter:
        run = await counter.ask()
        assert await counter.receipts(run) == [("resend", "done", {"ok": True})]
    assert (run.outcome, counter.actions["resend"].keys) == ("answered", [f"{run.id}:act:resend"] * 2)


async def test_an_idempotent_effect_that_goes_on_breaking_is_unknown(opened: OpenCounter, action: Made) -> None:
    async with opened(action(idempotent=True, fails=[OSError("gone")] * 9)) as counter:
        run = await counter.ask()
        assert await counter.why(run) == ["act.unknown"]
    assert len(counter.actions["resend"].keys) == 3


async def test_the_first_effect_that_is_not_done_is_the_last(opened: OpenCounter, action: Made) -> None:
    async with opened(action("first"), action("second", refuses="No."), action("third")) as counter:
        run = await counter.ask()
        brief = await counter.brief(run)
    assert [len(each.asked) for each in counter.actions.values()] == [1, 1, 0]
    assert "Did first." in brief["tried"]


async def test_look_ups_are_under_way_at_the_same_time(opened: OpenCounter, action: Made) -> None:
    looks = [action(name, effect=False, hangs=True) for name in ("orders", "parcels", "points")]
    async with opened(*looks, run_seconds=0.3) as counter:
        run = await counter.ask()
    assert run.outcome == "degraded"
    assert [len(each.keys) for each in looks] == [1, 1, 1]


async def test_a_look_up_that_fails_leaves_no_receipt_and_stops_effects(opened: OpenCounter, action: Made) -> None:
    look = action("orders", effect=False, hangs=True, timeout=0.05)
    async with opened(action(), look) as counter:
        run = await counter.ask()
        assert await counter.receipts(run) == []
        assert await counter.why(run) == ["act.failed"]
    assert counter.actions["resend"].asked == []


async def test_a_look_up_answers_and_its_effect_follows(opened: OpenCounter, action: Made) -> None:
    async with opened(action("resend"), action("orders", effect=False)) as counter:
        run = await counter.ask()
        assert await counter.receipts(run) == [("resend", "done", {"ok": True})]
    assert (run.outcome, len(counter.actions["orders"].keys)) == ("answered", 1)


@pytest.mark.parametrize("autonomy", [Autonomy.REVIEW, Autonomy.SUGGEST])
async def test_no_effect_comes_before_a_person_who_must_look(
    opened: OpenCounter, action: Made, autonomy: Autonomy
) -> None:
    async with opened(action(), autonomy=autonomy) as counter:
        run = await counter.ask()
        service, me = counter.product.service, counter.product.principal
        [review] = await service.list_reviews(me)
        assert (review.kind, review.draft[0]["action"]) == ("approve_action", "resend")
        assert [each["code"] for each in review.reasons] == ["act.not_allowed"]
        await service.decide(me, review.id, {"decision": "reject"})
        await service.jobs.settled()
        assert await counter.receipts(run) == []
        assert await counter.why(run) == ["approval.reject"]
    assert counter.actions["resend"].asked == []


async def test_a_person_learns_what_was_done_before_the_answer_failed(opened: OpenCounter, action: Made) -> None:
    async with opened(action()) as counter:
        counter.checker.answers[QUESTION] = Verdict(outcome=Outcome.ESCALATE)
        brief = await counter.brief(await counter.ask())
        counter.checker.answers[QUESTION] = RuntimeError("broken")
        degraded = await counter.brief(await counter.ask())
    assert "Did resend." in brief["tried"]
    assert "Did resend." in degraded["tried"]


async def test_an_effect_cut_off_by_the_deadline_is_unknown(opened: OpenCounter, action: Made) -> None:
    async with opened(action(hangs=True), run_seconds=0.2) as counter:
        run = await counter.ask()
        assert await counter.receipts(run) == [("resend", "unknown", None)]
        assert await counter.why(run) == ["segment.deadline", "act.unknown"]


async def test_the_staff_is_told_of_an_effect_that_was_cancelled(opened: OpenCounter, action: Made) -> None:
    called = anyio.Event()
    async with opened(action(hangs=True, reached=at("called", called))) as counter:
        run = await counter.post()
        with anyio.fail_after(30):
            await called.wait()
        await counter.product.service.cancel(counter.product.principal, run.id)
        told = [each for each in await counter.events(run) if each.type == "error"]
        decisions = await counter.product.service.explain(counter.product.principal, run.id)
        assert await counter.receipts(run) == [("resend", "unknown", None)]
    assert [(each.audience, each.data["code"], each.data["action"]) for each in told] == [
        ("staff", "act.unknown", "resend")
    ]
    assert [each["outcome"] for each in decisions if each["node"] == "act"] == ["unknown"]


async def test_no_effect_is_begun_once_a_person_has_taken_over(opened: OpenCounter, action: Made) -> None:
    routed = anyio.Event()
    async with opened(action()) as counter:
        counter.router.hold[QUESTION] = routed
        run = await counter.post()
        with anyio.fail_after(30):
            await wait_for_routing(counter)
        await counter.take_over(run)
        routed.set()
        run = await counter.end(run)
        assert await counter.receipts(run) == []
    assert (run.outcome, counter.actions["resend"].asked) == ("handed_over", [])


async def wait_for_routing(counter: Counter) -> None:
    """Wait until a run has been claimed and is being routed."""
    while not counter.router.asked:  # noqa: ASYNC110 - a router tells nobody that it was asked
        await anyio.sleep(0.01)


@pytest.mark.parametrize("taken", [False, True], ids=["still ours", "taken over"])
async def test_an_effect_cut_off_when_the_process_stops_is_unknown(
    opened: OpenCounter, action: Made, taken: bool
) -> None:
    called = anyio.Event()
    async with opened(action(hangs=True, reached=at("called", called)), drain_seconds=0) as counter:
        run = await counter.post()
        with anyio.fail_after(30):
            await called.wait()
        if taken:
            await counter.take_over(run)
        assert await counter.receipts(run) == [("resend", "pending", None)]
    async with opened(action()) as counter:
        run = await counter.end(run)
        told = [each.data["code"] for each in await counter.events(run) if each.type == "error"]
        assert await counter.receipts(run) == [("resend", "unknown", None)]
    assert (run.outcome, len(counter.actions["resend"].keys)) == ("handed_over", 1)
    assert told == (["act.unknown"] if taken else [])


async def test_a_newer_message_waits_for_a_run_that_has_begun_an_effect(opened: OpenCounter, action: Made) -> None:
    called, go_on = anyio.Event(), anyio.Event()
    resend = action(reached=at("called", called))
    async with opened(resend) as counter:
        counter.checker.hold["first"] = go_on
        first = await counter.post("The first delivery")
        with anyio.fail_after(30):
            await called.wait()
        second = await counter.post("And now?", first.conversation_id)
        go_on.set()
        first, second = await counter.end(first), await counter.end(second)
    assert (first.outcome, second.outcome) == ("answered", "answered")
    assert second.input["question"] == "And now?"
    assert resend.keys == [f"{first.id}:act:resend", f"{second.id}:act:resend"]


async def test_an_error_that_says_nothing_was_done_may_come_late(opened: OpenCounter, action: Made) -> None:
    async with opened(action(idempotent=True, fails=[OSError("gone"), Refused("Sent before.")])) as counter:
        run = await counter.ask()
        assert await counter.why(run) == ["act.refused"]
    assert len(counter.actions["resend"].keys) == 2


async def test_what_was_done_is_settled_though_the_finder_crashes(opened: OpenCounter, action: Made) -> None:
    async def crashing(_text: str) -> list[Found]:
        raise RuntimeError

    resend = action(result={"to": "ann@example.com"})
    async with opened(resend, finder=crashing) as counter:
        run = await counter.ask()
        assert run.outcome == "answered"
        assert await counter.receipts(run) == [("resend", "done", {"to": "[EMAIL_1]"})]


async def test_an_intent_may_name_only_what_the_team_offers(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "shop", ["resend", "orders"])
    with pytest.raises(ConfigError) as error:
        scripted_team(
            load_assistant(folder),
            InMemoryRetriever({}),
            route_to("delivery"),
            actions={"orders": ScriptedAction(name="orders", calls=tmp_path / "calls")},
        )
    assert str(error.value) == (
        f"{folder / 'intents.yaml'}:5: intents.0.tools.0: there is no tool 'resend'. "
        "Mend the name or offer the tool; offered are: orders."
    )


async def test_a_tool_is_named_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"intents.yaml:5: intents.0.tools: a tool stands twice"):
        load_assistant(write_folder(tmp_path / "shop", ["resend", "resend"]))
