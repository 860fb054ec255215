"""What is deleted from a SQLite file stands nowhere in it, nor beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from tools.storage import scrubbing
from tools.storage.scrubbing import scrub
from tools.storage.sqlite import sqlite_engine

MARK = b"zanzibarite"


def places(path: Path) -> set[str]:
    return {each.name for each in path.parent.iterdir() if MARK in each.read_bytes()}


def test_deleted_rows_are_written_over_and_the_log_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "some.db"
    engine = sqlite_engine(path, immediate=True)
    with engine.begin() as connection:
        connection.execute(text("create table note (id integer primary key, words text)"))
        words = [{"words": f"{MARK.decode()} {number} " * 40} for number in range(400)]
        connection.execute(text("insert into note (words) values (:words)"), words)
    assert places(path) == {"some.db-wal"}
    with engine.begin() as connection:
        connection.execute(text("update note set words = 'short' where id % 3 = 0"))
        connection.execute(text("delete from note where id % 3 <> 0"))
    assert scrub(path) is True
    assert places(path) == set()
    engine.dispose()


def test_a_reader_that_stays_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "some.db"
    monkeypatch.setattr(scrubbing, "TRIES", 1)
    monkeypatch.setattr(scrubbing, "WAIT_SECONDS", 0.01)
    engine = sqlite_engine(path, immediate=True)
    with engine.begin() as connection:
        connection.execute(text("create table note (words text)"))
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("begin")
        reader.execute("select * from note").fetchall()
        with engine.begin() as connection:
            connection.execute(text("insert into note values ('later')"))
        assert scrub(path) is False
        reader.execute("rollback")
    assert scrub(path) is True
    engine.dispose()
