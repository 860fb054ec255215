"""Versions of assistants: what their files said, each time that they had changed when the assistant was opened."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from sqlalchemy import bindparam, insert, select, text

from tools.storage import tables
from tools.storage.store import Tx

_v = tables.assistant_version.c
_LATEST = (
    select(_v.number, _v.version, _v.files)
    .where(_v.workspace_id == bindparam("ws"), _v.name == bindparam("name"))
    .order_by(_v.number.desc())
    .limit(1)
)
_FILES = (
    select(_v.files)
    .where(_v.workspace_id == bindparam("ws"), _v.version == bindparam("version"))
    .order_by(_v.number.desc())
    .limit(1)
)
_INSERT = insert(tables.assistant_version)
_LOCK = text("select pg_advisory_xact_lock(4772247, :workspace)")


@dataclass(frozen=True, kw_only=True)
class Noted:
    """The version that was noted last."""

    number: int
    version: str
    files: dict[str, str]


def latest(tx: Tx, name: str) -> Noted | None:
    """Return the version of an assistant that was noted last; nobody else notes one until this transaction ends.

    SQLite has one writer, so there nothing is locked.
    """
    if tx.connection.dialect.name == "postgresql":
        workspace = zlib.crc32(tx.workspace_id.encode()) - 2**31
        tx.connection.execute(_LOCK, {"workspace": workspace})
    row = tx.one(_LATEST, name=name)
    return Noted(number=row["number"], version=row["version"], files=row["files"]) if row else None


def note(tx: Tx, name: str, version: str, files: dict[str, str], *, after: Noted | None) -> None:
    """Note a version as the one that follows ``after``."""
    number = after.number + 1 if after else 1
    row = {"name": name, "number": number, "version": version, "files": files, "at": tx.now()}
    tx.insert(_INSERT, [row])


def files_of(tx: Tx, version: str) -> dict[str, str] | None:
    """Return what the files of a version said, or None for one that was never noted."""
    files: dict[str, str] | None = tx.value(_FILES, version=version)
    return files
