"""What PostgreSQL is told with a connection: the URL's own wishes, and that nothing may take for ever."""

from __future__ import annotations

from collections.abc import Callable

import anyio.to_thread
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text

from policies.errors import ConfigError, Unavailable
from tools.storage.database import open_database
from tools.storage.postgres import conninfo, postgres_engine


def test_the_urls_own_options_are_kept() -> None:
    line = conninfo("postgresql+psycopg://me:p%40ss@127.0.0.1:1/x?options=-csearch_path%3Dapp", options="-c a=1")
    assert conninfo_to_dict(line) == {
        "user": "me",
        "password": "p@ss",
        "host": "127.0.0.1",
        "port": "1",
        "dbname": "x",
        "options": "-csearch_path=app -c a=1",
    }


@pytest.mark.parametrize("url", ["mysql://127.0.0.1/x", "no url", "sqlite:///x.db"])
def test_what_is_no_postgresql_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as failure:
        postgres_engine(url)
    assert url not in str(failure.value)


@pytest.mark.anyio
async def test_a_statement_that_waits_for_a_lock_is_given_up(new_postgres: Callable[[], str]) -> None:
    url = new_postgres()
    with psycopg.connect(conninfo(url)) as other:
        await anyio.to_thread.run_sync(other.execute, "lock table run in access exclusive mode")
        async with open_database(url) as database:
            hasty = "set local lock_timeout = '50ms'"
            told = await database.read(lambda c: c.execute(text("show lock_timeout")).scalar_one())
            assert told == "10s"
            with pytest.raises(Unavailable):
                await database.read(lambda c: (c.execute(text(hasty)), c.execute(text("select * from run"))))
