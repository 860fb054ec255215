"""A database of an earlier version is brought up to date with what it holds."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from sqlalchemy import bindparam, column, insert, inspect, select, table

from tools.storage import tables
from tools.storage.migrations import _config, upgrade
from tools.storage.sqlite import sqlite_engine

CITATION = {"passage_id": "doc_1:0", "quote": "Three days."}
MESSAGE = {
    "workspace_id": "acme",
    "conversation_id": "con_1",
    "author": "bot",
    "state": "complete",
    "created_at": "t",
}
EVENT = {"workspace_id": "acme", "conversation_id": "con_1", "audience": "customer", "at": "t"}


def test_messages_of_version_0_1_learn_which_sentence_cites_what(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "old.db", immediate=True)
    config = _config()
    numbered = [{"index": 0, **CITATION}, {"index": 2, **CITATION}]
    said = [
        {**MESSAGE, "position": 1, "id": "msg_1", "text": "A.", "citations": [CITATION, CITATION]},
        {**MESSAGE, "position": 2, "id": "msg_2", "text": "B.", "citations": []},
    ]
    told = [{"message_id": "msg_1", "citations": numbered}, {"message_id": "msg_2", "citations": []}]
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(insert(tables.message), said)
        completed = [
            {**EVENT, "seq": seq, "type": "message.completed", "data": data} for seq, data in enumerate(told)
        ]
        connection.execute(insert(tables.event), completed)
    upgrade(engine)
    with engine.connect() as connection:
        found = (
            connection.execute(select(tables.message.c.citations).order_by(tables.message.c.position))
            .scalars()
            .all()
        )
    engine.dispose()
    assert found == [numbered, []]


def test_conversations_learn_since_when_somebody_has_them(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "old.db", immediate=True)
    config = _config()
    begun = {
        "workspace_id": "acme",
        "assistant": "a",
        "version": 1,
        "last_event": 0,
        "customer": {},
        "consent": {},
    }
    begun |= {"last_message": 1, "created_at": "1"}
    handed = {"workspace_id": "acme", "conversation_id": "con_2", "queue": "care", "brief": {}}
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
        old = table("conversation", *(column(name) for name in (*begun, "id", "owner", "queue")))
        typed = {name: tables.conversation.c[name].type for name in ("customer", "consent")}
        rows = [
            {**begun, "id": "con_1", "owner": "bot"},
            {**begun, "id": "con_2", "owner": "queue", "queue": "care"},
        ]
        for row in rows:
            values = {name: bindparam(None, it, type_=typed.get(name)) for name, it in row.items()}
            connection.execute(insert(old).values(values))
        said = {**MESSAGE, "position": 1, "id": "msg_1", "text": "A.", "citations": [], "created_at": "2"}
        connection.execute(insert(tables.message), [said])
        told = [
            {
                **handed,
                "id": f"hnd_{at}",
                "run_id": f"run_{at}",
                "priority": priority,
                "due_at": "9",
                "created_at": at,
            }
            for at, priority in (("3", "low"), ("4", "high"))
        ]
        connection.execute(insert(tables.handoff), told)
    upgrade(engine)
    c = tables.conversation.c
    wanted = select(c.id, c.active_at, c.owner_since, c.waiting_since, c.priority, c.due_at).order_by(c.id)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(wanted)]
    engine.dispose()
    assert found == [("con_1", "2", "1", None, None, None), ("con_2", "1", "4", "4", "high", "9")]


def test_the_tables_are_those_that_the_program_knows(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "new.db", immediate=True)
    upgrade(engine)
    seen = inspect(engine)
    columns = {name: {each["name"] for each in seen.get_columns(name)} for name in tables.metadata.tables}
    indexes = {name: {each["name"] for each in seen.get_indexes(name)} for name in tables.metadata.tables}
    engine.dispose()
    assert columns == {name: set(each.columns.keys()) for name, each in tables.metadata.tables.items()}
    assert indexes == {
        name: {index.name for index in each.indexes} for name, each in tables.metadata.tables.items()
    }
