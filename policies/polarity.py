"""Whether a text says yes or no, and how strongly: negation, permission, duty and promise."""

from __future__ import annotations

import re
from typing import Literal

Strength = Literal["possible", "certain", "required", "usual"]

_NEGATIONS = re.compile(
    r"\b(?:not|cannot|can't|won't|\w+n['’]t|cant|wont|dont|doesnt|isnt|never|no|none|nobody|nothing|neither|nor"
    r"|without|unable|unavailable|ineligible|excluded?|refuses?|rejects?|denied|prohibited|forbidden)\b",
    re.IGNORECASE,
)
_IDLE = re.compile(
    r"\b(?:not only|no (?:later|sooner|more|less|longer) than|no matter|whether or not|no\.)\b", re.I
)
_STRENGTHS: dict[Strength, re.Pattern[str]] = {
    "possible": re.compile(
        r"\b(?:may(?! \d)|might|could|can|perhaps|possibly|sometimes|is able to|are able to)\b", re.I
    ),
    "certain": re.compile(
        r"\b(?:will|shall|always|guarantee[sd]?|certainly|definitely|promise[sd]?|ensures?)\b", re.I
    ),
    "required": re.compile(r"\b(?:must|have to|has to|need(?:s|ed)? to|required?|mandatory|obliged)\b", re.I),
    "usual": re.compile(
        r"\b(?:usually|normally|typically|generally|often|about|approximately|up to|most)\b", re.I
    ),
}


_CONDITIONS = (
    re.compile(r"\b(?:unless|if|when|once|provided|as long as|until|except|excluding|other than|but not)\b", re.I),
    re.compile(r"\b(?:only|solely|just|exclusively)\b", re.I),
)


def negations(text: str) -> int:
    """Return how many words of a text turn its meaning round."""
    return len(_NEGATIONS.findall(_IDLE.sub(" ", text)))


def negated(text: str) -> bool:
    """Say whether a text denies something: an even number of negations cancels out."""
    return negations(text) % 2 == 1


def without_negations(text: str) -> str:
    """Return a text without the words that turn its meaning round."""
    return _NEGATIONS.sub(" ", text)


def strengths(text: str) -> frozenset[Strength]:
    """Return how strongly a text says what it says; a plain statement has none of these."""
    return frozenset(name for name, pattern in _STRENGTHS.items() if pattern.search(text))


def overstates(claim: str, source: str) -> bool:
    """Say whether a claim promises or demands what its source only allows for."""
    stated, claimed = strengths(source), strengths(claim)
    if "possible" not in stated or "possible" in claimed:
        return False
    return bool({"certain", "required"} & (claimed - stated))


def drops_condition(claim: str, source: str) -> bool:
    """Say whether a claim leaves out that its source holds only under a condition or for some."""
    return any(each.search(source) and not each.search(claim) for each in _CONDITIONS)
