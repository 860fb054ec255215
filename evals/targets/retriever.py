"""The retriever, beside each of its two signals alone: BM25, and the similarity of the vectors."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from evals import ranking
from evals.cases import Case, DocumentRow, RetrieverCase, cases_of, read_rows
from evals.scoring import DIFFERENCE
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
    metrics: tuple[str, ...]
    """What is measured of the ranked lists."""

    async def run(self, case: Case[RetrieverCase]) -> Observation:
        """Search for one question."""
        depth = max(DEPTH, *(int(each.split("@")[1]) for each in self.metrics if "@" in each))
        result = await self.knowledge.search(case.data.input, audience=self.audience, limit=depth)
        wanted = frozenset(case.data.expected.documents)
        found = [passage.document for passage in result.passages]
        alone = await anyio.to_thread.run_sync(self._alone, case.data.input, result, depth)
        scores = {name: _score(name, {"": found, **alone}, wanted) for name in self.metrics}
        missing = [each for each in case.data.expected.documents if each not in found]
        wrong = f"not among the first {depth}: {', '.join(missing)}" if missing else None
        return Observation(output={"documents": found, "alone": alone}, scores=scores, wrong=wrong)

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


def _score(metric: str, ranked: Mapping[str, Sequence[str]], wanted: Collection[str]) -> float:
    found = ranking.split(metric)
    assert found is not None
    signal, name = found
    return ranking.score(name, ranked[signal], wanted)


def prepare(suite: Suite) -> Prepared:
    """Read documents and cases; a case may only name documents that exist."""
    file = suite.file
    assert isinstance(file, RetrieverSuite)
    source = _source(suite, suite.locate(file.knowledge, "knowledge"))
    names = {each.path for each in sources(source)} if isinstance(source, Path) else {each.id for each in source}
    cases = cases_of(suite, RetrieverCase)
    for case in cases:
        unknown = [each for each in case.data.expected.documents if each not in names]
        if unknown:
            raise case.wrong("expected.documents", f"there is no document {unknown[0]!r}", "Mend its name.")
    parts = dict.fromkeys(part for name in suite.metrics for part in name.split(DIFFERENCE))
    metrics = tuple(part for part in parts if ranking.split(part))
    return Prepared(suite=suite, cases=cases, open=partial(_open, suite, file, source, metrics))


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
    suite: Suite, file: RetrieverSuite, source: Source, metrics: tuple[str, ...], room: Workroom
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
            knowledge=knowledge, index=await knowledge.index(), audience=file.audience, metrics=metrics
        )
