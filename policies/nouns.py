"""Where the nouns of a text are, as far as the words around them tell; no tagger is asked."""

from __future__ import annotations

import re
from functools import lru_cache

from policies.roots import is_idle

_NEXT = (
    r"is|are|was|were|has|have|hasn|isn|can|will|won|must|may|to|in|on|at|by|for|with|from|and|or|of|that|which|who"
    r"|within|before|after|until|when|if|as|you|we|it|instead|costs?"
)
_PHRASE = re.compile(
    r"\b(?:the|your|our|an?|my|their|its|any|each|every|no|this|that)\s"
    rf"((?:[A-Za-z-]+\s){{0,2}}?[A-Za-z-]{{3,}})(?=\s(?:{_NEXT})\b|[.,;:?!)]|['’]s)",
    re.I,
)
_NO_MODIFIER = re.compile(r"(?:ed|ing|ly|n['’]t)$", re.I)
_JOINT = (" ", "-")


@lru_cache(maxsize=4_096)
def noun_ends(text: str) -> frozenset[int]:
    """Return where the nouns end that follow a word such as *the* or *your*."""
    found = ((match.end(1), match[1].split()[-1]) for match in _PHRASE.finditer(text))
    return frozenset(end for end, word in found if not is_idle(word))


def may_modify(word: str) -> bool:
    """Say whether a word may stand before a noun as a part of its name, as *gift* in *gift card* does."""
    return word[:1].isalpha() and not is_idle(word) and not _NO_MODIFIER.search(word)


def is_joint(text: str, end: int, start: int) -> bool:
    """Say whether nothing but a blank or a hyphen is between the words that end and start at two places."""
    return text[end:start] in _JOINT
