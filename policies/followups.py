"""Follow-up questions: “and to Canada?” means little without the question before it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from policies.types import Turn

FEW_WORDS = 7
_LEANS_BACK = re.compile(
    r"(?:and|but|or|so|also|then|ok(?:ay)?[, ]+and|what about|how about|what if|same)\b", re.IGNORECASE
)
_REFERS = re.compile(
    r"\b(?:it|its|it's|that|this|those|these|they|them|one|ones|there|instead|too|as well)\b", re.IGNORECASE
)


def is_follow_up(question: str, history: Sequence[Turn]) -> bool:
    """Say whether a question is to be read together with the customer's previous one."""
    if not any(turn.author == "customer" for turn in history):
        return False
    if _LEANS_BACK.match(question.strip()):
        return True
    return len(question.split()) <= FEW_WORDS or (len(question.split()) <= 2 * FEW_WORDS and _refers(question))


def standalone(question: str, history: Sequence[Turn]) -> str:
    """Return the question, with the customer's previous one before it if it leans on that."""
    if not is_follow_up(question, history):
        return question
    earlier = [turn.text for turn in history if turn.author == "customer"]
    return f"{earlier[-1]} {question}"


def _refers(question: str) -> bool:
    """Say whether the first words point at something said before."""
    return bool(_REFERS.search(" ".join(question.split()[:4])))
