"""Passages are judged before they are asked for: those of the active index, and of each that takes its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from graphs import ahead
from graphs.ahead import judge, judge_ahead, warm
from graphs.fakes import ScriptedGuards, route_to, scripted_team
from graphs.guarding import check_passage
from graphs.team import Team
from policies.errors import Unavailable
from policies.guards import Binding
from policies.types import Outcome, Passage
from tests.agents.mandates import a_passage
from tools.assistants import load_assistant
from tools.guards.fake import NotingGuard
from tools.guards.rails import Rails
from tools.knowledge.fake import InMemoryRetriever
from tools.knowledge.index import Index, build_index

pytestmark = pytest.mark.anyio
BLANK = Path(__file__).parents[2] / "handrail/samples/blank"
BOUND = Binding(guard="noting", stage="passage", threshold=0.5, effect=Outcome.REVISE)
TENTS, BOATS = a_passage("0", "Tents go back."), a_passage("1", "Boats stay.", title="Boats")
HEADINGS = ["Returns\nReturns > Rules", "Boats\nBoats > Rules"]


@pytest.fixture
def reader() -> NotingGuard:
    return NotingGuard()


@pytest.fixture
def team(reader: NotingGuard) -> Team:
    return a_team(Rails([reader], [BOUND]))


def a_team(guards: Rails | ScriptedGuards) -> Team:
    return scripted_team(load_assistant(BLANK), InMemoryRetriever({}), route_to("delivery"), guards=guards)


def an_index(version: str, *passages: Passage) -> Index:
    return replace(build_index(version, [], 4), passages=passages)


async def test_a_passage_that_was_judged_ahead_is_not_judged_in_a_turn(team: Team, reader: NotingGuard) -> None:
    for passage in (TENTS, BOATS):
        await judge(team, passage, rest=0)
    seen = [TENTS.text, HEADINGS[0], BOATS.text, HEADINGS[1]]
    assert reader.read == seen
    assert (await check_passage(team, TENTS)).passed
    assert reader.read == seen


async def test_a_server_that_starts_looks_passages_over_for_a_while(team: Team, reader: NotingGuard) -> None:
    await warm(team, [TENTS, BOATS], seconds=60)
    assert sorted(reader.read) == sorted([TENTS.text, BOATS.text, *HEADINGS])
    await warm(team, [a_passage("2", "Kites fly.")], seconds=0)
    assert "Kites fly." not in reader.read


class Indexes:
    """Gives one index after another, and says when it has been asked for more."""

    def __init__(self, *given: Exception | Index) -> None:
        self.given = list(given)
        self.done = anyio.Event()

    async def __call__(self) -> Index:
        if not self.given:
            self.done.set()
            await anyio.sleep_forever()
        answer = self.given.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def read_ahead(team: Team, indexes: Indexes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "LOOK_SECONDS", 0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(judge_ahead, team, indexes)
        await indexes.done.wait()
        tasks.cancel_scope.cancel()


async def test_each_index_version_is_judged_once_as_it_comes(
    team: Team, reader: NotingGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def noting(_team: Team, passage: Passage, rest: float = 0.0) -> None:  # noqa: ARG001
        asked.append(passage.id)

    monkeypatch.setattr(ahead, "judge", noting)
    one, two = an_index("idx_1", TENTS), an_index("idx_2", TENTS, BOATS)
    await read_ahead(team, Indexes(one, one, one, two, two, two, two), monkeypatch)
    assert asked == [TENTS.id, TENTS.id, BOATS.id]
    assert reader.read == []


async def test_a_version_that_is_replaced_is_left(
    team: Team, reader: NotingGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = an_index("idx_1", TENTS, BOATS), an_index("idx_2", a_passage("2", "Kites fly.", title="Kites"))
    await read_ahead(team, Indexes(old, new, new, new), monkeypatch)
    assert reader.read == [TENTS.text, HEADINGS[0], "Kites fly.", "Kites\nKites > Rules"]


async def test_no_more_is_judged_ahead_than_is_remembered(
    team: Team, reader: NotingGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "MOST", 1)
    both = an_index("idx_1", TENTS, BOATS)
    await warm(team, both.passages)
    await read_ahead(team, Indexes(both, both, both), monkeypatch)
    assert reader.read == [TENTS.text, HEADINGS[0]]


async def test_an_index_that_can_t_be_read_is_asked_for_again(
    team: Team, reader: NotingGuard, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = an_index("idx_1", TENTS)
    await read_ahead(team, Indexes(Unavailable("It is away."), OSError(5), one, one), monkeypatch)
    assert reader.read == [TENTS.text, HEADINGS[0]]
    assert [each.levelname for each in caplog.records] == ["WARNING", "ERROR"]


async def test_guards_that_remember_nothing_are_not_asked() -> None:
    guards = ScriptedGuards()

    async def index() -> Index:
        raise AssertionError("asked for")

    await judge_ahead(a_team(guards), index)
    await warm(a_team(guards), [TENTS])
    assert guards.asked == []
