"""Which words two texts share."""

from __future__ import annotations

from tools.knowledge.lexical import terms


def words(text: str) -> frozenset[str]:
    """Return the stems of a text's words, without stop words and without the pairs that search adds."""
    return frozenset(term for term in terms(text) if " " not in term)
