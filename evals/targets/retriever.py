"""The retriever, beside each of its two signals alone: BM25, and the similarity of the vectors."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from evals.cases import Case, DocumentRow, RetrieverCase, read_cases, read_rows
from evals.suite import RetrieverSuite, Suite
from evals.targets.base import Observation, Prepared, Workroom
from policies.types import Audience
from tools.encoder.opening import open_encoder
from tools.knowledge.base import Knowledge, open_knowledge
from tools.knowledge.documents import Record
from tools.knowledge.folder import sources
from tools.knowledge.index import Index
from tools.knowledge.ingest import Progress
from tools.knowledge.ports import SearchResult
from tools.storage.database import open_database

DEPTH = 20
WORKSPACE = "evals"
Source = Path | tuple[Record, ...]


@dataclass(frozen=True, kw_only=True)
class RetrieverTarget:
    """An index with the passages that count."""

    knowledge: Knowledge
    index: Index
    audience: Audience
    cutoffs: tuple[int, ...]

    async def run(self, case: Case[RetrieverCase]) -> Observation:
        """Search for one question."""
        depth = max(DEPTH, *self.cutoffs)
        result = await self.knowledge.search(case.data.input, audience=self.audience, limit=depth)
        wanted = set(case.data.expected.documents)
        found = [passage.document for passage in result.passages]
        scores = _scores("", found, wanted, self.cutoffs)
        alone = await anyio.to_thread.run_sync(self._alone, case.data.input, result, depth)
        for signal, documents in alone.items():
            scores |= _scores(f"{signal}_", documents, wanted, self.cutoffs)
        missing = [each for each in case.data.expected.documents if each not in found]
        wrong = f"not among the first {depth}: {', '.join(missing)}" if missing else None
        return Observation(output={"documents": found}, scores=scores, wrong=wrong)

    def _alone(self, question: str, result: SearchResult, depth: int) -> dict[str, list[str]]:
        view = self.index.views[self.audience]
        similarity = self.index.vectors[view.rows].astype(np.float32) @ result.query_vector
        return {
            "lexical": self._best(view.rows, view.lexical.scores(question), depth),
            "dense": self._best(view.rows, similarity, depth),
        }

    def _best(self, rows: NDArray[np.intp], scores: NDArray[np.float32], depth: int) -> list[str]:
        order = np.argsort(-scores, kind="stable")[:depth]
        return [self.index.passages[rows[place]].document for place in order]


def _scores(prefix: str, found: Sequence[str], wanted: set[str], cutoffs: Sequence[int]) -> dict[str, float]:
    scores = {}
    for cutoff in cutoffs:
        hits = wanted.intersection(found[:cutoff])
        scores[f"{prefix}recall@{cutoff}"] = len(hits) / len(wanted)
        # The name that Anthropic's cookbook has for the same.
        scores[f"{prefix}pass@{cutoff}"] = len(hits) / len(wanted)
        scores[f"{prefix}hit@{cutoff}"] = float(bool(hits))
    place = next((place for place, document in enumerate(found, start=1) if document in wanted), None)
    scores[f"{prefix}mrr"] = 1 / place if place else 0.0
    return scores


def prepare(suite: Suite) -> Prepared:
    """Read documents and cases; a case may only name documents that exist."""
    file = suite.file
    assert isinstance(file, RetrieverSuite)
    source = _source(suite, suite.locate(file.knowledge, "knowledge"))
    names = {each.path for each in sources(source)} if isinstance(source, Path) else {each.id for each in source}
    cases = read_cases(suite.datasets, RetrieverCase)
    for case in cases:
        unknown = [each for each in case.data.expected.documents if each not in names]
        if unknown:
            raise case.wrong("expected.documents", f"there is no document {unknown[0]!r}", "Mend its name.")
    cutoffs = tuple(sorted({int(name.split("@")[1]) for name in suite.metrics if "@" in name}))
    return Prepared(suite=suite, cases=cases, open=partial(_open, suite, file, source, cutoffs))


def _source(suite: Suite, path: Path) -> Source:
    if path.is_dir():
        return path
    if path.suffix != ".jsonl":
        raise suite.wrong("knowledge", f"{path} is neither a folder nor a .jsonl file", "Mend the path.")
    return tuple(
        Record(id=row.id, text=row.text, title=row.title, audience=row.audience)
        for _, _, row in read_rows(path, DocumentRow)
    )


@asynccontextmanager
async def _open(
    suite: Suite, file: RetrieverSuite, source: Source, cutoffs: tuple[int, ...], room: Workroom
) -> AsyncIterator[RetrieverTarget]:
    place = room.cache / "knowledge" / hashlib.sha256(str(suite.path.resolve()).encode()).hexdigest()[:12]

    def told(progress: Progress) -> None:
        room.announce(f"encoding: {progress.done} of {progress.total} passages, {progress.rate:.0f}/s")

    async with (
        open_encoder(file.encoder, room.cache, room.announce) as encoder,
        open_database(place / "knowledge.db") as database,
        open_knowledge(database, encoder, place / "chroma") as base,
    ):
        knowledge = base.of(WORKSPACE, "suite")
        if isinstance(source, Path):
            await knowledge.ingest(source, told)
        else:
            await knowledge.ingest_records(source, told)
        yield RetrieverTarget(
            knowledge=knowledge, index=await knowledge.index(), audience=file.audience, cutoffs=cutoffs
        )
