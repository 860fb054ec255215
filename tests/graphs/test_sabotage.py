"""Faults by name: what is asked for is what goes wrong, and what is not is not there."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
import pytest

from graphs import sabotage
from graphs.faults import KillAt, NoFaults
from graphs.sabotage import NO_SABOTAGE, Several, plan_sabotage
from graphs.settings import Settings
from policies.errors import ConfigError, Unavailable
from tools.storage.database import open_database

pytestmark = pytest.mark.anyio
DEVELOPMENT = Settings(mode="development")


class Noted:
    """Notes the points that it is told of."""

    def __init__(self) -> None:
        self.points: list[str] = []

    async def at(self, point: str) -> None:
        self.points.append(point)


async def test_without_a_fault_nothing_is_wrapped(tmp_path: Path) -> None:
    assert plan_sabotage((), Settings()) is NO_SABOTAGE
    async with open_database(tmp_path / "rows.db") as database:
        assert NO_SABOTAGE.database(database) is database
    assert isinstance(NO_SABOTAGE.at_points(None), NoFaults)
    noted = Noted()
    assert NO_SABOTAGE.at_points(noted) is noted


@pytest.mark.parametrize(
    ("name", "kill"),
    [
        ("kill:draft", KillAt("draft")),
        ("kill:deliver.done:3", KillAt("deliver.done", 3)),
        ("kill:act.done", KillAt("act.done")),
    ],
)
def test_a_kill_names_a_point_and_how_often_it_is_passed(name: str, kill: KillAt) -> None:
    assert plan_sabotage([name], DEVELOPMENT).kills == (kill,)


async def test_several_faults_at_points_are_told_one_after_the_other() -> None:
    first, second = Noted(), Noted()
    await Several((first, second)).at("draft")
    planned = plan_sabotage(["kill:check:9", "kill:route:9"], DEVELOPMENT).at_points(first)
    await planned.at("check")
    assert (first.points, second.points) == (["draft", "check"], ["draft"])


@pytest.mark.parametrize(
    "name",
    [
        "earthquake",
        "kill",
        "kill:nowhere",
        "kill:draft:0",
        "kill:draft:x",
        "kill:POINT[:N]",
        "slow-disk:2",
        "database-restart:",
        "database-restart:soon",
        "database-restart:-1",
        "database-restart:inf",
        "database-restart[:SECONDS]",
    ],
)
def test_a_name_that_is_none_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(ConfigError, match="Choose among model-timeout, vector-store-down") as failure:
        plan_sabotage([name], DEVELOPMENT)
    assert failure.value.code == "faults.unknown"


async def test_a_restart_comes_when_its_time_has_come_and_goes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sabotage, "AWAY_SECONDS", 0.6)
    planned = plan_sabotage(["database-restart:0.5"], DEVELOPMENT)
    changes: list[str] = []
    with caplog.at_level(logging.WARNING, "handrail.faults"), anyio.fail_after(30):
        async with open_database(tmp_path / "rows.db") as opened, planned.under_way(None):
            database = planned.database(opened)
            while changes != ["there", "away", "there"]:
                try:
                    await database.read(lambda connection: connection.exec_driver_sql("select 1").scalar())
                except Unavailable:
                    state = "away"
                else:
                    state = "there"
                if changes[-1:] != [state]:
                    changes.append(state)
                await anyio.sleep(0.01)
    assert caplog.messages[0] == "FAULTS ON PURPOSE in this process: database-restart:0.5"
