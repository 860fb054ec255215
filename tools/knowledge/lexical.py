"""BM25 over terms that suit both prose and identifiers, scored in numpy: alike on every backend.

The formula is BM25 with the smoothed inverse document frequency of Lucene (Robertson and Zaragoza, "The
Probabilistic Relevance Framework: BM25 and Beyond", 2009). Weights are computed once; a query adds up the
postings of its terms.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

K1 = 1.2
B = 0.75

_TOKEN = re.compile(r"\w+(?:['’]\w+)?")
_PART = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")
_STOP = frozenset(
    _TOKEN.findall(
        "a an and are as at be been but by can could did do does for from had has have how i if in into is it its "
        "me my of on or our should so that the their them then there these they this to was we were what when "
        "where which who why will with would you your"
    )
)


def terms(text: str) -> list[str]:
    """Cut a text into search terms: lower case, stemmed, an identifier whole and in its parts, then pairs.

    Pairs of neighbouring terms tell names such as ``Silver Plus Account`` from ``Silver Account``.
    """
    found = [term for token in _TOKEN.findall(text) for term in _terms_of(token)]
    return found + [f"{first} {second}" for first, second in pairwise(found)]


@lru_cache(1 << 16)
def _terms_of(token: str) -> tuple[str, ...]:
    word = token.replace("’", "'").lower()
    if word in _STOP:
        return ()
    parts = _PART.findall(token) if "'" not in word else []
    split = [stem(part.lower()) for part in parts if part.lower() not in _STOP] if len(parts) > 1 else []
    return (stem(word), *split)


def stem(word: str) -> str:
    """Take off the endings of plurals (Harman's S stemmer) and possessives."""
    word = word.removesuffix("'s")
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("us", "ss", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1]


class LexicalIndex:
    """BM25 weights of a fixed list of texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.size = len(texts)
        self._slots: dict[str, int] = {}
        slots = self._slots
        columns, rows, frequencies = array("i"), array("q"), array("f")
        for column, text in enumerate(texts):
            count = Counter(terms(text))
            rows.extend([slots.setdefault(term, len(slots)) for term in count])
            frequencies.extend(count.values())
            columns.extend([column] * len(count))
        self._build(np.asarray(rows), np.asarray(columns), np.asarray(frequencies))

    def _build(self, rows: NDArray[np.int64], columns: NDArray[np.int32], tf: NDArray[np.float32]) -> None:
        order = np.argsort(rows, kind="stable")
        self._spread = np.bincount(rows, minlength=len(self._slots))
        self._starts = np.concatenate([[0], np.cumsum(self._spread)])
        lengths = np.bincount(columns, weights=tf, minlength=self.size)
        norm = K1 * (1 - B + B * lengths / max(float(lengths.mean()) if self.size else 0.0, 1.0))
        weights = _idf(self.size, self._spread)[rows] * tf * (K1 + 1) / (tf + norm[columns])
        self._columns = columns[order]
        self._weights = weights[order].astype(np.float32)

    def ceiling(self, query: str) -> float:
        """Return the score that no text can reach: every term of the query, and nothing but those.

        Terms that no text has count in full, so a query in other words than the texts' stays far below.
        """
        spread = self._spread
        total = 0.0
        for term, times in Counter(terms(query)).items():
            slot = self._slots.get(term)
            held = float(spread[slot]) if slot is not None else 0.0
            total += times * _idf(self.size, held) * (K1 + 1)
        return float(total) or 1.0

    def scores(self, query: str) -> NDArray[np.float32]:
        """Return the BM25 score of every text, in the order they were given."""
        scores = np.zeros(self.size, np.float32)
        for term, times in Counter(terms(query)).items():
            slot = self._slots.get(term)
            if slot is not None:
                held = slice(self._starts[slot], self._starts[slot + 1])
                scores[self._columns[held]] += self._weights[held] * times
        return scores


def _idf(size: int, spread: Any) -> Any:
    return np.log1p((size - spread + 0.5) / (spread + 0.5))
