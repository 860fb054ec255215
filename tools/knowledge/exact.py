"""Exact search over the vectors that an index has in memory, for as long as the vector store does not answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policies.types import Audience
from tools.encoder.ports import Vectors
from tools.knowledge.index import Index


class ExactSearch:
    """Compares a question with every passage of one index.

    The vectors are widened to single precision at the first question and kept, which takes twice the memory of the
    index's own. Several threads may ask at once.
    """

    def __init__(self, index: Index) -> None:
        self.index = index
        self._held: dict[Audience, tuple[NDArray[np.intp], Vectors]] = {}

    def nearest(self, vectors: Vectors, whose: Audience, count: int) -> set[str]:
        """Return the ids of the ``count`` passages nearest to each row of ``vectors``, of those written for one
        audience.
        """
        rows, matrix = self._widened(whose)
        if not len(rows):
            return set()
        found: set[int] = set()
        for similarity in vectors @ matrix.T:
            best = np.argpartition(-similarity, min(count, len(similarity) - 1))[:count]
            found.update(rows[best].tolist())
        return {self.index.passages[row].id for row in found}

    def _widened(self, whose: Audience) -> tuple[NDArray[np.intp], Vectors]:
        if whose not in self._held:
            rows = self.index.rows_for(whose)
            self._held[whose] = rows, self.index.vectors[rows].astype(np.float32)
        return self._held[whose]
