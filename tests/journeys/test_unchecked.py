"""Nothing unchecked leaves: a guard that fails on a marker word stands between every draft and every door."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from agents.checker import LocalChecker
from graphs.fakes import Line, ScriptedChecker
from policies.errors import ConfigError
from policies.guards import Binding, Finding, GuardRequest, Stage
from policies.types import JSON, Outcome, Principal, Reason, Sentence
from tests.journeys.shop import FILES, NewPlace, OpenShop, Shop, opener, shown
from tools.guards.fake import NotingGuard
from tools.guards.rails import Rails

# What leaves is settled before anything is stored, so one kind of database is enough.
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("new_place", ["sqlite"], indirect=True, scope="session")]

MARKER = "xyzzy"
POLICY = """\
answers: {brewing: Look at the packet.}
rules:
- {id: greets, when: 'text.contains("good morning")', effect: say, say: Hello to you., reason: A greeting.}
"""
WHOLE = "- {id: whole, 'on': answer, when: 'reply.contains(\"nothing\")', effect: review, reason: Never.}\n"
DRAFTS: dict[str, Sequence[Line]] = {
    "first": [f"The {MARKER} is first.", "Delivery takes three days."],
    "last": ["Delivery takes three days.", f"The {MARKER} is last."],
    "only": [f"Only {MARKER}."],
    "headless": [Sentence(text=f"Always {MARKER}.", citations=()), "Delivery takes three days."],
    "hidden": ["Delivery takes three days.", f"It is{MARKER}ly done."],
}


@dataclass(frozen=True)
class Marked:
    """A guard that fails on the marker word."""

    name: str = "marked"
    stages: tuple[Stage, ...] = ("output",)
    crashes: bool = False
    """Whether it breaks down on the word instead."""

    async def __call__(self, request: GuardRequest) -> Finding:
        if self.crashes and MARKER in request.text.lower():
            raise RuntimeError("broken down")
        reason = Reason(code="guard.marked", text="It holds what must not leave.")
        return Finding(guard=self.name, score=float(MARKER in request.text.lower()), reason=reason)


class WholeAnswersPass(ScriptedChecker):
    """Puts each sentence to the guards, and lets every whole answer pass."""

    def __init__(self, effect: Outcome, *, crashes: bool) -> None:
        super().__init__()
        rails = Rails(
            [Marked(crashes=crashes)], [Binding(guard="marked", stage="output", threshold=0.5, effect=effect)]
        )
        self.sentence = LocalChecker(rails).sentence  # type: ignore[method-assign]


class Rewritten(list[Line]):
    """A draft that is another when it is asked for again."""

    def __init__(self, first: Sequence[Line], then: Sequence[Line]) -> None:
        super().__init__(first)
        self._then = then

    def __iter__(self) -> Iterator[Line]:
        now = self.copy()
        self[:] = self._then
        return iter(now)


@pytest.fixture(
    name="marked",
    scope="module",
    params=[
        (Outcome.REVISE, "", False),
        (Outcome.REVISE, "", True),
        (Outcome.REVISE, WHOLE, False),
        (Outcome.ESCALATE, WHOLE, False),
        (Outcome.BLOCK, WHOLE, False),
    ],
    ids=["streamed", "crashing", "whole", "escalated", "blocked"],
)
async def marked_fixture(
    assistant_folder: Path,
    new_place: NewPlace,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
    shop: Shop,
) -> AsyncIterator[Shop]:
    """Open a shop whose drafter says what must not leave."""
    del shop  # It opens first, so that both close in turn.
    effect, more, crashes = request.param
    folder = tmp_path_factory.mktemp("marked") / "tea-shop"
    shutil.copytree(assistant_folder, folder)
    (folder / "policy.yaml").write_text(FILES["policy.yaml"] + POLICY + more)
    async with opener(folder, new_place)(team={"checker": WholeAnswersPass(effect, crashes=crashes)}) as opened:
        opened.drafter.script.update(DRAFTS)
        yield opened


async def _everything_read(shop: Shop, run: JSON) -> str:
    """Return all that a customer can read of a run and its conversation, by every door there is."""
    service, workspace = shop.product.service, shop.product.settings.workspace
    customer = Principal(workspace_id=workspace, id="c-1", role="customer")
    conversation = run["conversation_id"]
    read = [
        (await service.get_run(customer, run["run_id"])).text,
        str(await service.get_conversation(customer, conversation)),
        *(await shop.get(f"/v1/runs/{run['run_id']}/explanation"))["story"],
    ]
    async for batch in service.run_events(customer, run["run_id"]):
        read += [str(event.data) for event in batch]
    with anyio.move_on_after(0.05):
        async for batch in service.conversation_events(customer, conversation):
            read += [str(event.data) for event in batch]
    return "\n".join(read)


def _drafted(shop: Shop) -> int:
    return sum(any(piece in request.question for piece in DRAFTS) for request in shop.drafter.asked)


@pytest.mark.parametrize("draft", DRAFTS)
async def test_a_marked_sentence_leaves_by_no_door(marked: Shop, draft: str) -> None:
    before = _drafted(marked)
    streamed = await marked.say(await marked.conversation(), f"The {draft}?")
    assert MARKER not in str(shown(streamed))
    answered = (await marked.ask(await marked.conversation(), f"The {draft}?")).json()
    assert MARKER not in str(answered)
    for run in (streamed[0].json(), answered):
        read = await _everything_read(marked, run)
        assert MARKER not in read
        assert f"The {draft}?" in read
    assert _drafted(marked) >= before + 2


@pytest.mark.parametrize("draft", DRAFTS)
async def test_a_reviewer_gets_no_marked_sentence_to_approve(marked: Shop, draft: str) -> None:
    run = (await marked.ask(await marked.conversation(), f"I want my money back: the {draft}?")).json()
    if run["outcome"] == "review":
        review = await marked.get(f"/v1/reviews/{run['review_id']}")
        assert MARKER not in str(review["draft"])
        await marked.decide(run["review_id"], decision="approve")
        await marked.settled()
    assert MARKER not in await _everything_read(marked, run)


async def test_staff_see_what_was_held_back(marked: Shop) -> None:
    run = (await marked.ask(await marked.conversation(), "The first?")).json()
    events = await marked.events(f"/v1/runs/{run['run_id']}/events")
    told = [event.json() for event in events if event.event == "guardrail"]
    assert {each["text"] for each in told} == {f"The {MARKER} is first."}


def noting() -> tuple[NotingGuard, Rails]:
    """Return a guard of articles that notes what it reads, and what runs it."""
    guard = NotingGuard()
    return guard, Rails([guard], [Binding(guard="noting", stage="passage", threshold=0.5, effect=Outcome.REVISE)])


async def test_articles_are_looked_over_before_they_are_asked_for(open_shop: OpenShop, tmp_path: Path) -> None:
    async with open_shop(data=tmp_path) as first:
        passages = {each.text for each in (await first.product.knowledge.index()).passages}
    at_once, rails = noting()
    async with open_shop(data=tmp_path, works=False, warms=True, team={"guards": rails}):
        assert passages <= set(at_once.read)
    never, rails = noting()
    async with open_shop(data=tmp_path, works=False, team={"guards": rails}):
        assert never.read == []
    beside, rails = noting()
    async with open_shop(data=tmp_path, team={"guards": rails}):
        with anyio.fail_after(30):
            while not passages <= set(beside.read):  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.01)


async def test_an_erasure_reaches_what_guards_remember(open_shop: OpenShop) -> None:
    guard, rails = noting()
    async with open_shop(team={"guards": rails}) as opened:
        admin = opened.product.principal
        await opened.product.service.privacy.erase(admin, "nobody")
    assert guard.forgotten == 1


STREAMED = pytest.mark.parametrize("marked", [(Outcome.REVISE, "", False)], indirect=True, ids=["streamed"])


async def _run_of(marked: Shop, question: str) -> tuple[JSON, int]:
    """Return a run, and how many drafts it took."""
    run = (await marked.ask(await marked.conversation(), question)).json()
    events = await marked.events(f"/v1/runs/{run['run_id']}/events")
    drafts = sum(each.event == "step.started" and each.json()["name"] == "draft" for each in events)
    return run, drafts


@STREAMED
async def test_an_answer_that_lost_its_end_is_sent_without_it(marked: Shop) -> None:
    run, drafts = await _run_of(marked, "The last?")
    assert (run["outcome"], run["text"], drafts) == ("answered", "Delivery takes three days.", 1)


@STREAMED
async def test_a_draft_that_lost_its_beginning_is_begun_anew_before_anything_is_sent(marked: Shop) -> None:
    first: Sequence[Line] = [f"The {MARKER} is first.", "Delivery takes three days."]
    marked.drafter.script["The rewritten"] = Rewritten(first, ["It costs five euros."])
    run, drafts = await _run_of(marked, "The rewritten?")
    assert (run["outcome"], run["text"], drafts) == ("answered", "It costs five euros.", 2)


@STREAMED
@pytest.mark.parametrize(("draft", "drafts"), [("first", 2), ("headless", 3)])
async def test_a_person_looks_at_what_is_left_of_a_draft_that_lost_its_beginning(
    marked: Shop, draft: str, drafts: int
) -> None:
    run, taken = await _run_of(marked, f"The {draft}?")
    assert (run["outcome"], run["text"], taken) == ("review", "", drafts)
    review = await marked.get(f"/v1/reviews/{run['review_id']}")
    assert [each["text"] for each in review["draft"]] == ["Delivery takes three days."]
    assert [each["code"] for each in review["reasons"]] == ["draft.lost_first"]
    told = (await marked.get(f"/v1/runs/{run['run_id']}/explanation"))["story"]
    assert any("the beginning of the draft did not pass its checks" in each for each in told)


async def test_a_greeting_is_checked_before_anybody_reads_it(
    assistant_folder: Path, new_place: Callable[[], JSON], tmp_path: Path
) -> None:
    folder = tmp_path / "tea-shop"
    shutil.copytree(assistant_folder, folder)
    (folder / "assistant.yaml").write_text(FILES["assistant.yaml"].replace("Hello!", "Hello xyzzy!"))
    binding = Binding(guard="marked", stage="output", threshold=0.5, effect=Outcome.REVISE)
    with pytest.raises(ConfigError, match=r"assistant\.yaml: greeting: It holds what must not leave"):
        async with opener(folder, new_place)(team={"guards": Rails([Marked()], [binding])}):
            pass


@pytest.mark.parametrize(
    ("field", "written"),
    [
        ("messages.handoff", "messages: {handoff: A XYZZY for you.}"),
        ("messages.degraded", "messages: {degraded: A xyzzy for you.}"),
        ("answers.delivery", "answers: {delivery: It is xyzzy.}"),
        ("templates.hello", "templates: {hello: Hello xyzzy.}"),
        ("rules.greets", "rules: [{id: greets, when: 'true', effect: say, say: Hello xyzzy., reason: R.}]"),
    ],
)
async def test_what_policy_says_itself_is_checked_before_anybody_reads_it(
    assistant_folder: Path, new_place: Callable[[], JSON], tmp_path: Path, field: str, written: str
) -> None:
    folder = tmp_path / "tea-shop"
    shutil.copytree(assistant_folder, folder)
    (folder / "policy.yaml").write_text(written)
    binding = Binding(guard="marked", stage="output", threshold=0.5, effect=Outcome.REVISE)
    with pytest.raises(ConfigError, match=f"{field}: It holds what must not leave"):
        async with opener(folder, new_place)(team={"guards": Rails([Marked()], [binding])}):
            pass
