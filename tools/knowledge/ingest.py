"""From documents to an index version: only what is new is read and encoded, and the switch comes last.

A crash leaves the old version active. What was encoded by then is stored, and the next ingest uses it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio.to_thread
import numpy as np
from sqlalchemy import Connection

from policies.errors import HandrailError
from policies.types import Audience
from tools.clock import Clock, Ids
from tools.encoder.ports import Encoder, encoded
from tools.knowledge import chunking, rows
from tools.knowledge.chunking import Chunk
from tools.knowledge.documents import LoadedDocument, Record
from tools.knowledge.folder import Source, count_skipped, sources
from tools.knowledge.index import Index, build_index
from tools.knowledge.rows import EncodedDocument, Scope, Version
from tools.knowledge.vectors import VectorStore, collection_name
from tools.storage.database import Database

_TEXTS_AT_ONCE = 256
AUDIENCES: tuple[Audience, ...] = ("customer", "staff")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an ingest has come."""

    done: int
    """Chunks that are encoded and stored."""
    total: int
    """Chunks that are to be."""
    seconds: float

    @property
    def rate(self) -> float:
        """Chunks a second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class IngestReport:
    """What an ingest found and did."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int
    failed: tuple[tuple[str, str], ...]
    """Path and reason of each document that could not be read; it is not in the index."""
    encoded: int
    """Chunks that had to be encoded."""
    chunks: int
    """Chunks of the whole index."""
    seconds: float
    index_version: str
    skipped: int = 0
    """Files of the folder whose kind is not read."""


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What an ingest works with."""

    database: Database
    encoder: Encoder
    store: VectorStore
    clock: Clock
    ids: Ids

    def now(self) -> str:
        """Return the time as it is stored."""
        return self.clock.now().isoformat()


@dataclass(kw_only=True)
class _Plan:
    """Document version ids by path, and the new ones among them with their chunks."""

    wanted: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    new: list[tuple[str, LoadedDocument, tuple[Chunk, ...]]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


def document_version_id(scope: Scope, path: str, content_hash: str, encoder: str) -> str:
    """Name a document version by all that its chunks and vectors depend on."""
    parts = (scope.assistant, path, content_hash, encoder, chunking.VERSION)
    return "doc_" + hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:24]


async def ingest_folder(
    shop: Workshop, scope: Scope, folder: Path, progress: Callable[[Progress], None] | None = None
) -> tuple[IngestReport, Index | None]:
    """Bring the index up to date with a folder; the index is None if nothing has changed."""
    found = await anyio.to_thread.run_sync(lambda: list(sources(folder)))
    skipped = await anyio.to_thread.run_sync(count_skipped, folder)
    report, index = await _ingest(shop, scope, found, progress)
    return replace(report, skipped=skipped), index


async def ingest_records(
    shop: Workshop, scope: Scope, records: Iterable[Record], progress: Callable[[Progress], None] | None = None
) -> tuple[IngestReport, Index | None]:
    """Make the index hold exactly these records."""
    return await _ingest(shop, scope, [_RecordSource(record) for record in records], progress)


class _RecordSource:
    """A record, in the shape of a file."""

    def __init__(self, record: Record) -> None:
        self.path = record.id
        self.content_hash = hashlib.sha256(repr((record.title, record.audience, record.text)).encode()).hexdigest()
        self._record = record

    def load(self) -> LoadedDocument:
        return chunking.record_document(self._record)


async def _ingest(
    shop: Workshop,
    scope: Scope,
    found: Sequence[Source | _RecordSource],
    progress: Callable[[Progress], None] | None,
) -> tuple[IngestReport, Index | None]:
    began = time.monotonic()
    active = await shop.database.read(lambda connection: rows.version_in(connection, scope, "active"))
    before = await _paths(shop, scope, active)
    plan = await _plan(shop, scope, found)
    done = 0
    total = sum(len(pieces) for _, _, pieces in plan.new)
    async for count in _encode(shop, scope, plan):
        done += count
        if progress is not None:
            progress(Progress(done=done, total=total, seconds=time.monotonic() - began))
    index = None
    renewed = active is None or active.encoder != shop.encoder.id
    if renewed or set(plan.wanted.values()) != set(before.values()):
        index = await _switch(shop, scope, plan)
    version = index.version if index else active.id if active else ""
    chunks = len(index.passages) if index else active.chunks if active else 0
    return _report(plan, before, done, chunks, version, time.monotonic() - began), index


async def _paths(shop: Workshop, scope: Scope, active: Version | None) -> dict[str, str]:
    if active is None:
        return {}
    held = await shop.database.read(lambda connection: rows.documents_in(connection, scope, active.id))
    return {each.path: each.id for each in held}


async def _plan(shop: Workshop, scope: Scope, found: Sequence[Source | _RecordSource]) -> _Plan:
    named = {
        item.path: document_version_id(scope, item.path, item.content_hash, shop.encoder.id) for item in found
    }
    known = await shop.database.read(lambda connection: rows.encoded(connection, scope, list(named.values())))
    plan = _Plan(hashes={named[item.path]: item.content_hash for item in found})

    def read() -> None:
        for item in found:
            version = named[item.path]
            if version not in known and not _read(plan, version, item):
                continue
            plan.wanted[item.path] = version

    await anyio.to_thread.run_sync(read)
    return plan


def _read(plan: _Plan, version: str, item: Source | _RecordSource) -> bool:
    try:
        document = item.load()
        plan.new.append((version, document, chunking.chunk(document)))
    except HandrailError as error:
        plan.failed.append((item.path, str(error)))
        return False
    except Exception as error:  # a parser's own defect must not keep the other documents out
        plan.failed.append((item.path, f"It cannot be read ({type(error).__name__}: {error})."))
        return False
    return True


async def _encode(shop: Workshop, scope: Scope, plan: _Plan) -> AsyncIterator[int]:
    """Encode and store the new documents, some at a time; yield how many chunks were done."""
    batch: list[tuple[str, LoadedDocument, tuple[Chunk, ...]]] = []
    size = 0
    for item in plan.new:
        batch.append(item)
        size += sum(1 + len(piece.sentences) for piece in item[2])
        if size >= _TEXTS_AT_ONCE:
            yield await _encode_batch(shop, scope, plan, batch)
            batch, size = [], 0
    if batch:
        yield await _encode_batch(shop, scope, plan, batch)


async def _encode_batch(
    shop: Workshop, scope: Scope, plan: _Plan, batch: list[tuple[str, LoadedDocument, tuple[Chunk, ...]]]
) -> int:
    pieces = [(document, piece) for _, document, chunks in batch for piece in chunks]
    vectors = await shop.encoder.encode([chunking.chunk_text(document, piece) for document, piece in pieces])
    texts = [chunking.sentence_texts(document, piece) for document, piece in pieces]
    flat = [text for each in texts for text in each]
    cuts = np.cumsum([len(each) for each in texts])[:-1]
    read = await encoded(shop.encoder, flat)
    by_chunk, to_match = np.split(read.vectors, cuts), np.split(read.matching, cuts)
    done, at = [], 0
    for version, document, chunks in batch:
        part = slice(at, at + len(chunks))
        at += len(chunks)
        done.append(
            EncodedDocument(
                id=version,
                content_hash=plan.hashes[version],
                document=document,
                chunks=chunks,
                vectors=vectors[part],
                sentence_vectors=tuple(by_chunk[part]),
                matching_vectors=tuple(to_match[part]),
            )
        )
    now = shop.now()
    await shop.database.write(lambda connection: rows.add_documents(connection, scope, done, now))
    return at


async def _switch(shop: Workshop, scope: Scope, plan: _Plan) -> Index:
    """Build the new version beside the old one, then make it the active one."""
    versions = list(plan.wanted.values())
    version = shop.ids.new("idx")

    def begin(connection: Connection) -> list[str]:
        row = Version(
            id=version,
            status="building",
            encoder=shop.encoder.id,
            documents=len(versions),
            chunks=0,
            created_at=shop.now(),
        )
        return rows.begin_version(connection, scope, row, versions)

    abandoned = await shop.database.write(begin)
    index = await load_index(shop, scope, version)
    await anyio.to_thread.run_sync(build_collections, shop.store, scope, index)
    retired = await shop.database.write(
        lambda connection: rows.switch(connection, scope, version, len(index.passages))
    )
    await anyio.to_thread.run_sync(_drop, shop.store, scope, abandoned + retired)
    return index


async def load_index(shop: Workshop, scope: Scope, version: str) -> Index:
    """Read an index version from the database."""
    dimensions = shop.encoder.dimensions
    return await shop.database.read(
        lambda connection: build_index(version, rows.chunks_in(connection, scope, version), dimensions)
    )


def build_collections(store: VectorStore, scope: Scope, index: Index, *, missing_only: bool = False) -> None:
    """Put an index's vectors into the store, one collection an audience; blocks."""
    for audience in AUDIENCES:
        held = index.rows_for(audience)
        name = collection_name(scope.workspace_id, scope.assistant, index.version, audience)
        if not len(held) or (missing_only and store.count(name) == len(held)):
            continue
        store.build(name, [index.passages[row].id for row in held], index.vectors[held].astype(np.float32))


def _drop(store: VectorStore, scope: Scope, versions: Sequence[str]) -> None:
    for version in versions:
        store.drop(collection_name(scope.workspace_id, scope.assistant, version, None))


def _report(
    plan: _Plan, before: dict[str, str], encoded: int, chunks: int, version: str, seconds: float
) -> IngestReport:
    bad = {path for path, _ in plan.failed}
    return IngestReport(
        added=tuple(sorted(path for path in plan.wanted if path not in before)),
        changed=tuple(sorted(p for p, version in plan.wanted.items() if p in before and before[p] != version)),
        removed=tuple(sorted(path for path in before if path not in plan.wanted and path not in bad)),
        unchanged=sum(before.get(path) == version for path, version in plan.wanted.items()),
        failed=tuple(sorted(plan.failed)),
        encoded=encoded,
        chunks=chunks,
        seconds=seconds,
        index_version=version,
    )
