"""Documents, chunks and index versions in the database: plain functions of a connection.

An index version is ``building``, then ``active``; the one before is ``previous`` and can come back; older ones
are ``retired``: their documents stay as lineage, their chunks go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, delete, insert, select, update

from policies.types import Audience
from tools.encoder.ports import Vectors
from tools.knowledge.chunking import Chunk
from tools.knowledge.documents import LoadedDocument
from tools.storage.tables import chunk, document_version, index_document, index_version

_MANY = 500


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Whose knowledge it is."""

    workspace_id: str
    assistant: str


@dataclass(frozen=True, kw_only=True)
class Version:
    """An index version."""

    id: str
    status: str
    encoder: str
    documents: int
    chunks: int
    created_at: str


@dataclass(frozen=True, kw_only=True)
class DocumentVersion:
    """A document as it was at one time; ``text`` is what offsets of its passages refer to."""

    id: str
    path: str
    title: str
    audience: Audience
    media_type: str
    content_hash: str
    created_at: str
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class EncodedDocument:
    """A new document version with its chunks and their vectors."""

    id: str
    content_hash: str
    document: LoadedDocument
    chunks: tuple[Chunk, ...]
    vectors: Vectors
    """Shape (chunks, dimensions)."""
    sentence_vectors: tuple[Vectors, ...]
    """For each chunk, shape (sentences, dimensions)."""
    matching_vectors: tuple[Vectors, ...]
    """Of the same shape."""


_INFO = [
    document_version.c[name]
    for name in ("id", "path", "title", "audience", "media_type", "content_hash", "created_at")
]


def version_in(connection: Connection, scope: Scope, status: str) -> Version | None:
    """Return the latest index version of a status."""
    table = index_version
    query = (
        select(table)
        .where(_of(table, scope), table.c.status == status)
        .order_by(table.c.created_at.desc(), table.c.id.desc())
    )
    row = connection.execute(query).mappings().first()
    return _version(row) if row else None


def versions(connection: Connection, scope: Scope) -> list[Version]:
    """Return all index versions, newest first."""
    table = index_version
    query = select(table).where(_of(table, scope)).order_by(table.c.created_at.desc(), table.c.id.desc())
    return [_version(row) for row in connection.execute(query).mappings()]


def documents_in(connection: Connection, scope: Scope, version: str) -> list[DocumentVersion]:
    """Return the documents of an index version, by path and without their texts."""
    query = (
        select(*_INFO)
        .join(index_document, _joined(document_version.c.id))
        .where(_of(index_document, scope), index_document.c.index_version == version)
        .order_by(document_version.c.path)
    )
    return [DocumentVersion(**row) for row in connection.execute(query).mappings()]


def lineage(connection: Connection, scope: Scope, path: str) -> list[DocumentVersion]:
    """Return every version there ever was of a document, newest first, without their texts."""
    query = select(*_INFO).where(_of(document_version, scope), document_version.c.path == path)
    rows = connection.execute(query.order_by(document_version.c.created_at.desc())).mappings()
    return [DocumentVersion(**row) for row in rows]


def document(connection: Connection, scope: Scope, version: str) -> DocumentVersion | None:
    """Return a document version with its text."""
    table = document_version
    row = (
        connection.execute(select(*_INFO, table.c.text).where(_of(table, scope), table.c.id == version))
        .mappings()
        .first()
    )
    return DocumentVersion(**row) if row else None


def chunks_in(connection: Connection, scope: Scope, version: str) -> Iterator[dict[str, Any]]:
    """Yield the chunks of an index version with their documents' fields, by path and position."""
    info = [document_version.c[name] for name in ("path", "title", "audience", "media_type")]
    query = (
        select(chunk, *info)
        .join(index_document, _joined(chunk.c.document_version))
        .join(
            document_version,
            (document_version.c.workspace_id == chunk.c.workspace_id)
            & (document_version.c.id == chunk.c.document_version),
        )
        .where(_of(index_document, scope), index_document.c.index_version == version)
        .order_by(document_version.c.path, chunk.c.ordinal)
    )
    for row in connection.execute(query).mappings():
        yield dict(row)


def encoded(connection: Connection, scope: Scope, ids: Sequence[str]) -> set[str]:
    """Return which of these document versions have their chunks in the database."""
    found: set[str] = set()
    for start in range(0, len(ids), _MANY):
        query = (
            select(chunk.c.document_version)
            .distinct()
            .where(
                chunk.c.workspace_id == scope.workspace_id,
                chunk.c.document_version.in_(ids[start : start + _MANY]),
            )
        )
        found.update(connection.scalars(query))
    return found


def add_documents(connection: Connection, scope: Scope, items: Sequence[EncodedDocument], now: str) -> None:
    """Store document versions with their chunks; one whose chunks were retired gets them again."""
    for item in items:
        _add_document(connection, scope, item, now)


def _add_document(connection: Connection, scope: Scope, item: EncodedDocument, now: str) -> None:
    workspace = {"workspace_id": scope.workspace_id}
    if document(connection, scope, item.id) is None:
        about = item.document
        values = {
            "path": about.path,
            "title": about.title,
            "audience": about.audience,
            "media_type": about.media_type,
        }
        known = {"id": item.id, "assistant": scope.assistant, "content_hash": item.content_hash}
        connection.execute(
            insert(document_version).values(**workspace, **known, **values, text=about.text, created_at=now)
        )
    rows = [
        {
            **workspace,
            "document_version": item.id,
            "ordinal": ordinal,
            "heading": piece.heading,
            "text": piece.text,
            "start": piece.start,
            "end": piece.end,
            "sentences": [list(span) for span in piece.sentences],
            "vector": item.vectors[ordinal].astype(np.float16).tobytes(),
            "sentence_vectors": item.sentence_vectors[ordinal].astype(np.float16).tobytes(),
            "matching_vectors": item.matching_vectors[ordinal].astype(np.float16).tobytes(),
        }
        for ordinal, piece in enumerate(item.chunks)
    ]
    connection.execute(
        delete(chunk).where(chunk.c.workspace_id == scope.workspace_id, chunk.c.document_version == item.id)
    )
    connection.execute(insert(chunk), rows)


def begin_version(
    connection: Connection, scope: Scope, version: Version, document_versions: Sequence[str]
) -> list[str]:
    """Write down an index version that is being built.

    What a crash left half built is forgotten; its ids are returned.
    """
    owner = {"workspace_id": scope.workspace_id, "assistant": scope.assistant}
    left = _ids(connection, scope, "building")
    for table, column in ((index_document, index_document.c.index_version), (index_version, index_version.c.id)):
        connection.execute(delete(table).where(_of(table, scope), column.in_(left)))
    connection.execute(insert(index_version).values(**owner, **vars(version)))
    rows = [{**owner, "index_version": version.id, "document_version": each} for each in document_versions]
    if rows:
        connection.execute(insert(index_document), rows)
    return left


def switch(connection: Connection, scope: Scope, version: str, chunks: int) -> list[str]:
    """Make a version the active one; retire the one before its predecessor, whose id is returned.

    Chunks that neither the active nor the previous version has are deleted.
    """
    table = index_version
    retired = _ids(connection, scope, "previous")
    for old, new in (("previous", "retired"), ("active", "previous")):
        connection.execute(update(table).where(_of(table, scope), table.c.status == old).values(status=new))
    connection.execute(
        update(table).where(_of(table, scope), table.c.id == version).values(status="active", chunks=chunks)
    )
    live = select(table.c.id).where(_of(table, scope), table.c.status != "retired")
    used = select(index_document.c.document_version).where(
        _of(index_document, scope), index_document.c.index_version.in_(live)
    )
    ours = select(document_version.c.id).where(_of(document_version, scope), document_version.c.id.not_in(used))
    connection.execute(
        delete(chunk).where(chunk.c.workspace_id == scope.workspace_id, chunk.c.document_version.in_(ours))
    )
    return retired


def swap(connection: Connection, scope: Scope) -> None:
    """Exchange the active and the previous index version."""
    table = index_version
    for old, new in (("active", "swapped"), ("previous", "active"), ("swapped", "previous")):
        connection.execute(update(table).where(_of(table, scope), table.c.status == old).values(status=new))


def _ids(connection: Connection, scope: Scope, status: str) -> list[str]:
    table = index_version
    return list(connection.scalars(select(table.c.id).where(_of(table, scope), table.c.status == status)))


def _of(table: Any, scope: Scope) -> Any:
    return (table.c.workspace_id == scope.workspace_id) & (table.c.assistant == scope.assistant)


def _joined(column: Any) -> Any:
    return (index_document.c.workspace_id == column.table.c.workspace_id) & (
        index_document.c.document_version == column
    )


def _version(row: Any) -> Version:
    return Version(
        **{name: row[name] for name in ("id", "status", "encoder", "documents", "chunks", "created_at")}
    )
