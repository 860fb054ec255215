"""Fits the weights of the injection head, and says what they make of texts that they were not fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tools.encoder.ports import Encoder, Vectors
from tools.guards.injection import ENCODED, Sense, Weights, logits
from tools.guards.injection_features import (
    CHARACTERS,
    CUES,
    WORDS,
    Counts,
    LexicalWeights,
    Numbers,
    Places,
    count,
    features_of,
)
from tools.guards.injection_text import UNIT, Span, read, units

Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]
Scores = NDArray[np.float64]

Scales = Mapping[str, float]
SCALES: Scales = {"vectors": 1.5, "characters": 2.0, "words": 1.0, "cues": 1.5}
"""How large each kind of feature is made, so that the penalty weighs on all alike."""


@dataclass(frozen=True, kw_only=True)
class Trust:
    """How far the examples of a lesson are trusted."""

    examples: float
    """scikit-learn's ``C``: larger trusts the examples more."""
    scales: Scales
    telling: float
    """How large the number of telling cues is made: larger holds the cues more closely to one common weight."""


MESSAGES = Trust(examples=1.5, scales=SCALES, telling=1.0)
DOCUMENTS = Trust(examples=0.5, scales={**SCALES, "vectors": 3.0}, telling=0.0)
"""A grammar repeats itself, so its words are trusted less than its sense."""
TELLING = frozenset(
    (
        "drops rules",
        "drops what came before",
        "drops everything",
        "drops your",
        "earlier rules",
        "your rules",
        "new rules",
        "system prompt",
        "reveals",
        "word for word",
        "you are now",
        "from now on",
        "acts as",
        "stays in character",
        "no limits",
        "never refuses",
        "jailbreak",
        "orders a machine",
        "machine that reads",
        "role marker",
        "chat markup",
        "end of",
        "only output",
        "stop, then write",
        "starts over",
        "sends away",
        "silently",
        "overrides",
        "machine must",
        "bids a machine",
        "if you are a machine",
        "calls a machine",
        "hidden markup",
        "whoever reads",
        "says quoted",
        "praise before a task",
    )
)
"""Cues that speak for an order wherever they stand: they share a weight, from which each may differ."""
_TOLD = np.array([[float(name in TELLING)] for name in CUES])


@dataclass(frozen=True, kw_only=True)
class Table:
    """Features of texts, one row for each."""

    vectors: Vectors
    characters: Any
    words: Any
    cues: Any

    def take(self, rows: Rows, trust: Trust, *, vectors: bool) -> Any:
        """Return some rows as one sparse matrix, scaled; its last column counts the telling cues."""
        from scipy.sparse import csr_matrix, hstack

        scales = trust.scales
        parts = [csr_matrix(self.vectors[rows] * scales["vectors"])] if vectors else []
        parts += [getattr(self, name)[rows] * scales[name] for name in ("characters", "words", "cues")]
        parts.append(csr_matrix(self.cues[rows] @ _TOLD * trust.telling))
        return hstack(parts).tocsr()


@dataclass(kw_only=True)
class Reader:
    """Reads and encodes texts once, however often they are judged; itself an encoder."""

    encoder: Encoder
    _known: dict[str, tuple[str, Counts, tuple[Span, ...]]] = field(default_factory=dict)
    _vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The name of the encoder."""
        return self.encoder.id

    @property
    def dimensions(self) -> int:
        """The length of its vectors."""
        return self.encoder.dimensions

    async def encode(self, texts: Sequence[str]) -> Vectors:
        """Return the vector of each text."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if missing:
            self._vectors |= dict(zip(missing, await self.encoder.encode(missing), strict=True))
        return np.stack([self._vectors[text] for text in texts])

    async def table(self, texts: Sequence[str]) -> Table:
        """Return the features of texts, each judged whole."""
        found = [features_of(counts, (0, len(plain) + 1)) for plain, counts, _ in map(self.taken_in, texts)]
        return Table(
            vectors=await self.encode(texts),
            characters=_hashed([each[0] for each in found], CHARACTERS),
            words=_hashed([each[1] for each in found], WORDS),
            cues=_sparse(np.stack([each[2] for each in found])),
        )

    def taken_in(self, text: str) -> tuple[str, Counts, tuple[Span, ...]]:
        """Return the plain text, its counts, and its units if it is long."""
        if text not in self._known:
            plain = read(text).text
            self._known[text] = plain, count(plain), units(plain) if len(plain) > UNIT else ()
        return self._known[text]

    async def judge(self, sense: Sense, texts: Sequence[str], *, vectors: bool = True) -> tuple[Scores, Scores]:
        """Return the logit of each text as a whole, and that of its worst unit (-99 where it is short)."""
        whole, worst = np.zeros(len(texts)), np.full(len(texts), -99.0)
        for row, text in enumerate(texts):
            plain, counts, spans = self.taken_in(text)
            of = await self.encode([text]) if vectors else None
            whole[row] = logits(sense.full if vectors else sense.alone, counts, [(0, len(plain) + 1)], of)[0]
            if spans:
                likely = logits(sense.alone, counts, spans, None)
                best = [spans[each] for each in np.argsort(-likely, kind="stable")[:ENCODED]]
                of = await self.encode([plain[slice(*span)] for span in best]) if vectors else None
                worst[row] = logits(sense.full if vectors else sense.alone, counts, best, of).max()
        return whole, worst


def fit(table: Table, rows: Rows, flags: Flags, weights: Scores, trust: Trust) -> Sense:
    """Fit both kinds of weights on some rows; ``flags`` and ``weights`` are of all rows."""
    full, alone = (
        _regression(table.take(rows, trust, vectors=each), flags[rows], weights[rows], trust.examples)
        for each in (True, False)
    )
    size = table.vectors.shape[1]
    # The middle of both errs less than either: the vector's weights are halved, the others' halves added.
    middle = full[0] / 2
    middle[size:] += alone[0] / 2
    return Sense(
        full=_weights(middle, (full[1] + alone[1]) / 2, size, trust),
        alone=_weights(*alone, 0, trust),
    )


def _regression(features: Any, flags: Flags, weights: Scores, trust: float) -> tuple[Scores, float]:
    from sklearn.linear_model import LogisticRegression

    # Single precision is some ten times faster here; the solver draws nothing, so the result is always the same.
    model = LogisticRegression(C=trust, solver="lbfgs", tol=1e-4, max_iter=300)
    # What no text has would stay at nothing and only cost time.
    used = np.flatnonzero(features.getnnz(axis=0))
    model.fit(features[:, used].astype(np.float32), flags, sample_weight=weights.astype(np.float32))
    coefficients = np.zeros(features.shape[1])
    coefficients[used] = model.coef_[0]
    return coefficients, float(model.intercept_[0])


def _weights(coefficients: Scores, bias: float, dimensions: int, trust: Trust) -> Weights:
    scales = trust.scales
    edges = np.cumsum([dimensions, CHARACTERS, WORDS, len(CUES)])
    vector, characters, words, cues, telling = np.split(coefficients, edges)
    cues = cues * scales["cues"] + _TOLD[:, 0] * trust.telling * telling
    return Weights(
        vector=(vector * scales["vectors"]).astype(np.float32) if dimensions else None,
        lexical=LexicalWeights(
            characters=_half(characters * scales["characters"]),
            words=_half(words * scales["words"]),
            cues=cues.astype(np.float32),
        ),
        bias=bias,
    )


def _half(numbers: NDArray[Any]) -> Numbers:
    """Round as the kept head is rounded."""
    return numbers.astype(np.float16).astype(np.float32)


def _hashed(found: Sequence[Places], size: int) -> Any:
    from scipy.sparse import csr_matrix

    columns, values, ends = [], [], [0]
    for places in found:
        names, counts = np.unique(places, return_counts=True)
        columns.append(names)
        values.append(counts / np.sqrt(max(1, len(places))))
        ends.append(ends[-1] + len(names))
    return csr_matrix((np.concatenate(values), np.concatenate(columns), np.array(ends)), shape=(len(found), size))


def _sparse(numbers: Numbers) -> Any:
    from scipy.sparse import csr_matrix

    return csr_matrix(numbers)


def calibrate(scores: Scores, flags: Flags) -> tuple[float, float]:
    """Return slope and intercept of Platt's curve over scores out of fold."""
    from sklearn.linear_model import LogisticRegression

    curve = LogisticRegression(C=1e6).fit(scores.reshape(-1, 1), flags)
    return float(curve.coef_[0, 0]), float(curve.intercept_[0])
